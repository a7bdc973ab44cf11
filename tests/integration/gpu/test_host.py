# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module host as Ansible runs it: the controller's pynvml goes along, and a converged host is left alone."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pynvml

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL

ROOT = Path(__file__).resolve().parents[3]
MODULE = ROOT / "plugins/modules/host.py"


def test_check_run_check_and_run_again(tmp_path: Path, nvml_environment: Callable[[str], dict[str, str]]) -> None:
    given = {"models_dir": str(tmp_path / "models"), "pynvml": True, "pynvml_path": str(tmp_path / "python")}
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    # The host's Python has no pynvml of its own.
    (hidden / "pynvml.py").write_text("raise ImportError('none')\n")
    steps = ("told", "done", "told_again", "done_again")
    tasks: list[dict[str, Any]] = [
        {"gguf.fleet.host": given, "check_mode": step.startswith("told"), "register": step} for step in steps
    ]
    tasks.append(
        {
            "ansible.builtin.copy": {
                "content": "{{ [" + ", ".join(steps) + "] | to_json }}",
                "dest": str(tmp_path / "results"),
            }
        }
    )
    environment = {**nvml_environment("rtx4090x2"), "PYTHONPATH": str(hidden)}
    play = {"hosts": "localhost", "gather_facts": False, "vars": LOCAL, "environment": environment, "tasks": tasks}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    done = ansible("ansible-playbook", "-i", "localhost,", str(tmp_path / "play.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    told, made, told_again, made_again = json.loads((tmp_path / "results").read_text())
    assert told["actions"] == made["actions"] != []
    assert (made["source"], len(made["gpus"])) == ("pynvml", 2)
    assert (tmp_path / "python/pynvml.py").read_bytes() == Path(pynvml.__file__).read_bytes()
    for again in (told_again, made_again):
        assert (again["changed"], again["actions"], len(again["gpus"])) == (False, [], 2)
    assert "NVML_SUCCESS" not in done.stdout, "the file is not shown"


def test_all_that_is_in_the_way_is_said_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [server.getsockname()[1] for server in (one, other)]
        needed = {"models_dir": str(tmp_path / "models"), "needed_bytes": 2**60}
        task = {"gguf.fleet.host": {**needed, "ports": ports}}
        play = {"hosts": "localhost", "gather_facts": False, "vars": LOCAL, "tasks": [task]}
        (tmp_path / "play.yml").write_text(json.dumps([play]))
        done = ansible("ansible-playbook", "-i", "localhost,", str(tmp_path / "play.yml"))
    assert done.returncode != 0
    assert [port for port in ports if f"Port {port} is taken by" not in done.stdout] == []
    assert (
        f"{tmp_path / 'models'} has " in done.stdout and "the models need at least 1048576.00 TiB more" in done.stdout
    )
    assert not (tmp_path / "models").exists()


def test_an_older_python_is_refused_with_the_way_out_before_it_reads_what_it_cannot() -> None:
    program = (
        "import json, runpy, sys; sys.path.insert(0, sys.argv[1]); import conftest;"
        "from ansible.module_utils import basic; from ansible.module_utils.testing import patch_module_args;"
        "sys.version_info = (3, 8, 18);"
        "sys.modules['ansible_collections.gguf.fleet.plugins.module_utils._preflight.host'] = None\n"
        "with patch_module_args({}):\n"
        "    runpy.run_module('ansible_collections.gguf.fleet.plugins.modules.host', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT / "tests")],
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ},
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["failed"]
    assert result["msg"] == (
        f"{sys.executable} is Python 3.8.18; 3.9 or newer is needed. "
        "Install a newer one beside it and name it in ansible_python_interpreter."
    )


def test_the_module_and_what_it_imports_first_can_be_read_by_the_oldest_python_that_ansible_serves() -> None:
    first = [MODULE, *(ROOT / f"plugins/module_utils/{name}.py" for name in ("_problem", "_text"))]
    for path in first:
        ast.parse(path.read_text(), feature_version=(3, 7))
