# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a gateway's certificates, with HAProxy or with a way is refused before anything changes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT, ansible
from ansible_collections.gguf.fleet.tests.builders.certificates import authority, leaf
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, changed, container, message

SIGNER = authority()


def site(
    folder: Path, gateway: Mapping[str, Any], gpu: Mapping[str, Any], *options: str, **entrance: Any
) -> subprocess.CompletedProcess[str]:
    """site.yml over a gateway and a host with a model, for which no hub is asked."""
    model = {"name": "tiny", "template": "chatml", "source": {"hub": "path", "path": str(folder)}}
    variables = {
        "ollama_allow_unverified": True,
        "host_models_dir": str(folder / "models"),
        "ansible_become": False,
    }
    groups = {
        "gateway": {"hosts": {"gw": dict(gateway)}, "vars": {"gateway_name": "llm.example.com", **entrance}},
        "gpus": {"hosts": {"gpu": dict(gpu)}, "vars": {"models_serve": [model]}},
    }
    inventory = folder / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"all": {"children": groups, "vars": variables}}))
    return ansible("ansible-playbook", "-i", str(inventory), str(CHECKOUT / "playbooks/site.yml"), *options)


def expired(folder: Path) -> dict[str, Any]:
    (folder / "old.pem").write_text(leaf(SIGNER, ["llm.example.com"], days=-1, old_days=100).together)
    return {"gateway_certificate": str(folder / "old.pem")}


def without_key(folder: Path) -> dict[str, Any]:
    (folder / "alone.pem").write_text(leaf(SIGNER, ["llm.example.com"]).certificate)
    return {"gateway_certificate": str(folder / "alone.pem")}


def missing(folder: Path) -> dict[str, Any]:
    return {"gateway_certificate": str(folder / "nowhere.pem")}


def another_name(folder: Path) -> dict[str, Any]:
    (folder / "other.pem").write_text(leaf(SIGNER, ["chat.example.com"]).together)
    return {"gateway_certificate": str(folder / "other.pem")}


def another_passphrase(folder: Path) -> dict[str, Any]:
    own = folder / ".gguf-fleet/authority"
    own.mkdir(parents=True)
    made = authority(passphrase="the right one")
    (own / "ca.pem").write_text(made.certificate)
    (own / "ca.key").write_text(made.key)
    return {"gateway_ca_passphrase": "the wrong one"}


@pytest.mark.parametrize(
    ("given", "reason", "way_out"),
    [
        (expired, "certificate has expired", "Renew or replace it"),
        (without_key, "cannot be used as a key and its certificate", "Give a certificate and its private key in PEM"),
        (missing, "No such file or directory", "the file is on the controller"),
        (another_name, "is for chat.example.com, not for llm.example.com", "or change gateway_name"),
        (another_passphrase, "does not open", "Give the passphrase that the key was made with"),
    ],
)
def test_a_certificate_or_passphrase_that_cannot_be_used(tmp_path: Path, given: Any, reason: str, way_out: str) -> None:
    done = site(tmp_path, LOCAL, LOCAL, **given(tmp_path))
    said = " ".join(message(done).split())
    assert reason in said
    assert way_out in said
    assert "Nothing was changed" in said
    assert "the wrong one" not in said
    assert changed(done) == 0
    assert not (tmp_path / "models").exists()


def reached(host: Host) -> dict[str, Any]:
    connection = {"ansible_connection": "community.docker.docker", "ansible_python_interpreter": "/usr/bin/python3"}
    return {"ansible_host": host.name, **connection}


@pytest.mark.docker
def test_a_host_that_has_no_haproxy_and_gets_none_or_has_an_old_one(tmp_path: Path) -> None:
    for host in container("supervisord", "gateway", Path("/dev/null"), tmp_path, "--network=none"):
        host.sh("rm -rf /var/lib/apt/lists/*; ! command -v haproxy")
        for limit, places in {"gpu": (LOCAL, reached(host)), "gw": (reached(host), LOCAL)}.items():
            done = site(tmp_path, *places, "--limit", limit)
            said = " ".join(message(done).split())
            assert "There is no HAProxy on this host, and apt knows no package haproxy" in said
            assert "or install the package haproxy (2.4 or later) by hand" in said
            assert changed(done) == 0
            assert "Set up the gateways" not in done.stdout
        host.sh("printf '#!/bin/sh\\necho HAProxy version 2.3.21-1\\n' > /usr/local/sbin/haproxy")
        host.sh("chmod 755 /usr/local/sbin/haproxy")
        done = site(tmp_path, LOCAL, reached(host), "--limit", "gpu")
        assert "/usr/local/sbin/haproxy is HAProxy 2.3, and 2.4 or later is needed" in message(done)
        assert changed(done) == 0
        assert host.sh(f"ls -d /etc/gguf-fleet /opt/ollama {tmp_path}/models 2>/dev/null || true") == ""


@pytest.mark.docker
def test_a_gateway_that_does_not_reach_a_host(tmp_path: Path, gateway_image: str) -> None:
    image = gateway_image.rpartition("gguf-fleet-")[2]
    for host in container("supervisord", "gateway", Path("/dev/null"), tmp_path, "--network=none", image=image):
        done = site(tmp_path, reached(host), {**LOCAL, "ansible_host": "192.0.2.7"}, "--limit", "gw")
        said = " ".join(message(done).split())
        assert "This gateway does not reach gpu at 192.0.2.7:8443" in said
        assert "Nothing was changed on it" in said
        assert "To go on without them: -e gateway_refuse_unreachable=false" in said
        assert host.sh("ls -d /etc/gguf-fleet /run/gguf-fleet 2>/dev/null || true") == ""
