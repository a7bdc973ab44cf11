# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One authority follows another behind a real gateway: what the runs say, who is answered, and what our checks say."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.integration.gateway.entrance import (
    GATEWAY,
    PLAYBOOKS,
    Entrance,
    Machine,
    entrance,
    instances,
)

pytestmark = [pytest.mark.docker, pytest.mark.long]


def answers(fleet: Entrance, *trusted: str) -> bool:
    """Whether a client that trusts these certificates gets an answer."""
    context = ssl.create_default_context(cadata="".join(trusted))
    asked = urllib.request.Request(f"{fleet.url}/v1/models", headers={"Authorization": f"Bearer {fleet.key('chat')}"})
    try:
        with urllib.request.urlopen(asked, timeout=30, context=context) as answer:
            return answer.status == 200
    except urllib.error.URLError as error:
        assert isinstance(error.reason, ssl.SSLCertVerificationError)
        return False


def checked(fleet: Entrance, tasks_from: str) -> str:
    """What verify or status says of the gateway."""
    tasks = [
        {"ansible.builtin.import_tasks": str(PLAYBOOKS / "tasks/describe.yml")},
        {"ansible.builtin.include_role": {"name": "gguf.fleet.gateway", "tasks_from": tasks_from}},
    ]
    play = fleet.folder / f"{tasks_from}.yml"
    play.write_text(yaml.safe_dump([{"hosts": "gateway", "gather_facts": False, "tasks": tasks}]))
    done = fleet.play(str(play))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_clients_are_told_what_to_trust_before_the_run_that_needs_it(tmp_path: Path, gateway_image: str) -> None:
    machines = {GATEWAY: Machine(), "gpu-1": Machine(variables=instances("tiny"))}
    assert machines[GATEWAY].image == gateway_image
    with entrance(tmp_path, machines, {"gateway_clients": [{"name": "chat"}]}) as fleet:
        fleet.start_streaming("gpu-1", 8081, "tiny")
        fleet.converge()
        fleet.wait_until_up()
        first = fleet.trust.read_text()

        said = " ".join(fleet.converge(gateway_ca_renew=True).split())
        second = fleet.trust.read_text()
        kept = fleet.trust.with_name("ca-old.pem")
        assert second != first and kept.read_text() == first
        assert f"BEFORE you run site.yml again, give its certificate, {fleet.trust}, to all clients" in said
        assert f"Certificates to trust: {fleet.trust}, {kept}" in said
        # The gateway still shows a certificate of the first.
        assert [answers(fleet, first), answers(fleet, second), answers(fleet, first, second)] == [True, False, True]
        assert "answers with the key of chat" in checked(fleet, "verify")
        assert "WARNING" not in checked(fleet, "status")

        said = fleet.converge()
        assert "so clients need the old one no more" in " ".join(said.split())
        assert [answers(fleet, first), answers(fleet, second)] == [False, True]
        fleet.converge()
        fleet.wait_until_up()
        assert answers(fleet, second)
        assert "answers with the key of chat" in checked(fleet, "verify")
