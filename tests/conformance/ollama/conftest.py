# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same contract for every release: the stand-ins in CI, and a real binary that OLLAMA_TEST_BINARY names.

OLLAMA_TEST_BINARY=/opt/ollama/bin/ollama pytest tests/conformance/ollama
OLLAMA_TEST_VERSION=0.33.0 …   when the binary was built locally and says 0.0.0
"""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_fixtures import (  # noqa: F401
    against_every_release,
    files,
    ledger,
    own_server,
    release,
    server,
    small_model,
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    against_every_release(metafunc)
