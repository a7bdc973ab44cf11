# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a host is to a compiler: instructions of its CPU, CUDA's toolkit, generations of its GPUs, tools."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import ProcessProblem, run_bounded
from ansible_collections.gguf.fleet.plugins.module_utils._process.programs import find_program
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines

# What a build needs beside CUDA's own compiler, by the programs of which one has to be there.
TOOLS: Dict[str, Tuple[str, ...]] = {"cmake": ("cmake",), "a C++ compiler": ("c++", "g++"), "make": ("make", "gmake")}
# Where NVIDIA's packages put it, which is in nobody's PATH.
CUDA_FOLDER = "/usr/local/cuda/bin"
_SECONDS = 60.0
_RELEASE = re.compile(r"release (\d+\.\d+)")
_CAPABILITY = re.compile(r"\s*(\d{1,2})\.(\d)\s*\Z")
# Instructions that a compiler uses by itself when it builds for this CPU; the rest comes and goes with kernels.
_INSTRUCTIONS = re.compile(
    r"(sse|ssse|avx|fma|f16c|bmi|amx|aes|vaes|gfni|adx|popcnt|abm|movbe|sha_ni|vpclmul|pclmul"
    r"|asimd|sve|sme|i8mm|bf16|fphp|atomics|crc32)\w*\Z"
)


def look() -> Dict[str, Any]:
    """Plain data: C(cpu) (instructions), C(cuda), C(nvcc), C(capabilities) (such as 90), C(lacks), C(ccache)."""
    nvcc = cuda_compiler()
    return {
        "cpu": instructions(_cpuinfo()),
        "cuda": _toolkit(nvcc) if nvcc else "",
        "nvcc": nvcc,
        "capabilities": _capabilities(),
        "lacks": look_for_tools(),
        "ccache": find_program("ccache") is not None,
    }


def look_for_tools() -> List[str]:
    """What is missing of what a build needs."""
    return [name for name, programs in TOOLS.items() if not any(map(find_program, programs))]


def instructions(cpuinfo: str) -> List[str]:
    """Of the first CPU in /proc/cpuinfo."""
    for line in lines(cpuinfo):
        name, colon, value = line.partition(":")
        if colon and name.strip() in ("flags", "Features"):
            return sorted({flag for flag in value.split() if _INSTRUCTIONS.match(flag)})
    return []


def capabilities(told: str) -> List[str]:
    """From what nvidia-smi prints of compute_cap, one GPU a line: 90 for an H20, 89 for a 4090."""
    found = (_CAPABILITY.match(line) for line in lines(told))
    return sorted({match.group(1) + match.group(2) for match in found if match}, key=int)


def cuda_compiler() -> str:
    """The path of nvcc; empty where there is none."""
    beside = os.path.join(CUDA_FOLDER, "nvcc")
    return find_program("nvcc") or (beside if os.access(beside, os.X_OK) else "")


def toolkit_told(text: str) -> str:
    """The version in what nvcc tells of itself."""
    found = _RELEASE.search(text)
    return found.group(1) if found else ""


def _toolkit(nvcc: str) -> str:
    return toolkit_told(_said([nvcc, "--version"]))


def _capabilities() -> List[str]:
    program = find_program("nvidia-smi")
    return capabilities(_said([program, "--query-gpu=compute_cap", "--format=csv,noheader"])) if program else []


def _said(argv: List[str]) -> str:
    try:
        ended = run_bounded(argv, seconds=_SECONDS)
    except ProcessProblem:
        return ""
    return ended.stdout.decode("utf-8", "replace") if ended.code == 0 else ""


def _cpuinfo() -> str:
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        return file.read(1 << 20)
