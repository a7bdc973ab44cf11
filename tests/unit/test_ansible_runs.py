# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A warning that a playbook prints fails the test that ran it, unless the test expects it."""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.tests.ansible_runs import only_expected_warnings, warnings_of

OUTPUT = """\
TASK [Run it] ******************************************************************
[WARNING]: smol has no template, and Ollama 0.5.7 does not use the one in the
GGUF file: the model gets the bare prompt.
changed: [one]
[DEPRECATION WARNING]: INJECT_FACTS_AS_VARS default to `True` is deprecated,
set it.
WARNING: this line is a report's
"""


def test_each_warning_is_read_as_a_whole():
    first, second = warnings_of(OUTPUT)
    assert first == (
        "[WARNING]: smol has no template, and Ollama 0.5.7 does not use the one in the "
        "GGUF file: the model gets the bare prompt."
    )
    assert second.startswith("[DEPRECATION WARNING]: INJECT_FACTS_AS_VARS")


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ([], "smol has no template"),
        (["does not use the one in the GGUF file"], "INJECT_FACTS_AS_VARS"),
        (["has no template", "INJECT_FACTS_AS_VARS", "never said"], "did not come: .'never said'."),
    ],
)
def test_what_is_not_expected_and_what_does_not_come_fail(expected, words):
    with pytest.raises(AssertionError, match=words):
        only_expected_warnings(OUTPUT, expected)


def test_what_is_expected_passes():
    only_expected_warnings(OUTPUT, ["does not use the one in the GGUF file", "INJECT_FACTS_AS_VARS"])
    only_expected_warnings("ok: [one]\n")
