# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong input on a lab that serves: each case ends in a message that says what is wrong and what to do.

Before each fault and after it the host serves as before, and the next plain run finds nothing to repair.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

pytestmark = pytest.mark.docker

CHECKOUT = Path(__file__).resolve().parents[2]
HOST = "h20-01"
CONTAINER = f"gguf-fleet-lab-{HOST}"
ENDPOINT = f"http://{os.environ['GGUF_FLEET_LAB_NET']}.11:11434"
MODELS = "models_serve"


def on_host(command: str) -> str:
    return subprocess.run(
        ["docker", "exec", CONTAINER, "sh", "-ec", command], text=True, capture_output=True, check=True
    ).stdout


def provision(**variables: Any) -> subprocess.CompletedProcess[str]:
    command = ["ansible-playbook", "site.yml", "-i", "lab", "--limit", HOST, "--skip-tags", "verify"]
    if variables:
        command += ["--extra-vars", json.dumps(variables)]
    return subprocess.run(command, cwd=CHECKOUT, text=True, capture_output=True, check=False)


def serving() -> Dict[str, Any]:
    """What must not change: the running server process and the digests that it lists."""
    tags = subprocess.run(["curl", "-sSf", f"{ENDPOINT}/api/tags"], text=True, capture_output=True, check=True).stdout
    return {
        "pid": on_host("systemctl show --property MainPID --value ollama").strip(),
        "models": sorted((model["name"], model["digest"]) for model in json.loads(tags)["models"]),
        "release": on_host("readlink /opt/ollama/current").strip(),
    }


def refused(run: subprocess.CompletedProcess[str], *says: str) -> None:
    assert run.returncode != 0, run.stdout
    # A task of one thing is "fatal", one of a loop's items is "failed".
    assert any(f"{word}: [{HOST}" in run.stdout for word in ("fatal", "failed")), run.stdout
    message = " ".join((run.stdout + run.stderr).split())
    for words in says:
        assert words in message, run.stdout[-3000:] + run.stderr[-1000:]


@pytest.fixture
def undisturbed() -> Iterator[None]:
    before = serving()
    yield
    assert serving() == before
    again = provision()
    assert again.returncode == 0, again.stdout[-3000:]
    assert "changed=0" in again.stdout, again.stdout[-3000:]
    assert serving() == before


def entry(**source: Any) -> Dict[str, Any]:
    return {MODELS: [{"name": "other", "catalog": "smollm2-135m-instruct", **source}]}


@pytest.mark.usefixtures("undisturbed")
def test_an_unreachable_hub_is_named(tmp_path: Path) -> None:
    run = provision(models_lock_file=str(tmp_path / "lock.yml"), **entry(source={"endpoint": "http://127.0.0.1:9"}))
    refused(run, "http://127.0.0.1:9")
    assert not (tmp_path / "lock.yml").exists()


@pytest.mark.usefixtures("undisturbed")
def test_an_unknown_repository_is_named(tmp_path: Path) -> None:
    hub = ENDPOINT.replace(".11:11434", ".2:8080")
    source = {"repo": "lab/Nothing-GGUF", "endpoint": hub}
    refused(provision(models_lock_file=str(tmp_path / "lock.yml"), **entry(source=source)), "lab/Nothing-GGUF")


@pytest.mark.usefixtures("undisturbed")
def test_an_unknown_quant_lists_what_there_is(tmp_path: Path) -> None:
    hub = ENDPOINT.replace(".11:11434", ".2:8080")
    model = {"name": "other", "source": {"repo": "lab/SmolLM2-135M-Instruct-GGUF", "quant": "Q9_K", "endpoint": hub}}
    refused(provision(models_lock_file=str(tmp_path / "lock.yml"), **{MODELS: [model]}), "Q9_K", "Q4_1")


@pytest.mark.usefixtures("undisturbed")
def test_a_host_without_the_disk_space_says_how_much_is_missing() -> None:
    on_host("mkdir -p /srv/small && mount -t tmpfs -o size=32m tmpfs /srv/small")
    try:
        refused(provision(host_models_dir="/srv/small"), "/srv/small", "98,362,528")
        assert on_host("find /srv/small -type f -size +1M") == ""
    finally:
        on_host("umount /srv/small && rmdir /srv/small")


@pytest.mark.usefixtures("undisturbed")
def test_a_wrong_checksum_stops_before_the_archive_is_unpacked() -> None:
    run = provision(ollama_version="0.33.2", ollama_archive_sha256="0" * 64)
    refused(run, "0" * 64)
    assert "0.33.2" not in on_host("ls /opt/ollama")


@pytest.mark.usefixtures("undisturbed")
def test_an_archive_that_is_not_one_of_ollama_is_refused() -> None:
    on_host("tar -czf /root/other.tgz -C / etc/hostname")
    try:
        run = provision(ollama_version="0.6.0", ollama_archive_remote="/root/other.tgz", ollama_allow_unverified=True)
        refused(run, "bin/ollama")
        assert "0.6.0" not in on_host("ls /opt/ollama")
    finally:
        on_host("rm /root/other.tgz")


@pytest.mark.usefixtures("undisturbed")
def test_a_port_that_something_else_holds_is_named_with_its_holder() -> None:
    on_host("(python3 -m http.server 18080 >/dev/null 2>&1 & echo $! >/tmp/holder)")
    try:
        refused(provision(ollama_host="0.0.0.0:18080"), "18080", "python3")
    finally:
        on_host("kill $(cat /tmp/holder)")
