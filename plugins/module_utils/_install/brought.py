# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Archives of the controller that are copied to a host, and .tar.zst made .tar.gz for hosts that cannot read it."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from typing import IO, Callable, Dict, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular
from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import shown
from ansible_collections.gguf.fleet.plugins.module_utils._install import archive, fetch
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

MAX_BYTES = 32 * 2**30


@dataclass(frozen=True)
class Brought:
    """A file to copy to the host, the archive as the host installs it then, and how to make the file if it is missing.

    archive: `src`, `sha256`, and `origin_sha256` for a repacked one; its own sha256 is empty until it was made.
    """

    src: str
    dest: str
    archive: Dict[str, str]
    make: Optional[Callable[[], Dict[str, str]]] = None


def from_file(path: str, sha256: Optional[str], folder: str, repacked: str) -> Brought:
    """A file of the controller, checked against its sha256; one that is .tar.zst is repacked into `repacked`, if given.

    folder: directory of the host that it goes to. Raises InstallProblem.
    """
    with _open(path) as file:
        # A file that somebody repacked already is copied as it is.
        if repacked and archive.compression(file, path) == "zstd":

            def make(dest: str) -> None:
                with _open(path) as again:
                    fetch.check_digest(fetch.sha256_of(again), sha256, path)
                    archive.repack_as_gzip(again, path, dest)

            return _repacked(sha256, path, folder, repacked, make)
        fetch.check_digest(fetch.sha256_of(file), sha256, path)
    dest = os.path.join(folder, os.path.basename(path))
    return Brought(path, dest, {"src": dest, **({"sha256": sha256} if sha256 else {})})


def from_url(url: str, sha256: Optional[str], folder: str, repacked: str) -> Brought:
    """What is fetched and repacked on the controller. Raises InstallProblem."""

    def make(dest: str) -> None:
        # It has no name, so that nobody else can open it.
        with tempfile.TemporaryFile(dir=os.path.dirname(dest)) as file:
            fetch.fetch(url, file, sha256, MAX_BYTES)
            if archive.compression(file, shown(url)) != "zstd":
                raise InstallProblem(
                    f"{shown(url)} is not a .tar.zst archive.", "Check the URL: a mirror may carry another file."
                )
            archive.repack_as_gzip(file, shown(url), dest)

    return _repacked(sha256, shown(url), folder, repacked, make)


def _repacked(sha256: Optional[str], name: str, folder: str, repacked: str, make: Callable[[str], None]) -> Brought:
    if not sha256:
        raise InstallProblem(
            f"{name} has no known sha256, and only checked archives are repacked.",
            "Give its checksum, or install the package zstd on the host.",
        )
    kept = f"{sha256}.tar.gz"
    path, dest = os.path.join(repacked, kept), os.path.join(folder, kept)

    def told() -> Dict[str, str]:
        return {"src": dest, "sha256": _digest_of(path), "origin_sha256": sha256}

    def made() -> Dict[str, str]:
        Directory.open(os.path.realpath(repacked), make=True).close()
        make(path)
        return told()

    if os.path.exists(path):
        return Brought(path, dest, told())
    return Brought(path, dest, {"src": dest, "sha256": "", "origin_sha256": sha256}, made)


def _digest_of(path: str) -> str:
    with _open(path) as file:
        return fetch.sha256_of(file)


def _open(path: str) -> IO[bytes]:
    """A file of the controller, which may be a link of the user's own."""
    try:
        return os.fdopen(open_regular(os.path.realpath(path)), "rb")
    except FileNotFoundError:
        raise InstallProblem(f"{path} is not a file of the controller.", "Check the path of the archive.") from None
