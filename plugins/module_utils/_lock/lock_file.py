# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""models.lock.txt: the locks of a fleet in one file beside the inventory, to be committed by its owner."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import Any, Dict, Iterator, Mapping

from ansible_collections.gguf.fleet.plugins.module_utils._files import moved
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.lock import wait_for_turn
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem

# A sealed lock of 200 GB takes a quarter of a megabyte.
MAX_BYTES = 32 * 2**20
MAX_DEPTH = 20

HEADING = """\
---
# Written by gguf.fleet.gguf_resolve: the files that every host gets, pinned by size and checksum. Commit this file.
"""


def load(path: str) -> Dict[str, Any]:
    """The locks by name; none when there is no file yet. Only the one that is used gets checked in full."""
    _yaml()
    try:
        text = read_file(os.path.realpath(moved.place(path)), limit_bytes=MAX_BYTES).decode("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise HubProblem(
            f"The lock file {path} cannot be read: {error}.", "Look at the file and its permissions."
        ) from error
    return parse(text, path)


def parse(text: str, path: str) -> Dict[str, Any]:
    """The locks in the text of a lock file; ``path`` is for messages."""
    yaml = _yaml()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_growth(yaml, text, loader, path)
        content = yaml.load(text, Loader=loader)
    except HubProblem:
        raise
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, AttributeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise HubProblem(
            f"The lock file {path} is not YAML{line}.", "Take the last version that was committed."
        ) from error
    if content is None:
        return {}
    locks = content.get("locks") if isinstance(content, dict) else None
    if not isinstance(locks, dict):
        raise HubProblem(f"{path} is not a lock file: it has no mapping named locks.", "Name another lock_file.")
    return locks


def _refuse_growth(yaml: Any, text: str, loader: Any, path: str) -> None:
    """A few lines of aliases stand for gigabytes, and deep nesting is a stack: no lock of ours has either."""
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if getattr(event, "anchor", None) is not None:
            raise HubProblem(
                f"The lock file {path} has an anchor or an alias in line {event.start_mark.line + 1}.",
                "Take the last version that was committed; gguf_resolve writes none.",
            )
        depth += isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent))
        depth -= isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent))
        if depth > MAX_DEPTH:
            raise HubProblem(
                f"The lock file {path} is nested more than {MAX_DEPTH} deep.",
                "Take the last version that was committed.",
            )


def _yaml() -> Any:
    """PyYAML, which is there wherever ansible-core is; the interpreter of this module may be another one."""
    try:
        import yaml
    except ImportError as error:
        raise HubProblem(
            f"{sys.executable} has no PyYAML.",
            "Use ansible-core's own Python: ansible_python_interpreter={{ ansible_playbook_python }}.",
        ) from error
    return yaml


def checked(locks: Mapping[str, Any], name: str, path: str) -> Dict[str, Any]:
    """One lock of the file, checked."""
    try:
        return check_lock(locks[name])
    except HubProblem as error:
        raise HubProblem(f"{name} in {path}: {error.problem}", error.remedy) from error


def dump(locks: Mapping[str, Any]) -> str:
    """The text of the file: the same locks give the same text, in whatever order they were resolved."""
    yaml = _yaml()

    class Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
        def ignore_aliases(self, data: object) -> bool:
            return True

    ordered = {name: locks[name] for name in sorted(locks)}
    body = yaml.dump({"locks": ordered}, Dumper=Dumper, sort_keys=False, default_flow_style=None, width=140)
    return HEADING + str(body)


def shown(locks: Mapping[str, Any]) -> str:
    """The text for a diff: thousands of piece checksums become their number, so that people can read it."""
    return dump({name: _without_pieces(lock) for name, lock in locks.items()}) if locks else ""


def _without_pieces(lock: Any) -> Any:
    seal = lock.get("seal") if isinstance(lock, dict) else None
    if not isinstance(seal, dict) or not isinstance(seal.get("pieces"), dict):
        return lock
    short = {
        path: f"{len(digests)} checksums, the last one {digests[-1]}"
        for path, digests in seal["pieces"].items()
        if digests
    }
    return {**lock, "seal": {**seal, "pieces": short}}


@contextlib.contextmanager
def changing(path: str) -> Iterator[None]:
    """Keep other runs on this machine from writing the file between our reading and writing of it."""
    folder = os.path.dirname(os.path.realpath(path))
    try:
        directory = Directory.open(folder)
    except OSError as error:
        raise HubProblem(
            f"The folder {folder} of the lock file cannot be used: {error.strerror or error}.", "Create it."
        ) from error
    with directory:
        wait_for_turn(directory)
        yield


def save(path: str, locks: Mapping[str, Any]) -> None:
    """Write the file in one step: readers see the old one or the new one."""
    target = os.path.realpath(path)
    try:
        mode, owner = 0o644, (os.geteuid(), os.getegid())
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(target)
            mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
        write_file(target, dump(locks).encode(), mode=mode, owner=owner)
    except OSError as error:
        raise HubProblem(
            f"The lock file {path} cannot be written: {error.strerror or error}.",
            "Make its folder writable for this user.",
        ) from error
