# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases, servers, files and a ledger of a test's own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.tests.builders import gguf as builders
from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_server import (
    OPTIONAL_VERSION,
    Release,
    Server,
    new_server,
    open_folder,
    unpack,
)

REAL = "real"
REAL_BINARY = "OLLAMA_TEST_BINARY"
STAND_INS = ("0.5.7", "0.33.2")


def against_every_release(metafunc: pytest.Metafunc) -> None:
    """The stand-ins in CI, and a real binary where one is named."""
    if "release" in metafunc.fixturenames:
        labels = [*STAND_INS, *([REAL] if os.environ.get(REAL_BINARY) else [])]
        metafunc.parametrize("release", labels, indirect=True, scope="session")


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest, ollama_archives: dict[str, Path]) -> Iterator[Release]:
    if request.param == REAL:
        yield _real_release(Path(os.environ[REAL_BINARY]))
        return
    with open_folder("release") as folder:
        unpack(ollama_archives[request.param], folder)
        yield Release(request.param, folder / "bin" / "ollama", _version(request.param), can_generate=True)


def _real_release(binary: Path) -> Release:
    said = subprocess.run([str(binary), "--version"], text=True, capture_output=True, check=True).stdout
    version = os.environ.get(OPTIONAL_VERSION) or said
    # Without its libraries a binary serves the store, and cannot load a model.
    libraries = binary.resolve().parent.parent / "lib" / "ollama"
    return Release(REAL, binary, _version(version), can_generate=libraries.is_dir())


def _version(text: str) -> tuple[int, int, int]:
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    assert found is not None, f"no version in {text!r}; set {OPTIONAL_VERSION}"
    major, minor, patch = (int(part) for part in found.groups())
    return major, minor, patch


@pytest.fixture(scope="module")
def server(release: Release) -> Iterator[Server]:
    """A running server that the tests of a module share; each takes model names of its own."""
    with new_server(release) as running:
        running.start()
        yield running


@pytest.fixture
def own_server(release: Release) -> Iterator[Server]:
    """A server of the test's own, not started yet."""
    with new_server(release) as stopped:
        yield stopped


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path / "ledger.json"))


@pytest.fixture
def files() -> Iterator[Path]:
    """A folder for verified files: root's, readable by all, on the file system of the servers' stores."""
    with open_folder("files") as folder:
        yield folder


@pytest.fixture
def small_model(files: Path) -> Path:
    """A GGUF file with all that lists and shows want, and too little to generate; another one in each test."""
    file = files / "small.gguf"
    kv = {
        **builders.MODEL_KV,
        "general.name": ("str", str(files)),
        "general.file_type": ("u32", 3),
        "llama.context_length": ("u32", 128),
        "llama.embedding_length": ("u32", 32),
        "llama.attention.head_count": ("u32", 1),
        "llama.feed_forward_length": ("u32", 32),
        "tokenizer.ggml.model": ("str", "llama"),
    }
    file.write_bytes(builders.gguf(kv, builders.tensors(3)))
    return file
