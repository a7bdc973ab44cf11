# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One task of a module of this collection on localhost, as ansible-playbook runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

from ansible_collections.gguf.fleet.tests.ansible_runs import environment, only_expected_warnings, program
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@contextmanager
def held_still(status: Path) -> Iterator[None]:
    """The module's process stands still from its first word in its status file until the end of the block."""
    wait_until(status.exists)
    process = json.loads(status.read_text(encoding="utf-8"))["holder"]["pid"]
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def next_line(running: subprocess.Popen[str], wanted: Callable[[str], bool]) -> str:
    assert running.stdout is not None
    for line in running.stdout:
        if wanted(line):
            return line
    raise AssertionError("the playbook ended without the line")


def rest_of(running: subprocess.Popen[str]) -> str:
    text, _errors = running.communicate(timeout=120)
    only_expected_warnings(text)
    assert running.returncode == 0, text
    return str(text)


class Play:
    def __init__(self, place: Path, module: str, dest: Path, **options: Any) -> None:
        self.dest = dest
        # Ansible's own place for async jobs is missed where HOME is not the user's home of record.
        self.variables: Dict[str, Any] = {
            **LOCAL,
            "ansible_async_dir": str(place / "async"),
        }
        self.environment = environment(GGUF_FLEET_LEDGER=str(place / "ledger.json"))
        self._place = place
        self._module = module
        self._options = options

    def start(self, *arguments: str, task: Optional[Dict[str, Any]] = None, **options: Any) -> subprocess.Popen[str]:
        given = {"dest": str(self.dest), **self._options, **options}
        # What belongs to one file, beside what holds for all of them.
        own: Dict[str, Any] = {
            name: given.pop(name) for name in ("name", "lock", "dest", "layout", "token") if name in given
        }
        # With several in options, ours is none of them.
        module = {**own, **given} if self._module.endswith("gguf_merge") else {"downloads": [own], **given}
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": self.variables,
            "tasks": [{"name": "Run it", self._module: module, **(task or {})}],
        }
        playbook = self._place / "play.yml"
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        return subprocess.Popen(
            [program("ansible-playbook"), str(playbook), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            cwd=self._place,
            text=True,
        )

    def run(self, *arguments: str, warnings: Sequence[str] = (), **options: Any) -> str:
        text, _errors = self.start(*arguments, **options).communicate(timeout=120)
        only_expected_warnings(text, warnings)
        return str(text)

    def is_progress(self, line: str) -> bool:
        return line.startswith(f"localhost: {self.dest}: ")

    def progress_lines(self, output: str) -> List[str]:
        return [line for line in output.splitlines() if self.is_progress(line)]

    def breakable_connection(self) -> Path:
        """From now on the connection is lost as long as the file is there; each try adds a line to it."""
        cut = self._place / "cut"
        self.variables["ansible_connection"] = "breakable"
        self.environment["ANSIBLE_CONNECTION_PLUGINS"] = str(Path(__file__).with_name("connections"))
        self.environment["BREAKABLE_CUT"] = str(cut)
        return cut
