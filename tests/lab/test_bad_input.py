# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong in real life, on a host that serves: a clear message, nothing changed, no cleaning up by hand.

Runs after tests/lab/test_lab.py on the same lab. What a case brings to the host, it takes away again.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[2]
NET = os.environ["GGUF_FLEET_LAB_NET"]
HUB = f"http://{NET}.2:8080"
HOST = "h20-01"


def on_host(command: str) -> str:
    argv = ["docker", "exec", f"gguf-fleet-lab-{HOST}", "sh", "-ec", command]
    return subprocess.run(argv, text=True, capture_output=True, check=True).stdout


def hub_admin(path: str, body: object = None) -> None:
    data = None if body is None else json.dumps(body).encode()
    urllib.request.urlopen(f"{HUB}/_admin/{path}", data=data, timeout=10).close()


def provision(*tags: str, warnings: Sequence[str] = (), **variables: Any) -> subprocess.CompletedProcess[str]:
    arguments = ["site.yml", "-i", "lab", "--limit", HOST, "--tags", ",".join(tags)]
    return ansible("ansible-playbook", *arguments, "-e", json.dumps(variables), warnings=warnings)


def what_serves() -> tuple[str, list[tuple[str, str]]]:
    """The server's process, and the models that it lists with their digests."""
    models = json.loads(on_host("curl --silent --fail http://127.0.0.1:11434/api/tags"))["models"]
    return on_host("systemctl show --property MainPID ollama"), [(m["name"], m["digest"]) for m in models]


def refused(run: subprocess.CompletedProcess[str], *words: str) -> None:
    said = " ".join((run.stdout + run.stderr).replace("\\n", " ").split())
    assert run.returncode != 0, said
    assert [word for word in (HOST, *words) if word not in said] == [], said


def served(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stdout + run.stderr


def lead_back() -> None:
    """The engine's links to the usual place again, before the spare one goes."""
    served(provision("models"))


@pytest.fixture(autouse=True)
def serving_is_not_disturbed() -> Iterator[None]:
    before = what_serves()
    yield
    assert what_serves() == before


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Variables that fetch the model once more, to a place and with a lock of their own."""
    yield {
        "models_serve": [model()],
        "models_lock_file": str(tmp_path / "models.lock.txt"),
        "host_models_dir": "/srv/spare",
    }
    hub_admin("faults", [])
    on_host("umount /srv/spare 2>/dev/null || true; rm -rf /srv/spare")


def model(**source: str) -> dict[str, Any]:
    return {"name": "smollm2", "catalog": "smollm2-135m-instruct", "source": {"endpoint": HUB, **source}}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param({"endpoint": f"http://{NET}.99:8080"}, (f"{NET}.99:8080",), id="an unreachable hub"),
        pytest.param({"repo": "lab/Nothing-GGUF"}, ("lab/Nothing-GGUF",), id="an unknown repository"),
        pytest.param({"quant": "Q9_X"}, ("Q9_X", "Q4_1"), id="an unknown quant: it tells what there is"),
    ],
)
def test_a_source_that_does_not_exist_is_named(
    spare: dict[str, Any], source: dict[str, str], words: tuple[str, ...]
) -> None:
    refused(provision("models", **{**spare, "models_serve": [model(**source)]}), *words)
    assert on_host("find /srv/spare -type f 2>/dev/null || true") == ""


def test_a_full_disk_is_refused_before_the_download_and_served_when_there_is_room(spare: dict[str, Any]) -> None:
    on_host("mkdir -p /srv/spare && mount -t tmpfs -o size=32m tmpfs /srv/spare")
    refused(provision("models", **spare), "/srv/spare", "MiB")
    assert on_host("find /srv/spare -type f -size +1M") == ""
    on_host("mount -o remount,size=300m /srv/spare")
    served(provision("models", warnings=["the file is on another file system"], **spare))
    lead_back()


def test_what_a_host_has_is_not_taken_from_a_hub_that_sends_wrong_bytes(spare: dict[str, Any]) -> None:
    hub_admin("faults", [{"kind": "flip", "path": "*", "offset": 4096 * 1024}])
    served(provision("models", **spare))
    assert on_host("find /srv/spare -name '*.gguf' -links +1") != ""
    lead_back()


def test_an_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "ollama-linux-amd64.tgz"
    page.write_text("<html>Please log in</html>")
    digest = hashlib.sha256(page.read_bytes()).hexdigest()
    run = provision("engine", ollama_version="0.5.11", ollama_archive=str(page), ollama_archive_sha256=digest)
    refused(run, "ollama-linux-amd64.tgz")
    assert "0.5.11" not in on_host("ls /opt/ollama")


def test_a_port_that_something_else_holds_is_named_with_its_holder() -> None:
    on_host("setsid python3 -m http.server 18080 >/dev/null 2>&1 & echo $! >/run/spare.pid; sleep 1")
    try:
        refused(provision("engine", ollama_host="0.0.0.0:18080"), "18080", "python3")
    finally:
        on_host("kill $(cat /run/spare.pid); rm /run/spare.pid")
