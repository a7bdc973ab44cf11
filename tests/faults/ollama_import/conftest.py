# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
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
