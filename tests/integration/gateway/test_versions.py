# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which HAProxy is said to be tested."""

from __future__ import annotations

import re

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.proxy import TESTED
from ansible_collections.gguf.fleet.tests.fixtures_assets import image
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import docker


@pytest.mark.docker
@pytest.mark.long
def test_the_versions_that_are_told_as_tested_are_those_that_the_attacks_run_against() -> None:
    told = [docker("run", "--rm", image(name), "haproxy", "-v") for name in ("gateway", "trixie", "forky")]
    versions = [re.findall(r"^HAProxy version (\d+)\.(\d+)", text)[0] for text in told]
    assert [(int(first), int(second)) for first, second in versions] == list(TESTED)
