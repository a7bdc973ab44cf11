# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of an Ollama host, the stand-in as Ollama: without systemd, and with it what Molecule leaves out."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.unit.plugins.module_utils._install.archives import ollama_tree, tgz

pytestmark = pytest.mark.docker
ROOT = Path(__file__).resolve().parents[3]
OLD, NEW = "0.5.7", "0.33.2"
# Molecule's scenario ollama_life does the same under systemd.
without_systemd = pytest.mark.parametrize("host", ["script"], indirect=True, scope="module")
both_ways = pytest.mark.parametrize("host", ["systemd", "script"], indirect=True, scope="module")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Host:
    """A container, and the playbooks that are run over it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder

    def sh(self, script: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", "exec", self.name, "sh", "-c", script], text=True, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def play(self, playbook: str = "", *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        host = {"ansible_connection": "community.docker.docker", "ansible_python_interpreter": "/usr/bin/python3"}
        sums = {"ollama_sums_file": str(self.folder / "sums")}
        inventory = {"all": {"hosts": {self.name: host}, "vars": {"ansible_become": False, **sums, **variables}}}
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
        if not playbook:
            role = {"ansible.builtin.include_role": {"name": "gguf.fleet.ollama"}}
            (self.folder / "play.yml").write_text(
                yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [role]}])
            )
            playbook = str(self.folder / "play.yml")
        program = f"{Path(sys.executable).parent}/ansible-playbook"
        command = [program, "-i", str(self.folder / "inventory.yml"), playbook, *options]
        return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)

    def converge(self, **variables: Any) -> int:
        """Runs the role and gives the number of changes."""
        done = self.play(**variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return changed(done)

    def api(self, path: str, body: Optional[dict[str, Any]] = None) -> Any:
        data = f"-d '{json.dumps(body)}'" if body else ""
        return json.loads(self.sh(f"curl -fsS -m 120 {data} http://127.0.0.1:11434{path}"))

    def version(self) -> str:
        return str(self.api("/api/version")["version"])

    def answer(self) -> str:
        question = [{"role": "user", "content": "What is the capital of France?"}]
        body = {"model": "smollm2", "max_tokens": 16, "temperature": 0, "messages": question}
        return str(self.api("/v1/chat/completions", body)["choices"][0]["message"]["content"])


def changed(done: subprocess.CompletedProcess[str]) -> int:
    return int(done.stdout.rsplit("changed=", 1)[1].split()[0])


def message(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def container(kind: str, smollm2: SmolLM2, folder: Path) -> Iterator[Host]:
    name = f"gguf-fleet-role-{uuid.uuid4().hex[:8]}"
    options, command = ["--init"], ["sleep", "infinity"]
    if kind == "systemd":
        script = f". {ROOT}/tests/lab/systemd_options.sh; systemd_options bookworm"
        told = subprocess.run(["bash", "-c", script], text=True, capture_output=True, check=True)
        options, command = told.stdout.split(), ["/lib/systemd/systemd"]
    model = f"--volume={smollm2.merged}:/srv/smollm2.gguf:ro"
    start = ["docker", "run", "--detach", "--name", name, model, *options, "gguf-fleet-bookworm", *command]
    subprocess.run(start, check=True, capture_output=True)
    try:
        host = Host(name, folder)
        if kind == "systemd":
            host.sh(
                "until systemctl is-system-running 2>/dev/null | grep -q -e running -e degraded; do sleep 0.2; done"
            )
        yield host
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", name], check=False, capture_output=True)


@pytest.fixture(scope="module")
def archive(ollama_archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The variables that install a version from a file of the controller; copies, as caches change."""
    variables = {}
    for version, path in ollama_archives.items():
        copy = Path(shutil.copy(path, tmp_path_factory.mktemp(version)))
        variables[version] = {
            "ollama_version": version,
            "ollama_archive": str(copy),
            "ollama_archive_sha256": sha256(copy),
        }
    return variables


@pytest.fixture(scope="module")
def host(
    request: pytest.FixtureRequest, smollm2: SmolLM2, tmp_path_factory: pytest.TempPathFactory, archive: dict[str, Any]
) -> Iterator[Host]:
    """A host that serves a model by the old version; every test leaves it serving that."""
    for made in container(request.param, smollm2, tmp_path_factory.mktemp(request.param)):
        made.converge(**archive[OLD])
        made.sh(
            "printf 'FROM /srv/smollm2.gguf\\nPARAMETER num_ctx 512\\n' > /root/m && ollama create smollm2 -f /root/m"
        )
        assert "Paris" in made.answer()
        yield made


def broken(tmp_path: Path, version: str = "0.6.0") -> dict[str, str]:
    """A release that answers --version and then does not serve."""
    path = tgz(tmp_path / f"{version}.tgz", ollama_tree(version, "echo 'no kernel image' >&2; exit 1"))
    return {"ollama_version": version, "ollama_archive": str(path), "ollama_archive_sha256": sha256(path)}


@without_systemd
def test_a_second_run_changes_nothing(host: Host, archive: dict[str, Any]) -> None:
    assert host.converge(**archive[OLD]) == 0


@without_systemd
def test_an_upgrade_keeps_the_model_and_goes_back_without_fetching(host: Host, archive: dict[str, Any]) -> None:
    models = [{"name": "smollm2"}]
    done = host.play("playbooks/upgrade.yml", **archive[NEW], models_serve=models)
    assert done.returncode == 0, done.stdout + done.stderr
    assert host.version() == NEW
    assert "Paris" in host.answer()
    assert host.sh("readlink /opt/ollama/previous").strip() == OLD
    back = host.play("playbooks/rollback.yml", ollama_health_models=["smollm2"])
    assert back.returncode == 0, back.stdout + back.stderr
    assert host.version() == OLD
    assert "Paris" in host.answer()


@without_systemd
def test_a_version_that_does_not_serve_is_put_back_by_itself(
    host: Host, archive: dict[str, Any], tmp_path: Path
) -> None:
    text = message(host.play(**broken(tmp_path)))
    assert "no kernel image" in text
    assert f"put back (version {OLD}) and serves again" in text
    assert host.version() == OLD
    assert "Paris" in host.answer()
    assert host.converge(**archive[OLD]) <= 1  # the broken version may be removed


@both_ways
def test_settings_that_do_not_serve_are_put_back_too(host: Host, archive: dict[str, Any]) -> None:
    before = host.sh("cat /etc/gguf-fleet/ollama.env")
    # TEST-NET-1: no host has this address, so nothing can listen there.
    text = message(host.play(**archive[OLD], ollama_host="192.0.2.1:11434", ollama_answer_seconds=8))
    assert "put back" in text
    assert host.sh("cat /etc/gguf-fleet/ollama.env") == before
    assert host.version() == OLD


def bad_inputs(tmp_path: Path, archive: dict[str, Any]) -> dict[str, tuple[dict[str, Any], str]]:
    page = tmp_path / "page.tgz"
    page.write_text("<html>moved</html>")
    other = tgz(tmp_path / "other.tgz", {"README.md": b"not Ollama"})

    def file(path: Path, version: str = "0.5.9") -> dict[str, str]:
        return {"ollama_version": version, "ollama_archive": str(path), "ollama_archive_sha256": sha256(path)}

    return {
        "a web page": (file(page), "is not a release archive"),
        "another archive": (file(other), "is not an archive of Ollama"),
        "a wrong sum": ({**file(other), "ollama_archive_sha256": "0" * 64}, "wrong checksum"),
        "another version": ({**archive[OLD], "ollama_version": "0.5.10"}, "0.5.10 was asked for"),
        "no sum": (
            {
                "ollama_version": "0.5.9",
                "ollama_source_url": "http://127.0.0.1:9/{version}/{asset}",
                "ollama_trust_mirror_sums": True,
            },
            "no sha256 is known for ollama-linux-",
        ),
        "a value that is misread": (
            {**archive[OLD], "ollama_environment": {"OLLAMA_FLASH_ATTENTION": "maybe"}},
            "OLLAMA_FLASH_ATTENTION",
        ),
        "origins that crash the server": ({**archive[OLD], "ollama_origins": ["example.org"]}, "OLLAMA_ORIGINS"),
    }


@without_systemd
def test_bad_input_is_said_and_nothing_that_serves_is_touched(
    host: Host, archive: dict[str, Any], tmp_path: Path
) -> None:
    running = host.sh("pgrep -o -u ollama")
    for name, (variables, expected) in bad_inputs(tmp_path, archive).items():
        text = message(host.play(**variables))
        assert expected in text, name
        assert host.name in text, name
    assert host.sh("pgrep -o -u ollama") == running
    assert host.sh("ls -A /opt/ollama /var/tmp").count("gguf-fleet-ollama") == 0
    assert host.converge(**archive[OLD]) == 0


@both_ways
def test_a_port_that_something_else_holds_is_named_with_its_holder(host: Host, archive: dict[str, Any]) -> None:
    host.sh("python3 -m http.server 11555 >/dev/null 2>&1 & echo $! > /tmp/holder; sleep 1")
    try:
        text = message(host.play(**archive[OLD], ollama_host="127.0.0.1:11555"))
        assert "port 11555" in text
        assert "http.server" in text
    finally:
        host.sh("kill $(cat /tmp/holder)")
    assert host.version() == OLD


@without_systemd
def test_never_leaves_the_process_and_the_next_run_makes_up_for_it(host: Host, archive: dict[str, Any]) -> None:
    running = host.sh("pgrep -o -u ollama")
    done = host.play(**archive[OLD], ollama_keep_alive="30m", ollama_restart="never")
    assert done.returncode == 0
    assert "a restart is due" in done.stdout + done.stderr
    assert host.sh("pgrep -o -u ollama") == running
    assert host.converge(**archive[OLD], ollama_keep_alive="30m") == 1
    assert host.sh("pgrep -o -u ollama") != running
    assert host.converge(**archive[OLD]) == 1


@without_systemd
def test_uninstalling_leaves_the_models_unless_they_are_to_go(host: Host, archive: dict[str, Any]) -> None:
    store = "/var/lib/ollama/models"
    done = host.play("playbooks/uninstall.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    left = host.sh(
        "ls -d /opt/ollama /usr/local/bin/ollama /etc/gguf-fleet /usr/local/lib/gguf-fleet 2>/dev/null; true"
    )
    assert left == ""
    assert host.sh("pgrep -u ollama; true") == ""
    assert "manifests" in host.sh(f"ls {store}")
    assert changed(host.play("playbooks/uninstall.yml")) == 0
    host.converge(**archive[OLD])
    assert "Paris" in host.answer()
    assert host.play("playbooks/uninstall.yml", ollama_remove_models=True).returncode == 0
    assert host.sh(f"ls -d {store} 2>/dev/null; id ollama 2>/dev/null; true") == ""
