# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images and assets as fixtures. What is missing is built by tests/images and tests/assets, never skipped."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Protocol

import pytest

TESTS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class SmolLM2:
    """SmolLM2-135M-Instruct Q4_1, and what the real llama-gguf-split made of it."""

    whole: Path
    shards: list[Path]
    merged: Path


class ProgramInImage(Protocol):
    """Runs a program in one of our images; `cwd` and `mounts` (host path: container path) are writable there."""

    def __call__(
        self, argv: Sequence[str], cwd: Path, mounts: Optional[Mapping[Path, str]] = None
    ) -> subprocess.CompletedProcess[str]: ...


def _build(kind: str, *names: str) -> None:
    script = TESTS / kind / "build.sh"
    built = subprocess.run([str(script), *names], text=True, capture_output=True, check=False)
    if built.returncode != 0:
        pytest.fail(f"{script} {' '.join(names)} failed:\n{built.stdout}{built.stderr}", pytrace=False)


def image(name: str) -> str:
    """What Docker calls this image of tests/images."""
    _build("images", name)
    return f"gguf-fleet-{name}"


def program_in(image: str) -> ProgramInImage:
    _build("images", image)

    def run(
        argv: Sequence[str], cwd: Path, mounts: Optional[Mapping[Path, str]] = None
    ) -> subprocess.CompletedProcess[str]:
        volumes = {cwd: str(cwd), **(mounts or {})}
        options = [f"--volume={host}:{container}" for host, container in volumes.items()]
        options += [f"--user={os.getuid()}:{os.getgid()}", f"--workdir={cwd}", "--network=none"]
        docker = ["docker", "run", "--rm", *options, f"gguf-fleet-{image}"]
        return subprocess.run([*docker, *argv], text=True, capture_output=True, check=False)

    return run


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("GGUF_FLEET_CACHE") or f"{base}/gguf-fleet")


@pytest.fixture(scope="session")
def smollm2(cache_dir: Path) -> SmolLM2:
    _build("assets", "smollm2")
    folder = cache_dir / "assets" / "smollm2"
    return SmolLM2(
        whole=folder / "SmolLM2-135M-Instruct.Q4_1.gguf",
        shards=sorted((folder / "shards").glob("*.gguf")),
        merged=folder / "merged.gguf",
    )


@pytest.fixture(scope="session")
def ollama_archives(cache_dir: Path) -> dict[str, Path]:
    """Version -> release archive with the Ollama stand-in; sha256sum.txt lies beside each."""
    _build("assets", "ollama")
    folder = cache_dir / "assets" / "ollama"
    return {archive.parent.name[1:]: archive for archive in sorted(folder.glob("v*/ollama-linux-*"))}


@pytest.fixture(scope="session")
def llama_source(cache_dir: Path) -> Path:
    """The whole tree of llama.cpp, in the source distribution of a package."""
    _build("assets", "llama-source")
    (archive,) = (cache_dir / "assets" / "llama-source").glob("*.tar.gz")
    return archive


@pytest.fixture(scope="session")
def nvml_library(cache_dir: Path) -> Path:
    _build("assets", "nvml")
    return cache_dir / "assets" / "nvml" / "libnvidia-ml.so.1"


@pytest.fixture(scope="session")
def forky() -> ProgramInImage:
    """Debian forky with the real llama.cpp tools."""
    return program_in("forky")


@pytest.fixture(scope="session")
def gateway_image() -> str:
    """Debian 12 with its HAProxy, and systemd."""
    return image("gateway")


@pytest.fixture(scope="session")
def builder_image() -> str:
    """The name of the image of a host that can build llama.cpp."""
    _build("images", "builder")
    return "builder"


@pytest.fixture(scope="session")
def judge() -> ProgramInImage:
    """forky with a compiler and the real ggml and llama libraries."""
    return program_in("judge")
