# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The GGUF file that becomes a model: its digest, which the server never checks, and its facts."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import read_header
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.config import Source, SourceProblem, source_of

_READ_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Weights:
    """A GGUF file whose digest is known."""

    path: str
    sha256: str
    size_bytes: int
    source: Source


def weights_of(path: str, ledger: Ledger, *, note: bool) -> Weights:
    """The file's digest is the ledger's when it is the file recorded there; else it is read once, and noted."""
    real = os.path.realpath(path)
    try:
        source = source_of(read_header(real), path)
        # A rehearsal's digest only stands for it: nobody should read its holes, and the server does not either.
        entry = ledger.lookup(real, kind="file") or ledger.lookup(real, kind="rehearsal")
        if entry is not None and entry.sha256:
            return Weights(real, entry.sha256, entry.size_bytes, source)
        sha256, size_bytes = _digest(real)
    except OSError as error:
        raise SourceProblem(
            f"{path} cannot be read: {error.strerror}.", "Name a GGUF file that is on this host, as an absolute path."
        ) from error
    if note:
        ledger.record(real, sha256=sha256, kind="file")
    return Weights(real, sha256, size_bytes, source)


def _digest(path: str) -> tuple[str, int]:
    total = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        while chunk := file.read(_READ_BYTES):
            total.update(chunk)
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SourceProblem(f"{path} changed while it was read.", "Wait until it is complete, then run again.")
    return total.hexdigest(), after.st_size
