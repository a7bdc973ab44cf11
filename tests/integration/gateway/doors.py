# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts with doors, one with systemd and one without, and what knocks at them."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.names import gateway_name, instance_sni
from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT, ansible
from ansible_collections.gguf.fleet.tests.builders.certificates import Made, leaf
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import docker

PORT = 8443
# Says what it was asked, as an engine on loopback that nobody else reaches.
ENGINE = """
import http.server, json, sys, threading
class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = {"port": self.server.server_port, "asked": f"{self.command} {self.path}", "host": self.headers["Host"]}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = do_DELETE = do_PUT = answer
    def log_message(self, *_words):
        pass
servers = [http.server.ThreadingHTTPServer(("127.0.0.1", port), Engine) for port in (11434, 8081)]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
"""


@dataclass(frozen=True)
class Answer:
    """status 0: the connection was refused or ended by TLS, for the reason in text."""

    status: int
    text: str

    @property
    def asked(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.text)
        return told


@dataclass
class Doors:
    """hosts: container by the host's name."""

    folder: Path
    hosts: dict[str, str]
    addresses: dict[str, str] = field(default_factory=dict)

    def sh(self, host: str, script: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", "exec", self.hosts[host], "sh", "-c", script], text=True, capture_output=True, check=False
        )
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def play(
        self,
        *options: str,
        gateways: Sequence[str] = ("gw-1",),
        tasks_from: str = "door",
        warnings: Sequence[str] = (),
        **variables: Any,
    ) -> subprocess.CompletedProcess[str]:
        """The doors' part of site.yml over both hosts."""
        inventory, playbook = self.folder / "hosts.yml", self.folder / "play.yml"
        gpus: dict[str, Any] = {
            name: {"ansible_host": container, "ansible_connection": "community.docker.docker"}
            for name, container in self.hosts.items()
        }
        served = {
            "models_serve": [{"name": "smollm2", "catalog": "smollm2-135m-instruct"}],
            "llama_cpp_servers": [{"name": "other", "port": 8081, "model": "/srv/other.gguf"}],
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        group = {"hosts": {name: {"gateway_name": f"{name}.example.com"} for name in gateways}}
        children = {"gpus": {"hosts": gpus, "vars": served}, "gateway": group}
        inventory.write_text(yaml.safe_dump({"all": {"children": children, "vars": variables}}))
        role = {"name": "gguf.fleet.gateway", "tasks_from": tasks_from}
        tasks = [
            {"ansible.builtin.import_tasks": str(CHECKOUT / "playbooks/tasks/fleet.yml")},
            {"ansible.builtin.include_role": role},
        ]
        playbook.write_text(yaml.safe_dump([{"hosts": "gpus", "gather_facts": False, "tasks": tasks}]))
        return ansible("ansible-playbook", "-i", str(inventory), str(playbook), *options, warnings=warnings)

    def authority(self) -> Made:
        """The fleet's own, opened by the passphrase that the run made."""
        own = self.folder / ".gguf-fleet/authority"
        key = (own / "ca.key").read_bytes()
        private: Any = load_pem_private_key(key, (own / "ca.passphrase").read_bytes())
        certificate = (own / "ca.pem").read_text()
        return Made(certificate, key.decode(), x509.load_pem_x509_certificate(certificate.encode()), private)

    def gateway(self, name: str = "gw-1") -> Made:
        """What this gateway shows to doors."""
        return leaf(self.authority(), [gateway_name(name)], "client")

    def ask(
        self,
        host: str,
        method: str = "GET",
        path: str = "/api/ps",
        *,
        shown: Optional[Made] = None,
        server: str = "ollama",
        sni: str = "",
    ) -> Answer:
        """What the door of a host answers to who shows this certificate, in the way that a gateway asks."""
        with contextlib.ExitStack() as stack:
            try:
                connection = stack.enter_context(self.connection(host, shown=shown, server=server, sni=sni))
            except (ssl.SSLError, ConnectionError) as error:
                return Answer(0, str(error))
            return asked(connection, method, path)

    @contextlib.contextmanager
    def connection(
        self, host: str, *, shown: Optional[Made] = None, server: str = "ollama", sni: str = ""
    ) -> Iterator[http.client.HTTPConnection]:
        """One to the door of a host, which stays open from one request to the next."""
        trusted = "".join(file.read_text() for file in (self.folder / ".gguf-fleet/authority").glob("ca*.pem"))
        context = ssl.create_default_context(cadata=trusted)
        # As HAProxy does it: the name that is sent is the one that is expected.
        context.check_hostname = not sni
        if shown:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(shown.together)
                file.flush()
                context.load_cert_chain(file.name)
        connection = http.client.HTTPConnection(self.addresses[host], PORT, timeout=30)
        # What was closed is not opened again.
        connection.auto_open = 0
        try:
            connection.connect()
            connection.sock = context.wrap_socket(connection.sock, server_hostname=sni or instance_sni(host, server))
            yield connection
        finally:
            connection.close()


def asked(connection: http.client.HTTPConnection, method: str = "GET", path: str = "/api/ps") -> Answer:
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", "llm.example.com")
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode())
    except (ssl.SSLError, ConnectionError, http.client.HTTPException) as error:
        return Answer(0, str(error))


def changes(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """By host."""
    assert done.returncode == 0, done.stdout + done.stderr
    recap = done.stdout.rpartition("PLAY RECAP")[2].split("\n")[1:]
    return {line.split()[0]: int(line.partition("changed=")[2].split()[0]) for line in recap if "changed=" in line}


@contextlib.contextmanager
def doors(folder: Path, image: str, later: str) -> Iterator[Doors]:
    """gpu-a has systemd, gpu-b has none, and by the image `later` another HAProxy."""
    run = uuid.uuid4().hex[:8]
    script = f". {CHECKOUT}/tests/lab/systemd_options.sh; systemd_options bookworm"
    systemd = subprocess.run(["bash", "-c", script], text=True, capture_output=True, check=True).stdout.split()
    kinds = {"gpu-a": [*systemd, image, "/lib/systemd/systemd"], "gpu-b": ["--init", later, "sleep", "infinity"]}
    made = Doors(folder, {name: f"gguf-fleet-door-{run}-{name}" for name in kinds})
    try:
        for name, words in kinds.items():
            docker("run", "--detach", "--hostname", name, "--name", made.hosts[name], *words)
            told = json.loads(docker("inspect", made.hosts[name]))[0]["NetworkSettings"]
            (network,) = told["Networks"].values()
            made.addresses[name] = network["IPAddress"]
        made.sh(
            "gpu-a",
            "until systemctl is-system-running 2>/dev/null | grep -q -e running -e degraded; do sleep 0.2; done",
        )
        for name in kinds:
            subprocess.run(
                ["docker", "exec", "--interactive", "--detach", made.hosts[name], "python3", "-c", ENGINE], check=True
            )
        yield made
    finally:
        for container in made.hosts.values():
            docker("rm", "--force", "--volumes", container, check=False)
