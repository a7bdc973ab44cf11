# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of the data by ansible-playbook itself: lock, download, seal, and what a sealed lock saves the next host."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import yaml

from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble

ROOT = Path(__file__).resolve().parents[3]
REPO = "lab/Tiny-GGUF"

PLAYBOOK = """
- name: From the hub to a host
  hosts: localhost
  gather_facts: false
  vars:
    lock_options: &lock
      name: tiny
      repo: lab/Tiny-GGUF
      quant: UD-IQ1_S
      endpoint: "{{ endpoint }}"
      lock_file: "{{ folder }}/models.lock.yml"
  tasks:
    - name: Pin
      gguf.fleet.gguf_resolve: *lock
      register: resolved
    - name: Fetch
      gguf.fleet.gguf_download:
        lock: "{{ resolved.lock }}"
        dest: "{{ folder }}/first.gguf"
    - name: Sum
      gguf.fleet.gguf_seal:
        lock: "{{ resolved.lock }}"
        dest: "{{ folder }}/first.gguf"
      register: sealed
    - name: Seal
      gguf.fleet.gguf_resolve:
        name: tiny
        repo: lab/Tiny-GGUF
        quant: UD-IQ1_S
        lock_file: "{{ folder }}/models.lock.yml"
        seal: "{{ sealed.seal }}"
      register: resolved
    - name: Fetch for the next host
      gguf.fleet.gguf_download:
        lock: "{{ resolved.lock }}"
        dest: "{{ folder }}/next.gguf"
      register: fetched
    - name: Pin once more
      gguf.fleet.gguf_resolve: *lock
      register: unchanged
    - name: Keep what was returned
      ansible.builtin.copy:
        content: "{{ {'fetched': fetched, 'unchanged': unchanged} | to_json }}"
        dest: "{{ folder }}/returned.json"
        mode: "0644"
"""


def play(tmp_path: Path, hub: HubDouble) -> str:
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "--diff",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-e",
            json.dumps({"endpoint": hub.url, "folder": str(tmp_path), "ansible_python_interpreter": sys.executable}),
            str(tmp_path / "play.yml"),
        ],
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "GGUF_FLEET_LEDGER": str(tmp_path / "ledger.json"),
        },
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_lock_is_made_used_sealed_and_used_again(
    tmp_path: Path, hub: HubDouble, quants: Dict[str, Dict[str, bytes]]
) -> None:
    output = play(tmp_path, hub)
    lock: Dict[str, Any] = yaml.safe_load((tmp_path / "models.lock.yml").read_text())["locks"]["tiny"]
    returned = json.loads((tmp_path / "returned.json").read_text())
    contents: List[bytes] = list(quants["UD-IQ1_S"].values())

    merged = hashlib.sha256((tmp_path / "first.gguf").read_bytes()).hexdigest()
    assert lock["merged"]["sha256"] == merged
    assert [file["sha256"] for file in lock["files"]] == [hashlib.sha256(content).hexdigest() for content in contents]
    assert list(lock["seal"]["pieces"]) == [file["path"] for file in lock["files"]]
    assert "+    seal:" in output
    assert (tmp_path / "next.gguf").read_bytes() == (tmp_path / "first.gguf").read_bytes()
    assert returned["fetched"]["sha256"] == merged
    assert (returned["unchanged"]["changed"], returned["unchanged"]["lock"]) == (False, lock)
