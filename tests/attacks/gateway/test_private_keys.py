# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private key of a certificate on its way to a host, where Ansible writes modules' arguments into the journal."""

from __future__ import annotations

import json
import subprocess
import uuid
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT, ansible
from ansible_collections.gguf.fleet.tests.builders.certificates import authority, leaf
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import docker

pytestmark = pytest.mark.docker
CONFIGURATION = "frontend door\n    mode http\n    timeout client 9s\n    bind 127.0.0.1:8443 ssl crt tls/server.pem\n"


def test_a_private_key_is_in_no_journal_and_no_output(tmp_path: Path, gateway_image: str) -> None:
    signer = authority()
    shown = leaf(signer, ["gpu-a.example.com"])
    certificate = {"file": "tls/server.pem", "names": ["gpu-a.example.com"], "usage": "server"}
    arguments = {
        "name": "door",
        "files": {"haproxy.cfg": f"global\n    default-path config\n{CONFIGURATION}"},
        "certificates": [{**certificate, "content": shown.together}],
        "trust": signer.certificate,
    }
    name = f"gguf-fleet-journal-{uuid.uuid4().hex[:8]}"
    script = f". {CHECKOUT}/tests/lab/systemd_options.sh; systemd_options bookworm"
    systemd = subprocess.run(["bash", "-c", script], text=True, capture_output=True, check=True).stdout.split()
    docker("run", "--detach", "--name", name, *systemd, gateway_image, "/lib/systemd/systemd")
    try:
        wait = "until systemctl is-active --quiet systemd-journald; do sleep 0.2; done"
        docker("exec", name, "sh", "-c", wait)
        reached = [
            "-i",
            f"{name},",
            "-c",
            "community.docker.docker",
            "-e",
            "ansible_python_interpreter=/usr/bin/python3",
        ]
        done = ansible(
            "ansible", "all", *reached, "-vvv", "--diff", "-m", "gguf.fleet.haproxy", "-a", json.dumps(arguments)
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "write tls/server.pem" in done.stdout
        journal = docker("exec", name, "journalctl", "--no-pager")
        assert "gguf.fleet.haproxy" in journal
        secret = shown.key.split("\n")[1]
        assert secret in docker("exec", name, "cat", "/etc/gguf-fleet/door/tls/server.pem")
        assert secret not in journal + done.stdout + done.stderr
    finally:
        docker("rm", "--force", "--volumes", name, check=False)
