# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy that runs as a gateway with our configuration, in a container that shares this machine's loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Optional, Union

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.configuration import gateway_files
from ansible_collections.gguf.fleet.tests.builders.certificates import authority, leaf
from ansible_collections.gguf.fleet.tests.builders.engines import Engine

IMAGE = "gguf-fleet-gateway"
SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Gateway:
    """keys: of the clients by their names. folder: of its files, with `ca.pem` for clients."""

    port: int
    keys: Mapping[str, str]
    folder: Path
    container: str

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "ca.pem"))

    def ask(
        self,
        method: str,
        path: str,
        body: Union[bytes, Iterator[bytes], Mapping[str, Any], None] = None,
        client: Optional[str] = "full",
        **headers: str,
    ) -> Answer:
        """One request on a connection of its own. Underscores in the names of headers become dashes.

        A body that is an iterator goes in chunks. Status 0: the connection was closed while the body was sent.
        """
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if client is not None:
            given.setdefault("Authorization", f"Bearer {self.keys[client]}")
        data = json.dumps(body).encode() if isinstance(body, Mapping) else body
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=SECONDS, context=self.tls)
        try:
            connection.request(method, path, data, given)
        except OSError:
            connection.close()
            return Answer(0, {}, b"")
        try:
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        finally:
            connection.close()

    def chat(self, model: str, client: str = "full", **more: Any) -> Answer:
        return self.ask("POST", "/v1/chat/completions", {"model": model, "messages": [], **more}, client)

    def raw(self, data: bytes) -> bytes:
        """All that comes back until the connection is closed, or nothing comes for a second."""
        found = b""
        with self.connection() as connection, contextlib.suppress(TimeoutError, ssl.SSLError, ConnectionError):
            connection.sendall(data)
            connection.settimeout(2)
            while part := connection.recv(65536):
                found += part
        return found

    def connection(self) -> ssl.SSLSocket:
        """Close it, or use it as a context manager."""
        plain = socket.create_connection(("127.0.0.1", self.port), SECONDS)
        return self.tls.wrap_socket(plain, server_hostname="localhost")

    def log(self) -> str:
        done = subprocess.run(["docker", "logs", self.container], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def command(self, text: str) -> str:
        """On the socket for administration."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(SECONDS)
            connection.connect(str(self.folder / "gateway.sock"))
            connection.sendall(f"{text}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def ollama_host(engine: Engine, slots: int = 2) -> dict[str, Any]:
    """The variables of a host whose Ollama is this one."""
    return {
        "models_serve": [{"name": name, "source": {"repo": f"o/{name}", "quant": "Q4"}} for name in engine.models],
        "ollama_host": f"0.0.0.0:{engine.port}",
        "ollama_environment": {"OLLAMA_NUM_PARALLEL": str(slots)},
        "ansible_host": "127.0.0.1",
    }


def llama_cpp_host(*engines: Engine, slots: int = 2) -> dict[str, Any]:
    """The variables of a host whose llama-servers are these."""
    return {
        "models_engine": "llama_cpp",
        "models_llama_cpp_host": "0.0.0.0",
        "models_serve": [
            {
                "name": engine.name,
                "source": {"repo": f"o/{engine.name}", "quant": "Q4"},
                "port": engine.port,
                "parameters": {"parallel": slots},
            }
            for engine in engines
        ],
        "ansible_host": "127.0.0.1",
    }


@contextmanager
def running(
    folder: Path, hosts: Mapping[str, Mapping[str, Any]], *, image: str = IMAGE, **variables: Any
) -> Iterator[Gateway]:
    """A gateway before these hosts, whose engines it reaches without doors. variables: gateway_* without that word.

    image: one of tests/images with an HAProxy.
    """
    port = free_port()
    own = {
        **{f"gateway_{name}": value for name, value in variables.items()},
        "group_names": ["gateway"],
        "gateway_name": "localhost",
        "gateway_port": port,
        "gateway_bind": "127.0.0.1",
        "gateway_transport": "plain",
    }
    fleet = describe_fleet({"gw": own, **hosts}, {}, {}).as_dict()
    keys = {client["name"]: f"{client['name']}-".ljust(40, "k") for client in variables["clients"]}
    signer = authority()
    (folder / "ca.pem").write_text(signer.certificate)
    (folder / "server-state").write_text("1\n")
    files = dict(
        gateway_files(fleet, "gw", {name: sha256(key.encode()).hexdigest() for name, key in keys.items()})["files"]
    )
    files["tls/server.pem"] = leaf(signer, ["localhost"]).together
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(re.sub("/run/gguf-fleet|/var/lib/gguf-fleet/gateway", str(folder), content))
    name = f"gguf-fleet-test-gateway-{uuid.uuid4().hex[:8]}"
    subprocess.run(
        [
            *("docker", "run", "--detach", "--rm", "--name", name, "--network", "host", f"--volume={folder}:{folder}"),
            *(image, "haproxy", "-Ws", "-f", str(folder / "haproxy.cfg")),
        ],
        check=True,
        capture_output=True,
    )
    found = Gateway(port, keys, folder, name)
    try:
        wait_until_up(found)
        yield found
    finally:
        subprocess.run(["docker", "rm", "--force", name], check=False, capture_output=True)


def wait_until_up(gateway: Gateway) -> None:
    """Until every engine that is ready is known to be."""
    end = time.monotonic() + SECONDS
    told = ""
    while time.monotonic() < end:
        try:
            told = gateway.command("show stat -1 4 -1")
        except OSError:
            time.sleep(0.2)
            continue
        states = [line.split(",")[17] for line in told.splitlines() if line and not line.startswith("#")]
        # A server that nobody has asked yet is UP, too.
        checks = [line.split(",")[36] for line in told.splitlines() if line and not line.startswith("#")]
        if states and all(state.startswith("UP") for state in states) and not any("INI" in check for check in checks):
            return
        time.sleep(0.2)
    raise AssertionError(f"the gateway is not ready\n{told}\n{gateway.log()}")
