# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import unit
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

LINES = ["a\nUser=root", "a\r", "a\x00", "a\x85User=root", "a\u2028b", "a\u2029b", "a\u202eb", "a\\"]


@pytest.mark.parametrize("text", LINES, ids=ascii)
def test_what_would_begin_or_swallow_a_line_is_refused(text: str) -> None:
    with pytest.raises(ServiceProblem):
        unit.value(text)
    with pytest.raises(ServiceProblem):
        unit.paths([f"/srv/{text}"])


def test_a_percent_is_no_specifier() -> None:
    assert unit.value("100% local") == "100%% local"
    assert unit.paths(["/srv/a%n", "/srv/two words"]) == '/srv/a%%n "/srv/two words"'


@pytest.mark.parametrize("path", ["srv", "", '/srv/"a', "/srv/a\\b", "/srv/it's", "-/srv", " /srv"])
def test_a_path_that_systemd_would_read_otherwise_is_refused(path: str) -> None:
    with pytest.raises(ServiceProblem, match="cannot be written"):
        unit.paths([path])
