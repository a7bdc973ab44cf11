# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several instances of one model on one host: each answers on its own port and sees cards of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.doubles.ollama.build import unpack
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import (
    ROOT,
    BareHost,
    Start,
    release,
    simulated_gpus,
)
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import changed

pytestmark = [pytest.mark.docker, pytest.mark.long]

H20X8 = ROOT / "tests" / "doubles" / "nvml" / "configs" / "h20x8.conf"


def answer(host: BareHost, port: int, model: str) -> str:
    question = [{"role": "user", "content": "Name the capital of France."}]
    body = json.dumps({"model": model, "max_tokens": 24, "temperature": 0, "messages": question})
    told = host.sh(f"curl -fsS -m 120 -d '{body}' http://127.0.0.1:{port}/v1/chat/completions")
    return str(json.loads(told)["choices"][0]["message"]["content"])


def environment_of(host: BareHost, service: str) -> dict[str, str]:
    lines = host.sh(f"cat /etc/gguf-fleet/{service}.env").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name: value.strip('"') for name, _equals, value in pairs}


SERVERS = {
    "llama-cpp-lama": (8080, "lama"),
    "llama-cpp-lama-2": (8081, "lama"),
    "ollama": (11434, "smol"),
    "ollama-2": (11435, "smol"),
}


def play(
    host: BareHost, shards: Path, archive: dict[str, str], engines: list[str], replicas: int, *how: str, **more: object
) -> subprocess.CompletedProcess[str]:
    """So many instances of a model for each of the engines. how: playbook and its options. more: of each model."""
    lama = {"name": "lama", "engine": "llama_cpp", "parameters": {"ctx-size": 512}}
    smol = {"name": "smol", "engine": "ollama", "template": "chatml", "parameters": {"num_ctx": 512}}
    source = {"hub": "path", "path": str(shards)}
    served = [model for model in (lama, smol) if model["engine"] in engines]
    return host.play(
        *(how or ["site.yml"]),
        # Answers are asked for here.
        "--skip-tags=verify",
        **archive,
        llama_cpp_source="path",
        llama_cpp_path="/usr/bin/llama-server",
        ollama_expect_gpu=False,
        models_serve=[{**model, "source": source, "replicas": replicas, **more} for model in served],
    )


def converge(host: BareHost, shards: Path, archive: dict[str, str], engines: list[str], replicas: int) -> int:
    """The number of changes."""
    done = play(host, shards, archive, engines, replicas)
    assert done.returncode == 0, done.stdout + done.stderr
    return changed(done)


def test_two_instances_of_each_engine_answer_on_their_ports(
    bare_host: Start, smollm2: SmolLM2, ollama_archives: dict[str, Path], nvml_library: Path
) -> None:
    host = bare_host("forky", *simulated_gpus(nvml_library, H20X8))
    host.sh("ldconfig")
    given = (host, smollm2.shards[0].parent, release(ollama_archives, "0.5.7"), ["llama_cpp", "ollama"])

    converge(*given, 2)
    assert ["Paris" in answer(host, *where) for where in SERVERS.values()] == [True] * 4
    environments = {service: environment_of(host, service) for service in SERVERS}
    cards = [environments[service]["CUDA_VISIBLE_DEVICES"] for service in SERVERS]
    assert len(set(cards)) == 4 and all(card.startswith("GPU-") for card in cards)
    assert [environments[service].get("OLLAMA_NOPRUNE") for service in ("ollama", "ollama-2")] == [None, "1"]
    assert converge(*given, 2) == 0

    converge(*given, 1)
    assert ["Paris" in answer(host, *SERVERS[service]) for service in ("llama-cpp-lama", "ollama")] == [True] * 2
    for port in (8081, 11435):
        assert host.sh(f"curl -fsS -m 5 http://127.0.0.1:{port}/ || echo gone").strip() == "gone"
    assert host.sh("ls /etc/gguf-fleet").split().count("ollama-2.env") == 0


# As the stand-in, but a second server does not serve.
BROKEN, OLD, NEW = "0.34.0", "0.5.7", "0.33.2"
HALF_BROKEN = """#!/bin/sh
case "$1 $OLLAMA_HOST" in
    "serve "*:11435) echo "no kernel image is available for execution on the device" >&2; exit 1;;
esac
exec "$(dirname "$(readlink -f "$0")")/whole" "$@"
"""


def half_broken_release(archives: dict[str, Path], folder: Path) -> Path:
    """A version whose first server serves and whose second one does not."""
    whole, tree = folder / "whole", folder / "tree"
    whole.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", str(archives[NEW]), "-C", str(whole)], check=True)
    unpack(BROKEN, whole / "lib/ollama", tree)
    (tree / "bin/ollama").rename(tree / "bin/whole")
    (tree / "bin/ollama").write_text(HALF_BROKEN)
    (tree / "bin/ollama").chmod(0o755)
    archive = folder / "ollama-linux-amd64.tar.zst"
    subprocess.run(["tar", "--zstd", "--dereference", "-cf", str(archive), "-C", str(tree), "bin", "lib"], check=True)
    return archive


def test_all_servers_of_ollama_are_upgraded_rolled_back_and_uninstalled_together(
    bare_host: Start, smollm2: SmolLM2, ollama_archives: dict[str, Path], nvml_library: Path, tmp_path: Path
) -> None:
    host = bare_host("forky", *simulated_gpus(nvml_library, H20X8))
    host.sh("ldconfig")
    names = ("ollama", "ollama-2")
    archives = {**ollama_archives, BROKEN: half_broken_release(ollama_archives, tmp_path)}

    def run(version: str, *how: str) -> subprocess.CompletedProcess[str]:
        return play(host, smollm2.shards[0].parent, release(archives, version), ["ollama"], 2, *how, keep_alive="-1")

    def versions() -> list[str]:
        told = [host.sh(f"curl -fsS http://127.0.0.1:{SERVERS[name][0]}/api/version") for name in names]
        return [json.loads(one)["version"] for one in told]

    def in_memory() -> list[bool]:
        """On each server, without a question."""
        told = [f"http://127.0.0.1:{SERVERS[name][0]}/api/ps" for name in names]
        waits = "for _ in $(seq 60); do curl -fsS {} | grep -q smol && echo yes && exit; sleep 1; done; echo no"
        return [host.sh(waits.format(url)).strip() == "yes" for url in told]

    def upgrade(version: str, *how: str) -> list[str]:
        done = run(version, *how)
        assert done.returncode == 0, done.stdout + done.stderr
        return versions()

    assert upgrade(OLD, "site.yml") == [OLD] * 2
    before = [environment_of(host, name) for name in names]

    failed = run(BROKEN, "upgrade.yml")
    said = " ".join(failed.stdout.split())
    assert failed.returncode != 0, said
    assert "no kernel image" in said
    assert "ollama was put back and serves again." in said
    assert "ollama-2 was put back" in said
    assert versions() == [OLD] * 2
    assert [environment_of(host, name) for name in names] == before
    assert ["Paris" in answer(host, *SERVERS[name]) for name in names] == [True] * 2
    assert in_memory() == [True] * 2

    assert upgrade(NEW, "upgrade.yml") == [NEW] * 2
    assert in_memory() == [True] * 2
    assert upgrade(NEW, "rollback.yml") == [OLD] * 2
    assert [environment_of(host, name) for name in names] == before
    assert ["Paris" in answer(host, *SERVERS[name]) for name in names] == [True] * 2
    # By the lock file alone: nothing is resolved or planned again.
    assert upgrade(NEW, "site.yml", "--tags=engine") == [NEW] * 2

    gone = host.play("uninstall.yml")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    for name in names:
        assert host.sh(f"curl -fsS -m 5 http://127.0.0.1:{SERVERS[name][0]}/ || echo gone").strip() == "gone"
    assert host.sh("ls /etc/gguf-fleet/ollama* /opt/ollama 2>/dev/null || true").strip() == ""
    assert host.sh("pgrep -u ollama || true").strip() == ""
