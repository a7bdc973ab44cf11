# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""status.yml says which certificate of a gateway ends soon."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT, ansible
from ansible_collections.gguf.fleet.tests.builders.certificates import authority, leaf
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL


@contextmanager
def shown(certificate: Path) -> Iterator[int]:
    """The port at which this one is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with http.server.ThreadingHTTPServer(("", 0), http.server.BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(
    ("days", "words"),
    [(20.5, "ends in 20 days. Run site.yml"), (300, ""), (-0.5, "its certificate is not accepted")],
)
def test_a_certificate_that_ends_soon_is_warned_about(tmp_path: Path, days: float, words: str) -> None:
    signer = authority()
    trusted, certificate = tmp_path / "ca.pem", tmp_path / "server.pem"
    trusted.write_text(signer.certificate)
    certificate.write_text(leaf(signer, ["localhost"], days=days, old_days=60).together)
    with shown(certificate) as port:
        own = {
            "gateway_name": "localhost",
            "gateway_port": port,
            "gateway_certificate": str(certificate),
            "gateway_certificate_trust": str(trusted),
        }
        inventory = tmp_path / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"gateway": {"hosts": {"gw": {**LOCAL, **own, "ansible_become": False}}}}))
        done = ansible("ansible-playbook", "-i", str(inventory), str(CHECKOUT / "playbooks/status.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert ("WARNING" in told) == bool(words)
    assert words in told
