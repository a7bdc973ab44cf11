# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of an engine on a mirror on loopback, and the module that installs them."""

from __future__ import annotations

import hashlib
import os
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Union

from ansible_collections.gguf.fleet.tests.builders.archives import (
    Member,
    ollama_tree,
    tgz,
)

Run = Callable[..., dict[str, Any]]


class Quiet(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Mirror)
        server.asked.append(self.path)
        time.sleep(server.delay_seconds)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Mirror(ThreadingHTTPServer):
    """Serves a folder, as slowly as it is told, and notes what it was asked for."""

    delay_seconds = 0.0

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        self.asked: list[str] = []


class Lab:
    """A root for the versions, a mirror for the archives, and the module."""

    def __init__(self, folder: Path, run: Run, server: Mirror) -> None:
        self.root = folder / "opt/ollama"
        self.mirror = folder / "mirror"
        self.command = folder / "bin/ollama"
        self.environment = {"GGUF_FLEET_LEDGER": str(folder / "ledger.json")}
        self.run = run
        self.server = server
        self.url = f"http://127.0.0.1:{server.server_port}"

    def archive(self, version: str, members: Union[dict[str, Member], None] = None) -> dict[str, str]:
        path = tgz(self.mirror / f"{version}.tgz", members or ollama_tree(version))
        return {"url": f"{self.url}/{path.name}", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    def __call__(self, version: str, *archives: dict[str, str], check: bool = False, **options: Any) -> dict[str, Any]:
        given = {
            "engine": "ollama",
            "version": version,
            "root": str(self.root),
            "archives": list(archives),
            "links": {str(self.command): "bin/ollama"},
            **options,
        }
        return self.run("engine_release", given, self.environment, check)

    def versions(self) -> list[str]:
        return sorted(os.listdir(self.root)) if self.root.exists() else []
