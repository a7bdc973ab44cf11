# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real tree of llama.cpp, built by the role for the CPU, serves a model; with ccache the same build is short."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, container

# Tens of minutes on two CPUs.
pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.timeout(5400)]
SHA256 = "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45"


@pytest.fixture
def host(smollm2: SmolLM2, builder_image: str, tmp_path: Path, monkeypatch: Any) -> Iterator[Host]:
    monkeypatch.setenv("GGUF_FLEET_CACHE", str(tmp_path / "cache"))
    more = ("--network=none",)
    yield from container("supervisord", "llama_cpp", smollm2.merged, tmp_path, *more, image=builder_image)


def seconds_of(output: str) -> float:
    """How long the build took, by what is shown of it."""
    found = re.search(r"built b11434-[0-9a-f]{8} in (\d+) s", output)
    assert found, output
    return float(found[1])


def test_the_real_source_is_built_and_answers(host: Host, llama_source: Path, tmp_path: Path) -> None:
    host.seconds = 2600
    assert hashlib.sha256(llama_source.read_bytes()).hexdigest() == SHA256
    parameters = {"ctx-size": 1024, "threads": 2}
    server = {"name": "smollm2", "model": "/srv/smollm2.gguf", "port": 11434, "parameters": parameters}
    wanted: dict[str, Any] = {
        "llama_cpp_source": "source",
        "llama_cpp_version": "b11434",
        "llama_cpp_source_archive": str(llama_source),
        "llama_cpp_source_sha256": SHA256,
        "llama_cpp_build_packages": [],
        "llama_cpp_servers": [server],
    }
    first = host.play(**wanted)
    assert first.returncode == 0, first.stdout + first.stderr
    print(f"built in {seconds_of(first.stdout)} s")
    assert len(re.findall(r"llama\.cpp b11434-[0-9a-f]{8}: build \d+ %", first.stdout)) > 5
    assert "build 11434" in host.sh("/usr/local/bin/llama-server --version 2>&1")
    assert "Paris" in host.answer()
    for program in ("llama-gguf-split --help", "llama-fit-params --help", "ggml-rpc-server --help"):
        assert "usage" in host.sh(f"/opt/llama.cpp/current/bin/{program} 2>&1", check=False).lower()
    assert host.converge(**wanted) == 0

    # Neither the host nor the controller has it any more: it is built again, from what ccache has kept.
    seconds = [seconds_of(first.stdout)]
    for kept in (tmp_path / "cache/builds").iterdir():
        kept.unlink()
    host.sh("rm -r /opt/llama.cpp/b11434-*; pkill llama-server")
    again = host.play(**wanted)
    assert again.returncode == 0, again.stdout + again.stderr
    seconds.append(seconds_of(again.stdout))
    print(f"built in {seconds[0]} s, with what ccache kept in {seconds[1]} s")
    assert "Paris" in host.answer()
