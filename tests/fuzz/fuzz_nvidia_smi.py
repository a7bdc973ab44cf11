# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of what nvidia-smi prints: any text is a report to show, judge and plan with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import process_time

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._gpu import nvidia_smi
    from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
    from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
    from ansible_collections.gguf.fleet.plugins.module_utils._preflight import gpus as preflight
    from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control

MAX_SECONDS = 2


def one_input(data: bytes) -> None:
    code, text = (data[0] % 32 if data else 0), data[1:].decode("utf-8", "replace")
    started = process_time()
    facts = nvidia_smi.read_report(lambda _arguments: (code, text, "")).as_facts()
    shown = json.dumps(facts, allow_nan=False, ensure_ascii=False)
    assert not has_control(shown)
    preflight.judge_gpus(facts, [])
    preflight.judge_driver(facts["driver"]["version"], 550, True)
    try:
        devices_from_facts(facts["gpus"])
    except GpuError as error:
        assert error.problem and error.remedy
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
