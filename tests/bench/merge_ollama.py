# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Ollama server for `make bench-merge`: shell around what is measured, so that its CPU time is counted, too."""

from __future__ import annotations

import os
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

BINARY = "OLLAMA_TEST_BINARY"
MODEL = "bench"


@dataclass(frozen=True)
class Ollama:
    """The program, and where its server keeps what it makes."""

    binary: str
    folder: Path
    store: Path

    def create(self, file: Path) -> str:
        """What the articles do with a merged file; what it wrote is on the disk then."""
        modelfile = self.folder / "Modelfile"
        say = f"echo FROM {file} >{modelfile}"
        return f"{say}; {self._program} create {MODEL} -f {modelfile}; sync {self.store}/blobs/*"

    def around(self, script: str) -> str:
        """The script beside a server that starts meanwhile, and that lists the model in the end."""
        environment = {
            "HOME": self.folder / "home",
            "OLLAMA_HOST": f"127.0.0.1:{_free_port()}",
            "OLLAMA_MODELS": self.store,
            "OLLAMA_NO_CLOUD": "1",
        }
        exports = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in environment.items())
        return (
            f"export {exports}; mkdir -p $HOME; {self._program} serve & server=$!; trap 'kill $server; wait' EXIT; "
            f"{script}; {self._program} list | grep -q '^{MODEL}:'"
        )

    def when_up(self) -> str:
        return f"until {self._program} list; do sleep 0.05; done"

    @property
    def _program(self) -> str:
        return shlex.quote(self.binary)


def real_ollama(folder: Path, store: Path) -> Optional[Ollama]:
    binary = os.environ.get(BINARY)
    return Ollama(binary, folder, store) if binary else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
