# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation as root, beside a local user who wants root's rights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import engines
from ansible_collections.gguf.fleet.tests.builders.archives import Member, ollama_tree
from ansible_collections.gguf.fleet.tests.integration.gpu.conftest import run_module  # noqa: F401

OLLAMA = engines.ENGINES["ollama"]
VERSION = "0.5.7"

# Exchanges two names for as long as it runs; told by a line that it has begun.
EXCHANGE = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
first, second = (path.encode() for path in sys.argv[1:3])
print("begun", flush=True)
while True:
    libc.renameat2(-100, first, -100, second, 2)
"""


@dataclass(frozen=True)
class Host:
    """Where the versions and the state lie, and the module that root runs."""

    root: Path
    environment: dict[str, str]
    run: Callable[..., dict[str, Any]]

    def install(self, *archives: dict[str, str], **options: Any) -> dict[str, Any]:
        given = {"engine": "ollama", "version": VERSION, "root": str(self.root), "archives": list(archives), **options}
        return self.run("engine_release", given, self.environment)


@pytest.fixture
def host(reachable: Path, monkeypatch: pytest.MonkeyPatch, run_module: Any) -> Host:  # noqa: F811
    ledger = str(reachable / "state/ledger.json")
    monkeypatch.setenv("GGUF_FLEET_LEDGER", ledger)
    return Host(reachable / "opt/ollama", {"GGUF_FLEET_LEDGER": ledger}, run_module)


def release(body: str) -> dict[str, Member]:
    """A release whose program runs this before it tells its version."""
    program = f"#!/bin/sh\n{body}\necho 'Warning: client version is {VERSION}'\n".encode()
    return {**ollama_tree(VERSION), "./bin/ollama": program}
