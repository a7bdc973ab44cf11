# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of a merge's journal: any bytes are a merge that can be gone on with, nothing, or damaged."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from time import process_time

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
    from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import Segment
    from ansible_collections.gguf.fleet.plugins.module_utils._merge.journal import VERSION, MergeJob, Shard, parse
    from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import final_digest
    from ansible_collections.gguf.fleet.tests.fuzz.json_changes import changed_json

MAX_SECONDS = 2
SHA256 = "a" * 64
SHARDS = tuple(Shard(f"/m-0000{number}-of-00002.gguf", 100, 1, number, 5, SHA256) for number in (1, 2))
SEGMENTS = (Segment(0, 40, 60, 50), Segment(1, 40, 110, 50))
JOB = MergeJob(SHARDS, SEGMENTS, 50, SHA256, 160, 0, 2)
FACTS = [
    {"journal_version": VERSION, "inode": [1, 2], "job": json.loads(json.dumps(asdict(JOB)))},
    {"checkpoint": 100, "sha256": SHA256},
    {"verified": 0, "sha256": SHA256},
    {"checkpoint": 160, "sha256": SHA256},
]


def one_input(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    started = process_time()
    at = given.ConsumeIntInRange(0, len(FACTS) - 1)
    lines = [json.dumps(fact).encode() for fact in FACTS]
    lines[at] = changed_json(given, FACTS[at])
    check(b"\n".join(lines) + b"\n")
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


def check(data: bytes) -> None:
    try:
        content = parse(data, "journal")
    except GgufError as error:
        assert error.problem and error.remedy
        return
    if content is None:
        return
    job = content.job
    for shard in range(len(job.shards) + 1):
        assert job.dest_start(shard) >= 0
    assert all(0 <= index < len(job.shards) for index in content.verified)
    assert all(point.offset >= 0 and len(point.sha256) == 64 for point in content.checkpoints)
    assert isinstance(content.device + content.inode, int)
    last = final_digest(content)
    assert last is None or len(last) == 64
    json.dumps(asdict(job))


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
