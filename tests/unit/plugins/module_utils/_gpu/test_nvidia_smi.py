# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.nvidia_smi import FIELDS, NEWER_FIELDS, read_report

H20 = (
    "0, GPU-1, NVIDIA H20, 00000000:10:00.0, 535.161.08, 97871, 97252, 619, 500.00, 5, 5, 16, 16, "
    "Disabled, Enabled, 0, 3, Enabled"
)


def program(**answers):
    """An nvidia-smi: the first answer whose name is part of the arguments; anything else prints nothing."""

    def run(arguments):
        line = " ".join(arguments)
        return next((answer for name, answer in answers.items() if name in line), (0, "", ""))

    return run


def test_an_old_nvidia_smi_is_asked_again_without_the_newer_fields():
    asked = []

    def run(arguments):
        asked.append(" ".join(arguments))
        if any(name in asked[-1] for name in NEWER_FIELDS):
            return 2, 'Field "compute_cap" is not a valid field to query.\n', ""
        return (0, H20, "") if "query-gpu" in asked[-1] else (0, "", "")

    gpu = read_report(run).gpus[0]
    assert len([line for line in asked if "query-gpu" in line]) == 2
    assert (gpu.memory_total_bytes, gpu.memory_reserved_bytes) == (97871 * 1024 * 1024, None)
    assert (gpu.compute_capability, gpu.architecture) == (None, None)
    assert (gpu.ecc, gpu.ecc_uncorrected, gpu.ecc_corrected, gpu.mig) == (True, 0, 3, False)


@pytest.mark.parametrize(("gpu", "index"), [("GPU0000:3B:00.0", None), ("GPU1: 0000:3B:00.0", 1)])
def test_a_gpu_off_the_bus_is_told_beside_the_ones_that_answer(gpu, index):
    lost = f"Unable to determine the device handle for {gpu}: GPU is lost.  Reboot the system\n"
    report = read_report(program(**{"query-gpu": (15, H20 + ", 9.0, 615\n", lost)}))
    assert [gpu.index for gpu in report.gpus] == [0]
    assert "0000:3B:00.0 does not answer: GPU is lost." in report.troubles[0].problem
    assert report.troubles[0].gpu == index


def test_words_that_are_not_numbers_become_unknown():
    row = H20.replace("97252", "[Unknown Error]").replace("500.00", "[Not Supported]") + ", 9.0, 615\n"
    gpu = read_report(program(**{"query-gpu": (0, row, "")})).gpus[0]
    assert (gpu.memory_free_bytes, gpu.power_limit_watts) == (None, None)
    assert {"memory.free", "power.limit"} <= set(gpu.not_supported)


def test_a_program_that_prints_something_else_has_no_gpus_and_one_problem():
    report = read_report(program(**{"query-gpu": (127, "", "exec format error\n")}))
    assert report.gpus == ()
    assert "exit code 127: exec format error" in report.troubles[0].problem


def test_every_field_is_asked_once():
    assert len(set(FIELDS + NEWER_FIELDS)) == len(FIELDS + NEWER_FIELDS)
