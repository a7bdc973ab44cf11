# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The Python package supervisor on its way from the controller to a host, which needs neither pip nor an index."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import zlib
from dataclasses import dataclass
from typing import Dict, Iterator, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_entry
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_new
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.supervisord import LIBRARY

PACKAGE = "supervisor"
# Beside its own directory; the others are for its developers, or for pages that nobody is shown.
_BELOW = "medusa"
_KINDS = (".py", "version.txt")

# Those before need setuptools on the host.
OLDEST = (4, 3)

Files = Dict[str, str]


@dataclass(frozen=True)
class Copy:
    """What a host is to get; without files where they are still to come."""

    version: str
    files: Files


def of_python() -> str:
    """Where this Python has the package; empty when it has none."""
    spec = importlib.util.find_spec(PACKAGE)
    return os.path.dirname(spec.origin) if spec and spec.origin else ""


def on_host() -> Files:
    """The copy that was brought."""
    with contextlib.suppress(FileNotFoundError), Directory.open(os.path.join(LIBRARY, PACKAGE, PACKAGE)) as top:
        return dict(_files(top, ""))
    return {}


def read(folder: str) -> Files:
    """The files of the package, path -> text."""
    with Directory.open(folder) as top:
        return dict(_files(top, ""))


def digest(files: Files) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def version(files: Files) -> str:
    return files.get("version.txt", "").strip()


def pack(files: Files) -> str:
    return base64.b64encode(zlib.compress(json.dumps(files).encode(), 9)).decode()


def unpack(text: str, wanted: str) -> Files:
    """Raises ServiceProblem when it is not what was to come."""
    try:
        files: Files = json.loads(zlib.decompress(base64.b64decode(text)))
    except (ValueError, zlib.error) as error:
        raise ServiceProblem(f"The copy of supervisor arrived damaged: {error}.", "Run again.") from error
    if digest(files) != wanted:
        raise ServiceProblem("The copy of supervisor arrived damaged: its checksum is another.", "Run again.")
    return files


def to_bring(controllers: Optional[Mapping[str, str]]) -> Optional[Copy]:
    """What this host lacks of the controller's copy (version, digest, archive), None when nothing is to be brought.

    Raises ServiceProblem when neither of them has one.
    """
    hosts = on_host()
    if controllers is None:
        if not hosts and not of_python():
            raise ServiceProblem(
                "Neither the controller nor this host has supervisor, which runs services where there is no systemd.",
                f"Install the Python package supervisor ({'.'.join(map(str, OLDEST))} or newer) beside ansible-core on "
                "the controller, or the distribution's package on this host.",
            )
        return None
    if digest(hosts) == controllers["digest"]:
        return None
    archive = controllers.get("archive")
    return Copy(controllers["version"], unpack(archive, controllers["digest"]) if archive else {})


def is_usable(files: Files) -> bool:
    """Whether hosts can run it with nothing but Python."""
    numbers = re.match(r"(\d+)\.(\d+)", version(files))
    return numbers is not None and (int(numbers.group(1)), int(numbers.group(2))) >= OLDEST


def put(files: Files) -> None:
    """In the place of the one that is there. A supervisord that runs keeps what it has read."""
    with Directory.open(LIBRARY, make=True) as library:
        new = f"{PACKAGE}.new"
        remove_entry(library, new)
        with library.enter(new, make=True) as top, top.enter(PACKAGE, make=True) as package:
            for path, text in files.items():
                _write(package, path, text)
        remove_entry(library, PACKAGE)
        os.rename(new, PACKAGE, src_dir_fd=library.fd, dst_dir_fd=library.fd)


def _files(directory: Directory, prefix: str) -> Iterator[Tuple[str, str]]:
    for name in directory.names():
        if name.endswith(_KINDS):
            with os.fdopen(directory.open_file(name), encoding="utf-8") as stream:
                yield prefix + name, stream.read()
        elif name == _BELOW:
            with directory.enter(name) as below:
                yield from _files(below, f"{prefix}{name}/")


def _write(directory: Directory, path: str, text: str) -> None:
    first, _slash, rest = path.partition("/")
    if rest:
        with directory.enter(first, make=True) as below:
            _write(below, rest, text)
    else:
        write_new(directory, first, text.encode(), mode=0o644, durable=False)
