# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a build has made becomes an archive of root's.

The directory belongs to the user who built, and what is in it is whatever the source wanted. Root opens it by
descriptors, takes regular files of that user alone and links to a name beside them, and gives all of it new owners
and modes.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import tarfile
from typing import IO, Collection, Dict, List, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._text import plain_name_problem, printable

MAX_FILES = 500
MAX_BYTES = 8 << 30
_LIBRARY = re.compile(r"lib.+\.so(\.\d+)*\Z")
_UNTRUSTED = "Look what the source does: this is not what llama.cpp's own build makes. Nothing was changed."


def pack(programs: Directory, owner: int, targets: Collection[str], sink: IO[bytes]) -> List[str]:
    """Write bin/ with the targets and the libraries beside them as a .tar.gz; the names in it.

    programs: the directory that cmake put them in. owner: the uid of who built. Raises BuildProblem.
    """
    files, links = _chosen(programs, targets)
    left = MAX_BYTES
    packed = gzip.GzipFile(filename="", mode="wb", fileobj=sink, compresslevel=1, mtime=0)
    with packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in files:
            left -= _add(archive, programs, name, owner, left)
        for name, target in links.items():
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, target, 0o777
            archive.addfile(link)
    return [*files, *links]


def _chosen(programs: Directory, targets: Collection[str]) -> Tuple[List[str], Dict[str, str]]:
    files: List[str] = []
    links: Dict[str, str] = {}
    for name in programs.names():
        if name not in targets and not _LIBRARY.match(name):
            continue
        status = programs.status(name)
        if status is not None and stat.S_ISLNK(status.st_mode):
            links[name] = os.readlink(name, dir_fd=programs.fd)
        else:
            files.append(name)
    if len(files) + len(links) > MAX_FILES:
        raise BuildProblem(f"the build made more than {MAX_FILES} programs and libraries.", _UNTRUSTED)
    for name, target in links.items():
        if "/" in target or plain_name_problem(target) or target not in {*files, *links}:
            raise BuildProblem(
                f"the build made {name!r} a link to {printable(target, limit=200)!r}, which is no library beside it.",
                _UNTRUSTED,
            )
    return files, links


def _add(archive: tarfile.TarFile, programs: Directory, name: str, owner: int, left: int) -> int:
    try:
        descriptor = programs.open_file(name)
    except PathProblem as error:
        raise BuildProblem(error.problem, _UNTRUSTED) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        wrong = ""
        if status.st_uid != owner or status.st_nlink != 1:
            # Another name of somebody else's file would publish that one.
            wrong = "is not a file of the build alone"
        elif status.st_mode & 0o7000:
            wrong = f"has the mode {stat.S_IMODE(status.st_mode):04o}"
        elif status.st_size > left:
            wrong = f"is larger than what is left of {MAX_BYTES:,} bytes"
        if wrong:
            raise BuildProblem(f"{name!r} of the build {wrong}.", _UNTRUSTED)
        member = tarfile.TarInfo(f"bin/{name}")
        member.size = status.st_size
        member.mode = 0o755
        try:
            archive.addfile(member, file)
        except OSError as error:
            raise BuildProblem(f"{name!r} of the build cannot be read: {error}.", "Run again.") from error
    return status.st_size
