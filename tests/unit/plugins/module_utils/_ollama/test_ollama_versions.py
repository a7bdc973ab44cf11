# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import Version, parse_version, rules_for, span


@pytest.mark.parametrize(
    ("text", "version"),
    [("0.5.7", (0, 5, 7)), ("v0.33.0-rc2", (0, 33, 0)), (" 0.11.11 ", (0, 11, 11)), ("0.14.0+local", (0, 14, 0))],
)
def test_a_version_is_read(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == Version(*version)


@pytest.mark.parametrize("text", ["", "latest", "0.5", "0.5.7.1", "v1"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(OllamaProblem):
        parse_version(text)


@pytest.mark.parametrize(
    ("rule", "last_before", "first_after", "after"),
    [
        ("config_has_rootfs", "0.32.6", "0.32.7", False),
        ("model_layer_names_its_blob", "0.24.0", "0.30.0", False),
        ("needs_template", "0.24.0", "0.30.0", False),
    ],
)
def test_a_rule_changes_between_the_two_releases(rule: str, last_before: str, first_after: str, after: bool) -> None:
    assert getattr(rules_for(parse_version(last_before)), rule) is not after
    assert getattr(rules_for(parse_version(first_after)), rule) is after


@pytest.mark.parametrize(
    ("version", "tested"),
    [("0.5.4", False), ("0.5.7", True), ("0.33.9", True), ("0.34.0", False), ("0.0.0", True), ("1.0.0", False)],
)
def test_the_tested_range_ends_with_its_minor_release(version: str, tested: bool) -> None:
    assert rules_for(parse_version(version)).tested is tested


def test_a_span_includes_its_beginning_and_not_its_end() -> None:
    between = span("0.5.13", "0.7.0")
    assert [parse_version(text) in between for text in ("0.5.12", "0.5.13", "0.6.8", "0.7.0")] == [
        False,
        True,
        True,
        False,
    ]
