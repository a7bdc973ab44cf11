# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modelfile and ollama_model as Ansible does, against the stand-in."""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_fixtures import (
    files,
    release,
    server,
    small_model,
)
from ansible_collections.gguf.fleet.tests.integration.gpu.conftest import run_module

__all__ = ["files", "release", "run_module", "server", "small_model"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "release" in metafunc.fixturenames:
        metafunc.parametrize("release", ["0.33.2"], indirect=True, scope="session")
