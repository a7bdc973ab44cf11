# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failure as it is printed with the settings of the checkout: a sentence, unless the result says more."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL, inventory

SHOW = {"gguf.fleet.show_report": {"lines": ["The end of {{ ansible_play_hosts_all | join(', ') }}"]}, "run_once": True}


def run(tmp_path: Path, hosts: Mapping[str, Any], tasks: list[dict[str, Any]], *options: str) -> str:
    play = {"hosts": "all", "gather_facts": False, "tasks": [{"block": tasks, "always": [SHOW]}]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    file = inventory(tmp_path, hosts)
    done = ansible("ansible-playbook", "-i", str(file), str(tmp_path / "play.yml"), *options)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def test_an_item_that_failed_prints_its_message_and_more_where_there_is_more_to_say(tmp_path: Path) -> None:
    missing = {"name": "Read", "gguf.fleet.gguf_info": {"path": "{{ item }}"}, "loop": ["/none/a", "/none/b"]}
    refused = {"name": "Refuse", "ansible.builtin.fail": {"msg": ["first", "second"]}}
    command = {"name": "Run", "ansible.builtin.command": {"argv": ["sh", "-c", "echo why >&2; exit 3"]}}
    tasks = [{**task, "ignore_errors": True} for task in (missing, refused)]
    shown = run(tmp_path, {"one": LOCAL}, [*tasks, command])
    assert [line for line in shown.splitlines() if line.startswith("failed: [one] (item=/none/a) => /none: No such")]
    assert "fatal: [one]: FAILED! => \n    first\n    second\n" in shown
    assert "remedy" not in shown and "ansible_loop_var" not in shown and "exception" not in shown
    assert '"stderr": "why"' in shown
    assert '"remedy": ' in run(tmp_path, {"one": LOCAL}, [missing], "-v")


def test_a_run_that_reaches_no_host_comes_to_its_end_and_says_why_of_each(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        away = {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": held.getsockname()[1],
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no",
        }
        look = {"name": "Look", "gguf.fleet.host": {}, "register": "__host_info"}
        shown = run(tmp_path, {"one": away, "two": away}, [look])
    assert "\nThe end of one, two\n" in shown
    for name in ("one", "two"):
        assert f"fatal: [{name}]: FAILED! => " in shown
    assert "Connection refused" in shown
