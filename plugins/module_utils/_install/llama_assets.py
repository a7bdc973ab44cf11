# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which of llama.cpp's own archives fits a host: by the age of the build, architecture, GPU, driver and glibc.

Where it is not known when an archive began to be published, the first build that was seen with it counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._engine.holes import build_number
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

AUTO = "auto"
_SUFFIX = {"amd64": "x64", "arm64": "arm64"}
_REMEDY = "Build it with llama_cpp_source: source, or name the archives by hand. Nothing was changed."
_GPU = {"cuda": "NVIDIA GPUs", "vulkan": "AMD GPUs", "cpu": "no GPU that it would use"}


@dataclass(frozen=True)
class Machine:
    """What an archive has to run on.

    architecture: amd64, arm64, or what the kernel says. glibc: such as 2.36, empty where the C library is another one.
    gpu: cuda, vulkan, or cpu for none. driver: NVIDIA's, empty where none runs.
    """

    architecture: str
    glibc: str
    gpu: str = "cpu"
    driver: str = ""


@dataclass(frozen=True)
class _Archive:
    """An archive as it is published from one build on, until the build before another one."""

    architecture: str
    gpu: str
    first: int
    last: Optional[int]
    kind: str
    extension: str
    glibc: Tuple[int, int]
    driver: int = 0

    def has(self, number: Optional[int]) -> bool:
        """Whether a build of this number is published as such an archive."""
        return number is not None and self.first <= number and (self.last is None or number <= self.last)

    def names(self, tag: str) -> List[str]:
        kind = f"{self.kind}-" if self.kind else ""
        name = f"llama-{tag}-bin-ubuntu-{kind}{_SUFFIX[self.architecture]}.{self.extension}"
        return [name, f"cudart-{name}"] if self.gpu == "cuda" else [name]


# glibc by Ubuntu's release that they are built on: 22.04 (2.35), or 24.04, whose symbols go up to 2.38.
_OLD, _NEW = (2, 35), (2, 38)
_ARCHIVES = (
    _Archive("amd64", "cpu", 4282, 5307, "", "zip", _NEW),
    _Archive("amd64", "cpu", 5308, 7471, "", "zip", _OLD),
    _Archive("amd64", "cpu", 7472, None, "", "tar.gz", _OLD),
    # Those of early 2025 do not run on many systems; upstream took them back.
    _Archive("arm64", "cpu", 8802, None, "", "tar.gz", _NEW),
    _Archive("amd64", "vulkan", 5600, 7471, "vulkan", "zip", _OLD),
    _Archive("amd64", "vulkan", 7472, None, "vulkan", "tar.gz", _OLD),
    _Archive("arm64", "vulkan", 9381, None, "vulkan", "tar.gz", _NEW),
    # What is not compiled for a card itself is compiled by its driver, which has to be as new as the toolkit.
    _Archive("amd64", "cuda", 11064, None, "cuda-12.8", "tar.gz", _NEW, 570),
    _Archive("arm64", "cuda", 11118, None, "cuda-13.4", "tar.gz", _NEW, 580),
)


def llama_cpp_assets(version: str, machine: Machine) -> List[str]:
    """The archive of a build (its tag, b4610) for a machine, and behind it CUDA's libraries. Raises InstallProblem."""
    number = build_number(version)
    wrong = _nothing_like(machine)
    for archive in _ARCHIVES:
        if (archive.architecture, archive.gpu) != (machine.architecture, machine.gpu):
            continue
        if not archive.has(number):
            wrong = wrong or f"for such a host there are archives since b{archive.first}"
            continue
        wrong = _does_not_run(archive, machine)
        if not wrong:
            return archive.names(version)
    gpu = _GPU[machine.gpu] + (f", driver {machine.driver}" if machine.driver else "")
    raise InstallProblem(
        f"llama_cpp_release_assets: auto: upstream has no archive of llama.cpp {version} for this host "
        f"({machine.architecture}, {gpu}, {f'glibc {machine.glibc}' if machine.glibc else 'no glibc'}): {wrong}.",
        _REMEDY,
    )


def archives_of_build(version: str, architecture: str) -> List[List[str]]:
    """All archives of a build for machines of an architecture, each with those behind it. Raises InstallProblem."""
    number = build_number(version)
    found = [one.names(version) for one in _ARCHIVES if one.architecture == architecture and one.has(number)]
    if not found:
        raise InstallProblem(
            f"llama_cpp_release_assets: auto: upstream has no archive of llama.cpp {version} for {architecture}.",
            _REMEDY,
        )
    return found


def _nothing_like(machine: Machine) -> str:
    if machine.architecture not in _SUFFIX:
        return f"there are archives for {' and '.join(_SUFFIX)}"
    return ""


def _does_not_run(archive: _Archive, machine: Machine) -> str:
    needed = ".".join(map(str, archive.glibc))
    if _numbers(machine.glibc) < archive.glibc:
        return f"{archive.names('<tag>')[0]} needs glibc {needed}"
    if archive.driver and not machine.driver:
        return "NVIDIA's driver does not run here"
    if archive.driver and _numbers(machine.driver) < (archive.driver,):
        return f"{archive.names('<tag>')[0]} needs NVIDIA's driver {archive.driver}"
    return ""


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
