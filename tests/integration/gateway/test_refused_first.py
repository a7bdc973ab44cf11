# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller alone can know of a gateway's certificates is refused before any host is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT, ansible
from ansible_collections.gguf.fleet.tests.builders.certificates import authority, leaf
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import changed, message

SIGNER = authority()


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
    gateway = {"hosts": {"gw": LOCAL}, "vars": {"gateway_name": "llm.example.com", **given(tmp_path)}}
    # No hub is asked for it.
    model = {"name": "tiny", "template": "chatml", "source": {"hub": "path", "path": str(tmp_path)}}
    variables = {
        "models_serve": [model],
        "ollama_allow_unverified": True,
        "host_models_dir": str(tmp_path / "models"),
        "ansible_become": False,
    }
    inventory = tmp_path / "hosts.yml"
    groups = {"gateway": gateway, "gpus": {"hosts": {"gpu": LOCAL}}}
    inventory.write_text(yaml.safe_dump({"all": {"children": groups, "vars": variables}}))
    done = ansible("ansible-playbook", "-i", str(inventory), str(CHECKOUT / "playbooks/site.yml"))
    said = " ".join(message(done).split())
    assert reason in said
    assert way_out in said
    assert "Nothing was changed" in said
    assert "the wrong one" not in said
    assert changed(done) == 0
    assert not (tmp_path / "models").exists()
