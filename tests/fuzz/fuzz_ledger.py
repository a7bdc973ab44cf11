# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of the ledger: any bytes are entries that can be written back and asked for, or are refused
with a way out.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from time import process_time

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._ledger import VERSION, Ledger, LedgerError, parse
    from ansible_collections.gguf.fleet.tests.fuzz.json_changes import changed_json

MAX_SECONDS = 2
FOLDER = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
PATH = FOLDER / "ledger.json"
FILE = FOLDER / "model.gguf"
FILE.write_bytes(b"model")
STATUS = FILE.stat()
ENTRY = {
    "kind": "file", "sha256": "a" * 64, "device": STATUS.st_dev, "inode": STATUS.st_ino, "size_bytes": 5,
    "notes": {"models_dir": "/models", "sources": [{"path": "/m"}], "bytes_per_second": 1.5},
}  # fmt: skip
CONTENT = {"ledger_version": VERSION, "entries": {str(FILE): ENTRY, "/srv/b": {**ENTRY, "kind": "blob"}}}


def one_input(data: bytes) -> None:
    started = process_time()
    check(changed_json(atheris.FuzzedDataProvider(data), CONTENT))
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


def check(data: bytes) -> None:
    try:
        entries = parse(data, "ledger.json")
    except LedgerError as error:
        assert error.problem and error.remedy
        return
    for path, entry in entries.items():
        assert entry.path == path
        entry.is_current()
    PATH.write_bytes(data)
    ledger = Ledger(str(PATH))
    ledger.entries("file", models_dir="/models")
    ledger.lookup(str(FILE))
    ledger.record(str(FILE), sha256=None, kind="file")
    found = ledger.lookup(str(FILE), kind="file")
    assert found is not None and found.sha256 is None
    assert ledger.forget(str(FILE)) and ledger.lookup(str(FILE)) is None
    assert {**entries, str(FILE): None}.keys() == {*(entry.path for entry in ledger.entries()), str(FILE)}


def main() -> None:
    json.dumps(CONTENT)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
