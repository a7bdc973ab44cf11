# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Bring one archive to this machine, and believe nothing before its sum is right."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.request
from typing import IO, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

READ_BYTES = 1 << 20


def sha256_of(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        while True:
            block = stream.read(READ_BYTES)
            if not block:
                return digest.hexdigest()
            digest.update(block)


def check_sum(told: str, wanted: Optional[str], what: str) -> None:
    if wanted is not None and told != wanted:
        raise InstallProblem(
            f"{what} has the wrong checksum: sha256 {told}, wanted {wanted}.",
            "Nothing was unpacked and nothing that serves was changed. Compare the pinned sum with the official "
            "sha256sum.txt of that version; if the sum is right, the mirror or the file is not.",
        )


def fetch(url: str, dest: str, sha256: Optional[str], max_bytes: int, timeout_seconds: float = 60.0) -> str:
    """Download to dest (which must not exist yet) and return its sha256; on a wrong sum nothing stays behind."""
    digest = hashlib.sha256()
    request = urllib.request.Request(url, headers={"User-Agent": "gguf.fleet", "Accept-Encoding": "identity"})
    try:
        with urllib.request.build_opener().open(request, timeout=timeout_seconds) as answer, open(dest, "xb") as sink:
            length = answer.headers.get("Content-Length")
            moved = 0
            while True:
                block = answer.read(READ_BYTES)
                if not block:
                    break
                moved += len(block)
                if moved > max_bytes:
                    raise InstallProblem(
                        f"{url} is larger than {max_bytes:,} bytes.", "Check the URL; a release is not that big."
                    )
                digest.update(block)
                _write(sink, block, dest)
            if length is not None and moved != int(length):
                raise InstallProblem(
                    f"{url} ended early: {moved:,} of {int(length):,} bytes came.", "Run again to fetch it anew."
                )
        check_sum(digest.hexdigest(), sha256, url)
    except urllib.error.HTTPError as error:
        _drop(dest)
        raise InstallProblem(
            f"{url} answers {error.code} {error.reason}.",
            "Check the version and the source URL; with a mirror, see that it carries this version and architecture.",
        ) from error
    except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, OSError, ValueError) as error:
        _drop(dest)
        reason = getattr(error, "reason", None) or error
        raise InstallProblem(
            f"{url} cannot be fetched: {reason}.",
            "Check the network or proxy of this host, or give the archive as a file of the controller.",
        ) from error
    except BaseException:
        _drop(dest)
        raise
    return digest.hexdigest()


def _write(sink: IO[bytes], block: bytes, dest: str) -> None:
    """A full disk is no fault of the network."""
    try:
        sink.write(block)
        sink.flush()
    except OSError as error:
        raise InstallProblem(
            f"{dest} cannot be written: {error.strerror}.",
            "Look at the disk (df, mount) and run again; nothing that serves was changed.",
        ) from error


def _drop(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
