# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running Ollama server of a release, stand-in or real, and a plain way to talk to its API.

It shares nothing with the code under test.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERVICE_USER = 65534
START_SECONDS = 30
OPTIONAL_VERSION = "OLLAMA_TEST_VERSION"


@dataclass(frozen=True)
class Release:
    """An unpacked release; `version` says which one's behaviour to expect."""

    label: str
    binary: Path
    version: tuple[int, int, int]
    can_generate: bool

    @property
    def real(self) -> bool:
        return self.label == "real"


@dataclass(frozen=True)
class Answer:
    status: int
    lines: list[Any]

    @property
    def last(self) -> Any:
        return self.lines[-1] if self.lines else None

    @property
    def error(self) -> str | None:
        return next((line["error"] for line in self.lines if isinstance(line, dict) and "error" in line), None)


@dataclass
class Server:
    """One server process with a home and a models directory of its own."""

    release: Release
    home: Path
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def blobs(self) -> Path:
        return self.models / "blobs"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.home / "serve.log").read_text(encoding="utf-8", errors="replace")

    def start(self, *, wait: bool = True) -> None:
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "OLLAMA_HOST": f"127.0.0.1:{self.port}",
            "OLLAMA_MODELS": str(self.models),
            "OLLAMA_NO_CLOUD": "1",
            # Whatever would be pulled from a registry by accident fails at once.
            "HTTPS_PROXY": "http://127.0.0.1:9",
            **self.environment,
        }
        as_service: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_service = {"user": SERVICE_USER, "group": SERVICE_USER, "extra_groups": []}
        with (self.home / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.release.binary), "serve"],
                env=environment,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **as_service,
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.call("GET", "/api/version").status == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the server did not answer within {START_SECONDS} seconds:\n{self.log}")

    def stop(self) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        # A runner may outlive its server.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process = None

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 120
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        try:
            connection.request(method, path, data, dict(headers or {}))
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        lines = []
        for line in text.splitlines():
            if line.strip():
                try:
                    lines.append(json.loads(line))
                except ValueError:
                    lines.append(line)
        return Answer(answer.status, lines)

    def names(self) -> list[str]:
        return sorted(model["name"] for model in self.call("GET", "/api/tags").last["models"])

    def upload(self, file: Path) -> str:
        digest = digest_of_file(file)
        with file.open("rb") as stream:
            answer = self.call("POST", f"/api/blobs/{digest}", stream, {"Content-Length": str(file.stat().st_size)})
        assert answer.status in (200, 201), answer
        return digest

    def create(self, name: str, **request: Any) -> Answer:
        answer = self.call("POST", "/api/create", {"model": name, **request})
        assert answer.error is None, answer
        assert answer.last == {"status": "success"}, answer
        return answer

    def manifest_path(self, model: str, tag: str = "latest") -> Path:
        return self.models / "manifests" / "registry.ollama.ai" / "library" / model / tag

    def manifest(self, model: str, tag: str = "latest") -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.manifest_path(model, tag).read_bytes())
        return content

    def blob(self, digest: str) -> bytes:
        return (self.blobs / digest.replace(":", "-")).read_bytes()

    def layer(self, manifest: Mapping[str, Any], kind: str) -> bytes:
        wanted = f"application/vnd.ollama.image.{kind}"
        return self.blob(next(layer["digest"] for layer in manifest["layers"] if layer["mediaType"] == wanted))


def digest_of_file(file: Path) -> str:
    total = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(2**20):
            total.update(chunk)
    return f"sha256:{total.hexdigest()}"


@contextlib.contextmanager
def new_server(release: Release, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server that is not started yet; it is stopped and its home removed in the end."""
    with open_folder("ollama") as home:
        (home / "models").mkdir()
        if os.geteuid() == 0:
            for path in (home, home / "models"):
                os.chown(path, SERVICE_USER, SERVICE_USER)
        server = Server(release, home, free_port(), dict(environment or {}))
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def open_folder(purpose: str) -> Iterator[Path]:
    """A folder that other users may enter: pytest's own ones are closed to the service user."""
    folder = Path(tempfile.mkdtemp(prefix=f"gguf-fleet-{purpose}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def unpack(archive: Path, target: Path) -> None:
    plain = archive.read_bytes()
    if archive.name.endswith(".zst"):
        plain = subprocess.run(["zstd", "-dc", str(archive)], stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(plain)) as members:
        members.extractall(target, filter="tar")
