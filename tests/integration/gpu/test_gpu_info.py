# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""gpu_info with the real pynvml over simulated GPUs, and with programs that speak as nvidia-smi does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pynvml
import pytest

MIB = 1024 * 1024


def test_eight_h20_are_told_with_memory_links_and_uuids(run_module, nvml_environment):
    result = run_module("gpu_info", {}, nvml_environment("h20x8"))
    assert result["source"] == "pynvml"
    assert result["driver"] == {"version": "550.127.08", "cuda_version": "12.4", "library_version": "12.550.127.08"}
    assert [gpu["index"] for gpu in result["gpus"]] == list(range(8))
    assert {gpu["memory_total_bytes"] for gpu in result["gpus"]} == {97871 * MIB}
    first = result["gpus"][0]
    assert first["uuid"] == "GPU-20200000-0000-4000-8000-000000000000"
    assert (first["architecture"], first["compute_capability"]) == ("hopper", "9.0")
    assert first["memory_free_bytes"] == (97871 - 615 - 4) * MIB
    assert (first["nvlinks_active"], first["nvlink_peers"], first["fabric"]) == (18, ["nvswitch"], "completed")
    assert [gpu["numa_node"] for gpu in result["gpus"]] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert result["problems"] == []


def test_questions_that_a_4090_does_not_answer_are_null_and_named(run_module, nvml_environment):
    gpu = run_module("gpu_info", {}, nvml_environment("rtx4090x2"))["gpus"][1]
    assert gpu["memory_total_bytes"] == 24564 * MIB
    assert (gpu["nvlinks_active"], gpu["mig"], gpu["fabric"], gpu["ecc"]) == (None, None, None, False)
    assert {"mig", "fabric", "numa_node"} <= set(gpu["not_supported"])


def test_a_lost_gpu_is_a_fact_beside_the_healthy_ones(run_module, nvml_environment):
    result = run_module("gpu_info", {}, nvml_environment("broken"))
    assert result["rc"] == 0
    assert [gpu["usable"] for gpu in result["gpus"]] == [True, False, True]
    texts = " ".join(problem["problem"] for problem in result["problems"])
    assert "GPU 1 does not answer: GPU is lost." in texts
    assert "12 uncorrected ECC errors" in texts
    assert "has not joined its NVSwitch fabric (in_progress)" in texts
    assert result["gpus"][2]["processes"] == [{"pid": 4242, "name": "/usr/bin/python3", "memory_bytes": 61440 * MIB}]


@pytest.mark.parametrize(
    ("config", "words"),
    [("none", "kernel module is not loaded"), ("mismatch", "of different versions")],
)
def test_a_library_that_refuses_to_start_leaves_no_gpus_and_one_problem(run_module, nvml_environment, config, words):
    result = run_module("gpu_info", {}, nvml_environment(config))
    assert (result["rc"], result["gpus"], len(result["problems"])) == (0, [], 1)
    assert words in result["problems"][0]["problem"]
    assert result["problems"][0]["remedy"]


def test_a_host_without_the_driver_says_so(run_module):
    result = run_module("gpu_info", {}, {"LD_LIBRARY_PATH": ""})
    assert "libnvidia-ml.so.1 is not installed" in result["problems"][0]["problem"]


def test_memory_that_an_engine_takes_is_there_as_long_as_it_runs(run_module, nvml_environment):
    def look():
        return run_module("gpu_info", {}, nvml_environment("rtx4090x2"))["gpus"]

    uuids = [gpu["uuid"] for gpu in look()]
    name = "/usr/lib/ollama/llama-server"
    holding = f"{name} nvml:{uuids[1]}=400,GPU-other=1,{uuids[0]}=300"
    with subprocess.Popen([holding, "60"], executable="/bin/sleep") as engine:
        during = look()
        engine.kill()
    after = look()
    for number, mib in ((0, 300), (1, 400)):
        assert after[number]["memory_free_bytes"] - during[number]["memory_free_bytes"] == mib * MIB
        assert during[number]["processes"] == [{"pid": engine.pid, "name": name, "memory_bytes": mib * MIB}]
        assert after[number]["processes"] == []


def test_pynvml_is_found_in_the_directory_that_the_host_role_fills(run_module, nvml_environment, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "pynvml.py").write_text("raise ImportError('this interpreter has none')\n")
    provided = tmp_path / "provided"
    provided.mkdir()
    shutil.copy(pynvml.__file__, provided / "pynvml.py")
    environment = {**nvml_environment("rtx4090x2"), "PYTHONPATH": str(hidden), "PATH": str(tmp_path)}
    with_copy = run_module("gpu_info", {"pynvml_path": str(provided)}, environment)
    without = run_module("gpu_info", {"pynvml_path": str(tmp_path / "empty")}, environment)
    assert (with_copy["source"], len(with_copy["gpus"])) == ("pynvml", 2)
    assert (without["source"], without["gpus"]) == ("none", [])
    insisted = run_module("gpu_info", {"pynvml_path": str(tmp_path / "empty"), "source": "pynvml"}, environment)
    assert insisted["failed"] and "has pynvml" in insisted["msg"]


def smi(directory: Path, script: str) -> str:
    program = directory / "nvidia-smi"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    return str(program)


def test_nvidia_smi_answers_when_asked(run_module, tmp_path):
    program = smi(
        tmp_path,
        """case "$*" in
*query-gpu=*) echo "0, GPU-abc, NVIDIA GeForce RTX 4090, 00000000:01:00.0, 550.107.02, 24564, 24100, 118,\
 450.00, 1, 4, 16, 16, [N/A], [N/A], [N/A], [N/A], Disabled, 8.9, 346" ;;
*query-compute-apps*) echo "GPU-abc, 812, /usr/bin/python3, 110" ;;
*) echo "| NVIDIA-SMI 550.107.02   Driver Version: 550.107.02   CUDA Version: 12.4 |" ;;
esac
""",
    )
    result = run_module("gpu_info", {"source": "nvidia_smi", "nvidia_smi": program})
    assert result["source"] == "nvidia_smi"
    assert result["driver"] == {"version": "550.107.02", "cuda_version": "12.4", "library_version": None}
    gpu = result["gpus"][0]
    assert (gpu["memory_total_bytes"], gpu["memory_reserved_bytes"]) == (24564 * MIB, 346 * MIB)
    assert (gpu["architecture"], gpu["ecc"], gpu["persistence"]) == ("ada", None, False)
    assert gpu["processes"] == [{"pid": 812, "name": "/usr/bin/python3", "memory_bytes": 110 * MIB}]


def test_nvidia_smi_over_a_mismatched_driver_is_a_problem_and_no_failure(run_module, tmp_path):
    program = smi(tmp_path, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18\n")
    result = run_module("gpu_info", {"source": "nvidia_smi", "nvidia_smi": program})
    assert (result["rc"], result["gpus"]) == (0, [])
    assert "of different versions" in result["problems"][0]["problem"]
