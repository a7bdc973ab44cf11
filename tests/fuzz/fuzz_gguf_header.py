# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of the header parser: any bytes are a header, a plain refusal, or a request for more bytes.

What a header says is planned with, too: a plan, an honest "not understood", or a plain refusal.

Run by tests/fuzz/run.sh. An input that was found once stays in tests/fuzz/corpus/gguf_header.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import process_time
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, NeedMore, parse_header
    from ansible_collections.gguf.fleet.plugins.module_utils._gguf.info import describe
    from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
    from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
    from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
    from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest, make_plan
    from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError

MAX_SECONDS = 2
GPUS = devices_from_facts([{"name": "H20", "memory_total_mib": 97871, "count": 2}])


def one_input(data: bytes) -> None:
    started = process_time()
    check(data)
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


def check(data: bytes) -> None:
    try:
        parsed = parse_header(data, size_bytes=len(data))
    except GgufError as error:
        assert error.problem and error.remedy
        check_prefix(data)
        return
    assert parsed.header_bytes <= parsed.data_offset <= parsed.data_end <= len(data)
    for entry in parsed.kv.values():
        assert entry.value is not None
    check_plan(describe([parsed]))
    try:
        layout = merge_layout([parsed])
    except GgufError:
        return
    # what we would write is read back as the same model
    again = parse_header(layout.header, size_bytes=None)
    assert again.header_bytes <= len(layout.header)
    assert [tensor[1:] for tensor in again.tensors] == [tensor[1:] for tensor in layout.tensors]
    assert again.data_offset + (again.tensors[-1].offset if again.tensors else 0) <= layout.size_bytes


def check_plan(facts: dict[str, Any]) -> None:
    try:
        plan = make_plan(model_from_facts(facts), GPUS, PlanRequest(engine="llama_cpp")).as_facts()
    except GpuError as error:
        assert error.problem and error.remedy
        return
    assert plan["fits"] or plan["refusal"]
    assert all(device["kv_mib"] >= 0 and device["compute_mib"] >= 0 for device in plan["per_device"])


def check_prefix(data: bytes) -> None:
    """The same bytes as the beginning of a longer file: more bytes may be asked for, but never fewer."""
    try:
        parse_header(data)
    except NeedMore as more:
        assert more.total_bytes > len(data)
    except GgufError:
        pass


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
