# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of the data by ansible-playbook itself: pin, fetch, seal once, fetch by the sealed lock."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Dict

import yaml

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible, environment
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL, inventory
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble

ROOT = Path(__file__).resolve().parents[3]

FETCH = """
- name: Fetch what the inventory declares
  hosts: all
  gather_facts: false
  serial: 1
  tasks:
    - name: Resolve
      ansible.builtin.include_role: {name: gguf.fleet.models, tasks_from: resolve, public: true}
    - name: Download
      ansible.builtin.include_role: {name: gguf.fleet.models, tasks_from: download, public: true}
"""


PROVE = """
- name: Read what is there
  hosts: one
  gather_facts: false
  tasks:
    - name: Prove
      ansible.builtin.include_role: {name: gguf.fleet.models, tasks_from: prove}
"""


def play(tmp_path: Path, playbook: Path, variables: Dict[str, object], *, fails: bool = False) -> str:
    file = inventory(tmp_path, {"one": {}, "two": {}}, **variables)
    env = environment(GGUF_FLEET_LEDGER=str(tmp_path / "ledger.json"))
    done = ansible("ansible-playbook", "--diff", "-i", str(file), str(playbook), env=env)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout


def test_the_seal_is_written_once_from_the_first_host_that_has_the_files(tmp_path: Path, hub: HubDouble) -> None:
    source = {"hub": "modelscope", "repo": "lab/Tiny-GGUF", "quant": "UD-IQ1_S", "endpoint": hub.url}
    variables = {
        **LOCAL,
        "ansible_become": False,
        "host_models_dir": str(tmp_path / "models"),
        "models_serve": [{"name": "tiny", "source": source}],
    }
    (tmp_path / "models").mkdir()
    (tmp_path / "fetch.yml").write_text(FETCH)
    play(tmp_path, tmp_path / "fetch.yml", variables)
    lock_file = tmp_path / "models.lock.txt"
    assert "seal:" not in lock_file.read_text()

    output = play(tmp_path, ROOT / "playbooks" / "seal.yml", variables)
    (lock,) = yaml.safe_load(lock_file.read_text())["locks"].values()
    assert len(lock["seal"]["pieces"]) == 3
    assert output.count("+    seal:") == 1, "the second host finds the lock sealed"

    (merged,) = (tmp_path / "models").rglob("*.gguf")
    content = merged.read_bytes()
    assert lock["merged"]["sha256"] == hashlib.sha256(content).hexdigest()
    merged.unlink()
    (tmp_path / "ledger.json").unlink()
    play(tmp_path, tmp_path / "fetch.yml", variables)
    assert merged.read_bytes() == content, "the sealed lock serves the next download"

    sealed = lock_file.read_text()
    assert "changed=0" in play(tmp_path, ROOT / "playbooks" / "seal.yml", variables)
    assert lock_file.read_text() == sealed

    (tmp_path / "prove.yml").write_text(PROVE)
    assert "changed=0" in play(tmp_path, tmp_path / "prove.yml", variables)
    merged.chmod(0o644)
    merged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    said = play(tmp_path, tmp_path / "prove.yml", variables, fails=True)
    assert f"{merged} is not what was fetched" in said and "Run site.yml, which fetches it again" in said
