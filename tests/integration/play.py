# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One task of a module of this collection on localhost, as ansible-playbook runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

CHECKOUT = Path(__file__).resolve().parents[2]


class Play:
    def __init__(self, place: Path, module: str, dest: Path, **options: Any) -> None:
        self.dest = dest
        # Ansible's own place for async jobs is missed where HOME is not the user's home of record.
        self.variables: Dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_async_dir": str(place / "async"),
        }
        self.environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "GGUF_FLEET_LEDGER": str(place / "ledger.json"),
        }
        self._place = place
        self._module = module
        self._options = options

    def start(self, *arguments: str, task: Optional[Dict[str, Any]] = None, **options: Any) -> subprocess.Popen[str]:
        module = {"dest": str(self.dest), **self._options, **options}
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": self.variables,
            "tasks": [{"name": "Run it", self._module: module, **(task or {})}],
        }
        playbook = self._place / "play.yml"
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("ansible-playbook")), str(playbook), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            cwd=self._place,
            text=True,
        )

    def run(self, *arguments: str, **options: Any) -> str:
        text, _errors = self.start(*arguments, **options).communicate(timeout=120)
        return str(text)

    def is_progress(self, line: str) -> bool:
        return line.startswith(f"localhost: {self.dest}: ")

    def progress_lines(self, output: str) -> List[str]:
        return [line for line in output.splitlines() if self.is_progress(line)]
