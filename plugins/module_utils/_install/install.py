# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Carry out the plan for one version: fetch, verify, unpack beside, prove, and only then take its place."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import Iterator, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._install import archive, engines, fetch, releases
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

# Where install.sh puts the program: the first of them that is in the PATH.
INSTALL_SH = ("/usr/local/bin", "/usr/bin", "/bin")


@dataclass(frozen=True)
class Source:
    """One archive: a URL or a file of this host, and the sum that it must have (None: allowed to go unchecked)."""

    url: Optional[str]
    path: Optional[str]
    sha256: Optional[str]

    @property
    def name(self) -> str:
        return self.path or self.url or ""


@dataclass(frozen=True)
class Unpacked:
    """What an installation brought."""

    sums: Tuple[str, ...]
    told_version: str
    bytes_fetched: int
    bytes_unpacked: int


@contextlib.contextmanager
def _scratch(root: str, version: str) -> Iterator[str]:
    """A directory beside the versions (same file system, so that the last step is a rename), gone afterwards."""
    os.makedirs(root, 0o755, exist_ok=True)
    releases.sweep(root)
    path = tempfile.mkdtemp(prefix=f".{version}.", suffix=".partial", dir=root)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _bring(source: Source, scratch: str, index: int, max_bytes: int) -> Tuple[str, str, int]:
    """The verified archive as a local file: its path, its sum, the bytes that moved."""
    if source.path is not None:
        if not os.path.isfile(source.path):
            raise InstallProblem(f"{source.path} is not a file of this host.", "Copy the archive there, or name a URL.")
        told = fetch.sha256_of(source.path)
        fetch.check_sum(told, source.sha256, source.path)
        return source.path, told, 0
    dest = os.path.join(scratch, f"archive-{index}")
    told = fetch.fetch(str(source.url), dest, source.sha256, max_bytes)
    return dest, told, os.path.getsize(dest)


def _named(problem: InstallProblem, path: str, source: Source) -> InstallProblem:
    """The operator knows the URL, not our scratch file."""
    return InstallProblem(problem.problem.replace(path, source.name), problem.remedy)


def install(engine: engines.Engine, root: str, version: str, sources: Sequence[Source], max_bytes: int) -> Unpacked:
    """Put <root>/<version> in place. A kill at any point leaves no such directory, the old one or the new one."""
    sums: List[str] = []
    fetched = unpacked = 0
    with _scratch(root, version) as scratch:
        tree = os.path.join(scratch, "tree")
        for index, source in enumerate(sources):
            path, told, moved = _bring(source, scratch, index, max_bytes)
            sums.append(told)
            fetched += moved
            into = tree if index == 0 else os.path.join(scratch, f"extra-{index}")
            os.mkdir(into, 0o755)
            try:
                unpacked += archive.unpack(path, into, max_bytes - unpacked)
            except InstallProblem as problem:
                raise _named(problem, path, source) from problem
            if moved:
                os.unlink(path)
            if index == 0:
                engines.arrange(engine, tree, source.name)
            else:
                engines.add(engine, tree, into)
        told_version = engines.prove(engine, tree, version)
        final = releases.directory(root, version)
        if os.path.exists(final):
            os.rename(final, os.path.join(root, f".{version}.{os.getpid()}.gone"))
        os.rename(tree, final)
    releases.sweep(root)
    return Unpacked(tuple(sums), told_version, fetched, unpacked)


def adopt(engine: engines.Engine, root: str, prefix: str) -> str:
    """Take an installation of install.sh (<prefix>/bin, <prefix>/lib/ollama) in as a version to go back to.

    Hard links where the file system allows it: the running server keeps its own files until it is restarted.
    """
    version = engines.ask_version(engine, os.path.join(prefix, "bin", engine.program))
    releases.check_version(version)
    final = releases.directory(root, version)
    if os.path.exists(final):
        return version
    with _scratch(root, version) as scratch:
        tree = os.path.join(scratch, "tree")
        os.makedirs(os.path.join(tree, "bin"), 0o755)
        _link_or_copy(os.path.join(prefix, "bin", engine.program), os.path.join(tree, "bin", engine.program))
        libraries = os.path.join(prefix, "lib", engine.program)
        if os.path.isdir(libraries):
            shutil.copytree(
                libraries,
                os.path.join(tree, "lib", engine.program),
                symlinks=True,
                copy_function=_link_or_copy,
            )
        os.rename(tree, final)
    return version


def _link_or_copy(source: str, dest: str) -> str:
    try:
        os.link(source, dest, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, dest, follow_symlinks=False)
    return dest


def adoptable(engine: engines.Engine, root: str, directories: Sequence[str] = INSTALL_SH) -> Optional[str]:
    """The prefix of an installation that is not ours: the command is a real file, not a link of ours."""
    for directory in directories:
        real = os.path.realpath(os.path.join(directory, engine.program))
        ours = real.startswith(os.path.realpath(root) + os.sep)
        if os.path.isfile(real) and not ours and real.endswith(os.path.join("/bin", engine.program)):
            return os.path.dirname(os.path.dirname(real))
    return None
