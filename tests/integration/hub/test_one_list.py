# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first task of site.yml: all that is wrong is one list, and nothing was touched."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Dict, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock_file import dump
from ansible_collections.gguf.fleet.tests.ansible_runs import ansible, environment
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL, inventory
from ansible_collections.gguf.fleet.tests.builders.listings import a_lock
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble

ROOT = Path(__file__).resolve().parents[3]
# As on a controller on which these packages are not installed.
WITHOUT = "import sys\nfor name in ('modelscope_hub', 'pynvml'):\n    sys.modules[name] = None\n"

DESCRIBE = """
- name: Describe
  hosts: all
  gather_facts: false
  tasks:
    - name: Describe the fleet
      ansible.builtin.import_tasks: "{{ describe }}"
      vars: {_describe_resolves: "{{ ansible_play_hosts }}"}
"""


def run(
    tmp_path: Path,
    playbook: Path,
    hosts: Mapping[str, Mapping[str, Any]],
    *arguments: str,
    without: bool = False,
    warnings: Sequence[str] = (),
) -> Any:
    packages = tmp_path / "packages"
    packages.mkdir(exist_ok=True)
    (packages / "sitecustomize.py").write_text(WITHOUT if without else "")
    variables = {**LOCAL, "ansible_become": False, "host_models_dir": str(tmp_path / "models")}
    file = inventory(tmp_path, hosts, **variables)
    env = environment(PYTHONPATH=str(packages))
    return ansible("ansible-playbook", "-i", str(file), str(playbook), *arguments, env=env, warnings=warnings)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{held.getsockname()[1]}"
        source = {"hub": "modelscope", "repo": "lab/Tiny-GGUF", "quant": "UD-IQ1_S", "endpoint": dead}
        right = {"name": "tiny", "source": source}
        release = {"ollama_source_url": f"{dead}/{{asset}}", "ollama_trust_mirror_checksums": True}
        hosts = {
            "one": {"models_serve": [right, {"name": "typo", "source": source, "parametrs": {}}], **release},
            "two": {
                "models_serve": [{**right, "engine": "llama_cpp", "parameters": {"num_ctx": 512}}],
                "models_mirrors": [f"{dead}/mirror", "mirror.example/models"],
            },
        }
        asked = "two: models_mirrors: asked from the controller"
        done = run(tmp_path, ROOT / "playbooks/site.yml", hosts, without=True, warnings=[asked])
        tagged = run(tmp_path, ROOT / "playbooks/site.yml", hosts, "--skip-tags", "models,engine", without=True)
    assert done.returncode != 0
    wanted = (
        "there is no setting 'parametrs'",
        "ctx-size",
        "has no package modelscope",
        f"{dead}: No connection",
        "one: no sha256 is known for ollama-linux-amd64.tar.zst, ollama-linux-arm64.tar.zst of Ollama 0.33.2",
        "two: models_mirrors names 'mirror.example/models'",
    )
    assert [words for words in wanted if words not in done.stdout] == [], done.stdout
    assert done.stdout.count("fatal: ") == 1 and "Nothing was changed." in done.stdout
    assert not (tmp_path / "models").exists() and not (tmp_path / "models.lock.txt").exists()
    assert "modelscope" not in tagged.stdout and "parametrs" in tagged.stdout, "nothing would be resolved"
    assert "sha256" not in tagged.stdout, "nothing would be installed"


def test_a_fleet_that_has_all_it_needs_goes_on_and_gpus_without_pynvml_are_a_warning(
    tmp_path: Path, hub: HubDouble
) -> None:
    source = {"hub": "modelscope", "repo": "lab/Tiny-GGUF", "quant": "UD-IQ1_S", "endpoint": hub.url}
    gpus = [{"name": "H20", "memory_total_mib": 97871, "count": 8}]
    hosts: Dict[str, Dict[str, Any]] = {
        "one": {"models_serve": [{"name": "tiny", "source": source}]},
        "two": {"fleet_gpus": gpus},
    }
    play = tmp_path / "describe.yml"
    play.write_text(DESCRIBE.replace("{{ describe }}", str(ROOT / "playbooks/tasks/describe.yml")))
    done = run(tmp_path, play, hosts)
    assert done.returncode == 0, done.stdout + done.stderr
    lacking = run(tmp_path, play, hosts, without=True, warnings=["has no pynvml"])
    assert lacking.returncode != 0
    assert "has no package modelscope, which resolves tiny on one" in lacking.stdout


def test_the_table_has_a_host_that_is_not_reached_and_one_that_is_not_ready_each_with_the_reason(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        away = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": held.getsockname()[1]}
        model = {"name": "tiny", "engine": "llama_cpp", "source": {"hub": "path", "path": str(tmp_path)}, "port": port}
        hosts: Dict[str, Dict[str, Any]] = {"one": {"models_serve": [model]}, "two": {**away, "models_serve": [model]}}
        # Pinned, and larger than any disk.
        (tmp_path / "models.lock.txt").write_text(dump({"files:tiny": a_lock(30, 2**44)}))
        done = run(tmp_path, ROOT / "playbooks/site.yml", hosts, "--tags", "preflight,models")
        # Where no model is fetched, no room is needed.
        only = run(tmp_path, ROOT / "playbooks/site.yml", hosts, "--tags", "preflight")
    assert done.returncode != 0
    table = done.stdout[done.stdout.index("\nhost  model ") :].splitlines()
    rows = {line.split()[0]: line for line in table if " tiny " in line}
    assert "FAILED" in rows["one"] and "UNREACHABLE" in rows["two"], done.stdout
    assert [line for line in table if line.startswith("UNREACHABLE: two: ") and "Connection refused" in line]
    assert [line for line in table if line.startswith(f"FAILED: one: Port {port} is taken by ") and "TiB more" in line]
    assert f"Port {port} is taken by " in only.stdout and "TiB more" not in only.stdout
    assert not (tmp_path / "models").exists()
