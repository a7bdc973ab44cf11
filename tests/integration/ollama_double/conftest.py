# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in out of its archive, started on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

VERSIONS = ["0.5.7", "0.33.2"]


@dataclass
class Answer:
    """Status, headers and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines() if line.strip()]


@dataclass
class Running:
    """A running stand-in."""

    version: str
    program: Path
    port: int
    home: Path
    environ: dict[str, str]
    process: subprocess.Popen[str]
    log: Path = field(default_factory=Path)

    @property
    def models(self) -> Path:
        return self.home / "models"

    def ask(
        self, method: str, path: str, body: Any = None, headers: Optional[dict[str, str]] = None, timeout: float = 120
    ) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a blob that is there is not read
            connection.request(method, path, data, headers or {})
        response = connection.getresponse()
        # Two headers of one name would vanish in a dict; the server never sends such.
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        connection.close()
        return answer

    def run(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), *argv], env=self.environ, text=True, capture_output=True, input=stdin, check=False
        )

    def upload(self, path: Path) -> str:
        digest = subprocess.run(["sha256sum", str(path)], text=True, capture_output=True, check=True).stdout.split()[0]
        with path.open("rb") as stream:
            status = self.ask("POST", f"/api/blobs/sha256:{digest}", stream.read()).status
        assert status in (200, 201)
        return f"sha256:{digest}"

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def programs(ollama_archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Version -> bin/ollama out of the release archive."""
    found = {}
    for version, archive in ollama_archives.items():
        target = tmp_path_factory.mktemp(f"ollama-{version}")
        subprocess.run(["tar", "-x", "-f", str(archive), "-C", str(target)], check=True)
        found[version] = target / "bin" / "ollama"
    return found


Start = Callable[..., Running]


@pytest.fixture(scope="module")
def start(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """start(version, home=..., wait=..., **environment) -> Running; all of them are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def _start(version: str, home: Optional[Path] = None, wait: bool = True, **environment: str) -> Running:
            home = home or tmp_path_factory.mktemp("home")
            port = free_port()
            environ = {
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "OLLAMA_HOST": f"127.0.0.1:{port}",
                "OLLAMA_MODELS": str(home / "models"),
                **environment,
            }
            environ = {name: value for name, value in environ.items() if value != "-"}
            log = home / "server.log"
            with log.open("a") as stream:
                process = subprocess.Popen(
                    [str(programs[version]), "serve"], env=environ, stdout=stream, stderr=stream, text=True
                )
            running = Running(version, programs[version], port, home, environ, process, log)
            stack.callback(running.stop)
            if wait:
                _wait(running)
            return running

        yield _start


def _wait(running: Running) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if running.ask("GET", "/").status == 200:
                return
        assert running.process.poll() is None, running.log.read_text()
        time.sleep(0.05)
    pytest.fail(f"the stand-in does not answer:\n{running.log.read_text()}", pytrace=False)


@pytest.fixture(params=VERSIONS, scope="module")
def server(request: pytest.FixtureRequest, start: Start) -> Running:
    """A stand-in of each version, shared by the tests of a file."""
    return start(request.param)
