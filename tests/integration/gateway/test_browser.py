# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real browser without a window: a page of a listed origin streams a chat, the same page of another may not."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ansible_collections.gguf.fleet.tests.builders.gateway import free_port
from ansible_collections.gguf.fleet.tests.fixtures_assets import TESTS, image
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import docker
from ansible_collections.gguf.fleet.tests.integration.gateway.entrance import (
    GATEWAY,
    Entrance,
    Machine,
    entrance,
    instances,
)

pytestmark = [pytest.mark.docker, pytest.mark.long]
PAGE = Path(__file__).with_name("page.html")
LISTED, OTHER = free_port(), free_port()


@pytest.fixture(scope="module")
def browser() -> str:
    built = subprocess.run([str(TESTS / "images/build.sh"), "browser"], text=True, capture_output=True, check=False)
    if built.returncode != 0:
        pytest.skip(f"Chromium cannot be had: {built.stderr.strip()}")
    return "gguf-fleet-browser"


@pytest.fixture(scope="module", params=["gateway", "forky"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entrance]:
    machines = {
        GATEWAY: Machine(image(request.param)),
        "gpu-a": Machine(image("gateway"), variables=instances("slow")),
    }
    settings = {"gateway_clients": [{"name": "page"}], "gateway_origins": [f"http://127.0.0.1:{LISTED}"]}
    with entrance(tmp_path_factory.mktemp("browser"), machines, settings) as made:
        made.start_streaming("gpu-a", 8081, "slow")
        made.converge()
        made.wait_until_up()
        yield made


def key_digest(fleet: Entrance) -> str:
    """Of the gateway's certificate, as Chromium wants it in place of an authority."""
    shown = x509.load_pem_x509_certificate(fleet.sh(GATEWAY, "cat /etc/gguf-fleet/gateway/tls/server.pem").encode())
    public = shown.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public).digest()).decode()


def browse(browser: str, fleet: Entrance, port: int) -> dict[str, Any]:
    """What a page that comes from this port of the machine got."""
    told: list[dict[str, Any]] = []
    got = threading.Event()

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            settings = json.dumps({"url": fleet.url, "key": fleet.key("page")}).encode()
            data = settings if self.path == "/settings" else PAGE.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if self.path == "/settings" else "text/html")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            got.set()

        def log_message(self, *_words: object) -> None:
            pass

    name = f"gguf-fleet-browser-{uuid.uuid4().hex[:8]}"
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # It shares this machine's network, so that its page comes from a local address, as that of a desktop does.
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=/tmp/profile"]
        # It would end with the page.
        options += ["--remote-debugging-port=0", f"--ignore-certificate-errors-spki-list={key_digest(fleet)}"]
        docker(
            *("run", "--detach", "--name", name, "--network", "host", "--shm-size=512m", browser),
            *("chromium", *options, f"http://127.0.0.1:{port}/"),
        )
        try:
            assert got.wait(120), docker("logs", name)
        finally:
            docker("rm", "--force", "--volumes", name, check=False)
            server.shutdown()
    return told[0]


def test_a_page_of_a_listed_origin_streams_a_chat(browser: str, fleet: Entrance) -> None:
    told = browse(browser, fleet, LISTED)
    assert told["error"] == ""
    assert told["status"] == 200
    assert "".join(told["pieces"]).split() == [f"slow:page:{number}" for number in range(20)]
    # 19 pauses of 50 ms by the engine; what was held back comes at once.
    assert told["times"][-1] - told["times"][0] > 800
    assert told["refused"] == 403


def test_the_browser_refuses_it_to_a_page_of_another_origin(browser: str, fleet: Entrance) -> None:
    asked = "grep -c '^got page' /var/log/notes-8081 || true"
    before = fleet.sh("gpu-a", asked)
    told = browse(browser, fleet, OTHER)
    assert told["error"] == "TypeError: Failed to fetch"
    assert told["pieces"] == []
    assert fleet.sh("gpu-a", asked) == before
