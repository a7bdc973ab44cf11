# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of what a transfer leaves beside its file: any bytes are a journal or a status that can be
trusted as far as it goes, or are left aside.
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
    from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk import journal as journals
    from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import LockedFile
    from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import parse_status, status_of

MAX_SECONDS = 2
FOLDER = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
JOURNAL = FOLDER / "journal"
FILES = [LockedFile("a.gguf", 3 << 20, "a" * 64, "http://hub.test/a"), LockedFile("b.gguf", 5, None, "")]
journals.Journal.create(str(JOURNAL), FILES, "merged", 4, [b"GGUF header", b"GGUF other"]).close()
WHOLE = JOURNAL.read_bytes()
STATUS = json.dumps({"phase": "download", "bytes_done": 1, "bytes_total": 2, "sources": {"a": 1}, "message": "m"})


def one_input(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    started = process_time()
    kind = given.ConsumeIntInRange(0, 3)
    if kind == 0:
        check_journal(given.ConsumeBytes(given.remaining_bytes()))
    elif kind == 1:
        check_journal(changed(given, WHOLE))
    elif kind == 2:
        meta = given.ConsumeBytes(given.remaining_bytes())
        check_journal(journals._HEAD.pack(journals._MAGIC, len(meta)) + meta + bytes(100))
    else:
        check_status(changed(given, STATUS.encode()).decode("utf-8", "replace"))
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


def changed(given: atheris.FuzzedDataProvider, whole: bytes) -> bytes:
    """A few bytes replaced by others."""
    for _change in range(given.ConsumeIntInRange(1, 3)):
        at = given.ConsumeIntInRange(0, len(whole))
        end = min(len(whole), at + given.ConsumeIntInRange(0, 40))
        whole = whole[:at] + given.ConsumeBytes(given.ConsumeIntInRange(0, 40)) + whole[end:]
    return whole


def check_journal(content: bytes) -> None:
    JOURNAL.write_bytes(content)
    journal = journals.Journal.open(str(JOURNAL))
    if journal is None:
        return
    try:
        if not journal.belongs_to(FILES, "merged"):
            return
        assert len(journal.states) == 4 and set(journal.states) <= {0, 1, 2}
        assert len(journal.headers()) in (0, 2)
        journal.note([0, 3], journals.SYNCED)
        journal.sync()
    finally:
        journal.close()


def check_status(text: str) -> None:
    content = parse_status(text)
    if content is not None:
        assert status_of(content).line()


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
