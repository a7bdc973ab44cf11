# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""models_prune of the role models, as a play runs it against the stand-in."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import declare
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import model_run as run
from ansible_collections.gguf.fleet.tests.ansible_runs import ansible, environment
from ansible_collections.gguf.fleet.tests.builders import gguf as builders
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL
from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_server import Server, digest_of_file
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2


def test_pruning_removes_undeclared_models_with_the_files_made_for_them_and_no_others(
    server: Server, files: Path, smollm2: SmolLM2, tmp_path: Path
) -> None:
    ledger = Ledger(str(tmp_path / "ledger.json"))
    paths = {}
    for name in ("declared", "dropped", "shared", "brought"):
        paths[name] = files / f"{name}.gguf"
        kv = {**builders.MODEL_KV, "general.name": ("str", name)}
        # The declared one gets new settings and is asked whether it answers with them.
        content = smollm2.merged.read_bytes() if name == "declared" else builders.gguf(kv, builders.tensors(2))
        paths[name].write_bytes(content)
        if name != "brought":
            # As gguf_download notes what it fetched.
            sha256 = digest_of_file(paths[name]).partition(":")[2]
            ledger.record(str(paths[name]), sha256=sha256, kind="file", lock="a lock")
        run.present(run.Request(server.url, str(server.models), False, name, file=str(paths[name])), ledger)

    variables = {
        **LOCAL,
        "models_prune": True,
        "_models_here": {
            "models": declare([{"name": "declared", "source": {"repo": "o/r", "quant": "Q4"}}], {}),
            "engines": {"ollama": {"servers": [{"url": server.url, "models": ["declared"]}]}},
        },
        "_models_placement": {"declared": {"ollama": {"parameters": {"num_gpu": 3}}}},
        "_models_ollama": {"url": server.url, "store": str(server.models)},
        # What else the host serves: a declared model's file, and one that a server of llama.cpp was given by hand.
        "_models_files": [{"path": str(paths["declared"]), "paths": [str(paths["declared"])]}],
        "llama_cpp_servers": [{"name": "by-hand", "model": str(paths["shared"])}],
    }
    role = {"name": "gguf.fleet.models", "tasks_from": "ollama"}
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.include_role": role}]}]
    (tmp_path / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    options = ["-e", json.dumps(variables), str(tmp_path / "play.yml")]
    env = environment(GGUF_FLEET_LEDGER=str(tmp_path / "ledger.json"))

    def played(*arguments: str) -> str:
        done = ansible("ansible-playbook", *options, *arguments, env=env)
        assert done.returncode == 0, done.stdout
        return done.stdout

    checked = played("--check", "--diff")
    assert str(paths["dropped"]) in checked
    assert len(server.names()) == 4
    assert all(path.exists() for path in paths.values())
    played()
    assert server.names() == ["declared:latest"]
    assert "num_gpu" in server.layer(server.manifest("declared"), "params").decode()
    assert [name for name, path in paths.items() if path.exists()] == ["declared", "shared", "brought"]
    assert "changed=0" in played()
