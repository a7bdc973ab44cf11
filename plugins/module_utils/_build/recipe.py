# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What is built, for which kind of hosts, and by which arguments of cmake. All of it makes one digest.

Hosts are of one kind where a build of one runs on the others and none of them loses speed by it: the same
architecture, C library, CUDA toolkit and generations of GPUs, and, where it is built for the CPU itself, the same
instructions.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, List, Mapping, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._engine.holes import build_number

# Before this build the tools lay among the examples.
_TOOLS_SINCE = 5400
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_OWN = ("CMAKE_CUDA_ARCHITECTURES", "GGML_NATIVE", "LLAMA_BUILD_NUMBER", "LLAMA_BUILD_COMMIT")


@dataclass(frozen=True)
class Kind:
    """A kind of hosts. cuda: the toolkit's version, empty for a build without CUDA. cpu: empty for any CPU."""

    architecture: str
    glibc: str
    cuda: str = ""
    nvcc: str = ""
    capabilities: Tuple[str, ...] = ()
    cpu: Tuple[str, ...] = ()

    def __str__(self) -> str:
        gpu = f"CUDA {self.cuda} for {', '.join(self.capabilities)}" if self.cuda else "no CUDA"
        cpu = "its own CPU" if self.cpu else "any CPU"
        return f"{self.architecture}, glibc {self.glibc}, {gpu}, {cpu}"


@dataclass(frozen=True)
class Settings:
    """What the inventory says of a build.

    version: the name of its directory. number: what LLAMA_BUILD_NUMBER becomes, 0 where nothing says it. pin: commit
    or sha256 of the source. options: further definitions of cmake, over ours.
    """

    version: str
    number: int
    pin: str
    targets: Tuple[str, ...]
    options: Mapping[str, str]
    native: bool


def kind_of(host: Mapping[str, Any], native: bool, options: Mapping[str, str]) -> Kind:
    """From the result of engine_info with build facts. Raises BuildProblem where GPUs are there and no toolkit is."""
    told = host["build"]
    off = str(options.get("GGML_CUDA", "")).upper() in ("OFF", "0", "FALSE", "NO")
    kind = Kind(host["architecture"], host["glibc"], cpu=tuple(told["cpu"]) if native else ())
    if not host["nvidia"] or off:
        return kind
    if not told["cuda"]:
        raise BuildProblem(
            f"the host has {host['nvidia']} NVIDIA GPU(s), and no CUDA toolkit: there is no nvcc in the PATH nor in "
            "/usr/local/cuda/bin.",
            "Install NVIDIA's toolkit (cuda-toolkit), or build for the CPU alone with llama_cpp_build_options: "
            "{GGML_CUDA: 'OFF'}. Nothing was changed.",
        )
    if not told["capabilities"]:
        raise BuildProblem(
            "nvidia-smi does not say the compute capability of the host's GPUs.",
            "Check that the driver runs (nvidia-smi), then run again. Nothing was changed.",
        )
    return Kind(kind.architecture, kind.glibc, told["cuda"], told["nvcc"], tuple(told["capabilities"]), kind.cpu)


def definitions(settings: Settings, kind: Kind) -> List[str]:
    """Arguments of cmake, each a whole one. Raises BuildProblem for an option that is none."""
    wanted = {
        "CMAKE_BUILD_TYPE": "Release",
        # A program finds its libraries beside it, wherever it is put.
        "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
        "CMAKE_INSTALL_RPATH": "$ORIGIN",
        "BUILD_SHARED_LIBS": "ON",
        "GGML_RPC": "ON",
        "GGML_NATIVE": "ON" if kind.cpu else "OFF",
        "GGML_CUDA": "ON" if kind.cuda else "OFF",
        "LLAMA_BUILD_SERVER": "ON",
        "LLAMA_BUILD_TOOLS": "ON",
        "LLAMA_BUILD_TESTS": "OFF",
        "LLAMA_BUILD_EXAMPLES": "ON" if 0 < settings.number < _TOOLS_SINCE else "OFF",
        "LLAMA_BUILD_APP": "OFF",
        "LLAMA_BUILD_UI": "OFF",
        "LLAMA_USE_PREBUILT_UI": "OFF",
        "LLAMA_CURL": "OFF",
        "LLAMA_BUILD_NUMBER": str(settings.number),
        "LLAMA_BUILD_COMMIT": settings.pin[:12],
    }
    if kind.cuda:
        wanted["CMAKE_CUDA_ARCHITECTURES"] = ";".join(kind.capabilities)
        wanted["CMAKE_CUDA_COMPILER"] = kind.nvcc
        # CUDA's libraries are found where they were linked from; not every toolkit tells the loader of its place.
        wanted["CMAKE_INSTALL_RPATH_USE_LINK_PATH"] = "ON"
    for name, value in settings.options.items():
        text = {True: "ON", False: "OFF"}.get(value, str(value)) if isinstance(value, bool) else str(value)
        if not _NAME.match(name) or name in _OWN or "\n" in text:
            raise BuildProblem(
                f"llama_cpp_build_options: {name!r} is not an option that can be given.",
                f"Write llama.cpp's own options, such as GGML_CUDA_FA_ALL_QUANTS, and not {', '.join(_OWN)}.",
            )
        wanted[name] = text
    return [f"-D{name}={value}" for name, value in sorted(wanted.items())]


def digest(settings: Settings, kind: Kind) -> str:
    """Names the build: what is built twice from the same of these is the same release."""
    content = {"kind": asdict(kind), "definitions": definitions(settings, kind), "targets": sorted(settings.targets)}
    content["pin"] = settings.pin
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def needed_bytes(kind: Kind) -> int:
    """Room that a build takes at the most: objects, programs and the compiler's cache."""
    return (6 if kind.cuda else 2) << 30


def number_of(version: str, given: int) -> int:
    """The build number: what is given, else that of a tag such as b11434, else 0."""
    return given or build_number(version) or 0
