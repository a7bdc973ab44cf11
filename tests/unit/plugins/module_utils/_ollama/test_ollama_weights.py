# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
from pathlib import Path

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.weights import weights_of
from ansible_collections.gguf.fleet.tests.builders import gguf as builders

MODEL = builders.gguf({"general.architecture": ("str", "llama")}, builders.tensors(1))


def test_a_file_that_nobody_recorded_is_read_and_noted(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(MODEL)
    ledger = Ledger(str(tmp_path / "ledger.json"))
    path = str(tmp_path / "model.gguf")
    with weights_of(path, ledger, note=True) as weights:
        assert weights.sha256 == hashlib.sha256(MODEL).hexdigest()
    assert ledger.lookup(path, kind="file") is not None


def test_a_rehearsal_is_taken_by_its_stand_in_for_a_digest_and_never_becomes_a_verified_file(tmp_path: Path) -> None:
    (tmp_path / "rehearsal-model.gguf").write_bytes(MODEL)
    ledger = Ledger(str(tmp_path / "ledger.json"))
    path = str(tmp_path / "rehearsal-model.gguf")
    ledger.record(path, sha256="ab" * 32, kind="rehearsal")
    with weights_of(path, ledger, note=True) as weights:
        assert weights.sha256 == "ab" * 32
    assert ledger.lookup(path, kind="file") is None
