# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama.cpp servers from models_serve and from llama_cpp_servers on one host: neither list removes the other's."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import Start
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import changed

pytestmark = [pytest.mark.docker, pytest.mark.long]


def test_both_lists_serve_and_each_server_goes_with_its_own_entry(bare_host: Start, smollm2: SmolLM2) -> None:
    # On the host alone: the controller has no such folder.
    volumes = [f"--volume={smollm2.merged}:/srv/hand.gguf:ro", f"--volume={smollm2.shards[0].parent}:/srv/quants:ro"]
    host = bare_host("forky", *volumes)
    served = {"name": "smol", "engine": "llama_cpp", "source": {"hub": "path", "path": "/srv/quants"}}
    by_hand = {"name": "hand", "model": "/srv/hand.gguf", "port": 9000, "parameters": {"ctx-size": 512}}
    settings: dict[str, Any] = {
        "llama_cpp_source": "path",
        "llama_cpp_path": "/usr/bin/llama-server",
        "models_plan": "off",
    }

    said = ""

    def run(*options: str, **lists: Any) -> int:
        nonlocal said
        done = host.play("site.yml", *options, **settings, **lists)
        assert done.returncode == 0, done.stdout + done.stderr
        said = " ".join(done.stdout.split())
        return changed(done)

    def serving() -> set[str]:
        ports = host.sh(
            "for port in 8080 9000; do curl -fsS -m 5 http://127.0.0.1:$port/health >&2 && echo $port; done; true"
        )
        return set(ports.split())

    both = {"models_serve": [{**served, "parameters": {"ctx-size": 512}}], "llama_cpp_servers": [by_hand]}
    run(**both)
    assert serving() == {"8080", "9000"}
    assert run(**both) == 0, "a second run takes nothing away and brings nothing back"
    assert serving() == {"8080", "9000"}

    # No way leads from the controller to it.
    run("--skip-tags=verify", llama_cpp_servers=[{**by_hand, "host": "0.0.0.0"}])
    assert serving() == {"9000"}
    assert "closes for other machines" not in said
    run(llama_cpp_servers=[by_hand])
    assert serving() == {"9000"}
    assert "0.0.0.0:9000 closes for other machines: llama.cpp listens on loopback there now." in said
    assert "Clients use the gateway's address and a key" in said
    run()
    assert serving() == set(), "the last server goes, too"
