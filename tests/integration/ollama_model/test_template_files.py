# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Go template reaches Ollama as it was written, whichever way an inventory gives it, or is refused."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible

TEXT = "{{ if .System }}{{ .System }}{{ end }}<|user|>{{ .Prompt }}\n{{- range $i, $_ := .Messages }}{{ $i }}{{ end }}"

INVENTORY = """
all:
  hosts:
    one:
      ansible_connection: local
      ansible_python_interpreter: {python}
      models_serve:
        - {{name: by-file, template_file: templates/house.tmpl, source: {{repo: o/r, quant: Q4}}}}
        - name: by-text
          template: {tag}"{text}"
          source: {{repo: o/r, quant: Q4}}
"""

PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        gguf_fleet: "{{ hostvars | gguf.fleet.fleet }}"
    - ansible.builtin.copy:
        content: "{{ models | map(attribute='template') | to_json }}"
        dest: "{{ playbook_dir }}/told.json"
      vars:
        models: "{{ gguf_fleet.hosts.one | gguf.fleet.models_for_ollama(files, {}) }}"
        files: [{path: /a}, {path: /b}]
"""


def play(folder: Path, text: str, tag: str = "!unsafe ") -> tuple[int, str]:
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "house.tmpl").write_text(TEXT, encoding="utf-8")
    (folder / "hosts.yml").write_text(
        INVENTORY.format(python=sys.executable, tag=tag, text=text.replace("\n", "\\n")), encoding="utf-8"
    )
    (folder / "play.yml").write_text(PLAY, encoding="utf-8")
    done = ansible("ansible-playbook", "-i", str(folder / "hosts.yml"), str(folder / "play.yml"))
    return done.returncode, done.stdout + done.stderr


def test_a_template_by_file_and_one_that_is_unsafe_arrive_word_for_word(tmp_path: Path) -> None:
    code, said = play(tmp_path, TEXT)
    assert code == 0, said
    told = (tmp_path / "told.json").read_text(encoding="utf-8")
    assert told.count("{{ .Prompt }}") == 2 and "$_ := .Messages" in told, told


def test_a_template_that_ansible_took_apart_is_refused_with_what_to_write(tmp_path: Path) -> None:
    code, said = play(tmp_path, "<|user|>{{ inventory_hostname }}<|assistant|>", tag="")
    assert code != 0
    assert "write template: !unsafe before the text" in " ".join(said.split())
