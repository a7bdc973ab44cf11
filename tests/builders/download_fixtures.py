# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model to fetch, a ledger to note it in, and a place that it goes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.tests.builders.download import Model, make_model


@pytest.fixture(name="model", scope="module")
def a_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp("hub"))


@pytest.fixture(name="ledger")
def a_ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path / "ledger.json"))


@pytest.fixture(name="dest")
def a_dest(tmp_path: Path) -> Path:
    return tmp_path / "models" / "tiny.gguf"
