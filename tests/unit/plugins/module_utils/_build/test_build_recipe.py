# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of hosts, what cmake is told for each, and what the outputs of the programs mean."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._build import machine, recipe
from ansible_collections.gguf.fleet.plugins.module_utils._build.output import Tail, step_of
from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem

COMMIT = "53debe6f" * 5
CPU = ["avx", "avx2", "fma"]


def host(nvidia: int = 0, glibc: str = "2.36", **build: Any) -> dict[str, Any]:
    facts = {"cpu": CPU, "cuda": "", "nvcc": "", "capabilities": [], **build}
    return {"architecture": "amd64", "glibc": glibc, "nvidia": nvidia, "build": facts}


def with_gpus(*capabilities: str, cuda: str = "12.8") -> dict[str, Any]:
    return host(8, cuda=cuda, nvcc="/usr/local/cuda/bin/nvcc", capabilities=list(capabilities))


def settings(**given: Any) -> recipe.Settings:
    wanted: dict[str, Any] = {"version": "b11434-1", "number": 11434, "pin": COMMIT, "targets": ("llama-server",)}
    return recipe.Settings(**{**wanted, "options": {}, "native": True, **given})


def told(facts: dict[str, Any], **given: Any) -> dict[str, str]:
    """The definitions that cmake gets, by their names."""
    wanted = settings(**given)
    kind = recipe.kind_of(facts, wanted.native, wanted.options)
    return dict(one[2:].split("=", 1) for one in recipe.definitions(wanted, kind))


def test_the_articles_machines_get_the_code_of_their_own_cards() -> None:
    h20, rtx4090 = told(with_gpus("90")), told(with_gpus("89"))
    assert (h20["GGML_CUDA"], h20["CMAKE_CUDA_ARCHITECTURES"]) == ("ON", "90")
    assert rtx4090["CMAKE_CUDA_ARCHITECTURES"] == "89"
    assert told(with_gpus("89", "90"))["CMAKE_CUDA_ARCHITECTURES"] == "89;90"
    assert h20["CMAKE_CUDA_COMPILER"] == "/usr/local/cuda/bin/nvcc"
    assert h20["CMAKE_INSTALL_RPATH_USE_LINK_PATH"] == "ON"


def test_a_build_knows_its_number_and_commit_and_has_no_page() -> None:
    wanted = told(host())
    assert (wanted["LLAMA_BUILD_NUMBER"], wanted["LLAMA_BUILD_COMMIT"]) == ("11434", "53debe6f53de")
    assert (wanted["GGML_RPC"], wanted["GGML_CUDA"], wanted["GGML_NATIVE"]) == ("ON", "OFF", "ON")
    assert {wanted["LLAMA_BUILD_UI"], wanted["LLAMA_USE_PREBUILT_UI"], wanted["LLAMA_BUILD_TESTS"]} == {"OFF"}
    assert wanted["LLAMA_BUILD_EXAMPLES"] == "OFF"
    # Where the tools were examples still.
    assert told(host(), number=4610)["LLAMA_BUILD_EXAMPLES"] == "ON"


def test_options_of_the_inventory_win_but_for_those_that_the_role_knows_better() -> None:
    options = {"GGML_CUDA_FA_ALL_QUANTS": True, "GGML_RPC": "OFF"}
    wanted = told(host(), options=options)
    assert (wanted["GGML_CUDA_FA_ALL_QUANTS"], wanted["GGML_RPC"]) == ("ON", "OFF")
    for name in ("GGML_NATIVE", "LLAMA_BUILD_NUMBER", "-DGGML_X", "A B", "A=B"):
        with pytest.raises(BuildProblem, match="is not an option that can be given"):
            told(host(), options={name: "ON"})


def test_a_host_with_gpus_and_no_toolkit_is_told_what_to_do() -> None:
    with pytest.raises(BuildProblem, match="no CUDA toolkit") as refused:
        told(host(8))
    assert "cuda-toolkit" in refused.value.remedy
    assert told(host(8), options={"GGML_CUDA": "OFF"})["GGML_CUDA"] == "OFF"
    with pytest.raises(BuildProblem, match="compute capability"):
        told(with_gpus())


OTHER_KINDS = {
    "another C library": host(glibc="2.41"),
    "another CPU": host(cpu=[*CPU, "avx512f"]),
    "GPUs": with_gpus("90"),
}


@pytest.mark.parametrize("other", OTHER_KINDS.values(), ids=OTHER_KINDS)
def test_hosts_of_another_kind_have_another_build(other: dict[str, Any]) -> None:
    def digest(facts: dict[str, Any]) -> str:
        return recipe.digest(settings(), recipe.kind_of(facts, True, {}))

    assert digest(host()) == digest(host())
    assert digest(host()) != digest(other)


def test_gpus_of_another_generation_and_another_toolkit_are_other_kinds() -> None:
    kinds = [
        recipe.kind_of(facts, True, {}) for facts in (with_gpus("90"), with_gpus("89"), with_gpus("90", cuda="13"))
    ]
    assert len(set(kinds)) == 3


def test_hosts_with_other_cpus_are_of_one_kind_where_the_cpu_does_not_count() -> None:
    other = host(cpu=[*CPU, "avx512f"])
    assert recipe.kind_of(host(), False, {}) == recipe.kind_of(other, False, {})
    assert told(other, native=False)["GGML_NATIVE"] == "OFF"


def test_another_commit_number_target_or_option_is_another_build() -> None:
    kind = recipe.kind_of(host(), True, {})
    wanted = [
        settings(),
        settings(pin="a" * 40),
        settings(number=11435),
        settings(targets=("llama-server", "llama-bench")),
        settings(options={"GGML_LTO": "ON"}),
    ]
    assert len({recipe.digest(one, kind) for one in wanted}) == len(wanted)


def test_what_programs_tell_of_a_machine_is_read() -> None:
    assert machine.capabilities("9.0\n9.0\n") == ["90"]
    assert machine.capabilities("8.9\n9.0\n12.0\n") == ["89", "90", "120"]
    assert machine.capabilities("[N/A]\nNo devices were found\n") == []
    assert (
        machine.toolkit_told("nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 12.8, V12.8.61")
        == "12.8"
    )
    assert machine.instructions("processor\t: 0\nflags\t\t: fpu avx2 avx512f arat ibrs fma\n") == [
        "avx2",
        "avx512f",
        "fma",
    ]
    assert machine.instructions("Features\t: fp asimd asimddp i8mm cpuid\n") == ["asimd", "asimddp", "i8mm"]


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (
            "[  3%] Building CXX object src/CMakeFiles/llama.dir/llama.cpp.o",
            (3, "Building CXX object src/CMakeFiles/llama.dir/llama.cpp.o"),
        ),
        ("[100%] Built target llama-server", (100, "Built target llama-server")),
        ("[120/480] Building CUDA object fattn.cu.o", (25, "Building CUDA object fattn.cu.o")),
        ("[999%] x", (100, "x")),
        ("[1/0] x", None),
        ("-- Configuring done", None),
    ],
)
def test_progress_is_the_percentage_of_cmake_s_steps(line: str, step: tuple[int, str] | None) -> None:
    assert step_of(line) == step


def test_of_a_failed_build_the_last_errors_are_shown_and_no_control_characters() -> None:
    tail = Tail()
    for number in range(1000):
        tail.add(f"[ 50%] Building {number}")
    tail.add("llama.cpp:12:1: error: 'gone' was not declared\x1b[31m")
    tail.add("   12 | gone;")
    tail.add("gmake[2]: *** [Makefile:76: all] Error 2")
    shown = tail.errors()
    assert shown[0].startswith("llama.cpp:12:1: error: 'gone' was not declared")
    assert shown[1:] == ["   12 | gone;", "gmake[2]: *** [Makefile:76: all] Error 2"]
    assert not any("\x1b" in line for line in shown)
