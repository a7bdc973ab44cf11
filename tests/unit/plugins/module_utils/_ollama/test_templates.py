# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates by name, and what is said of one that Ollama cannot parse."""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import (
    BUILT_IN,
    checked_template,
    with_stops,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import parse_version


def test_a_name_gives_the_built_in_text_and_a_text_itself():
    assert checked_template("chatml") == BUILT_IN["chatml"]
    assert checked_template("{{ .Prompt }}") == "{{ .Prompt }}"
    assert checked_template("") == ""


@pytest.mark.parametrize(
    ("template", "problem", "remedy"),
    [
        ("chatlm", "of r1 is neither a built-in one nor a text with {{ }}: 'chatlm'.", "Did you mean chatml?"),
        ("Deepseek-R1", "of r1 is neither a built-in one", "Did you mean deepseek-r1?"),
        ("vicuna", "of r1 is neither", "Known ones: chatml, deepseek-r1, deepseek-r1-short, gemma-3, "),
        ("a\n{{ if .A }}", "of r1, line 2, column 1: what begins here has no {{ end }}.", "Correct it there."),
        ("{{ jsn .A }}", 'of r1, line 1, column 4: function "jsn" not defined.', "Did you mean json?"),
        ("{{ Prompt }}", 'function "Prompt" not defined.', "A field begins with a dot: .Prompt."),
        ("{{ bos_token }}", 'function "bos_token" not defined.', "This is Jinja"),
        (
            "{% for m in messages %}{{ m['role'] }}{% endfor %}",
            "line 1, column 28: bad character U+005B",
            "This is Jinja",
        ),
        ("{% if x %}", "of r1 has no {{ }}: '{% if x %}'.", "This is Jinja"),
        ("{{ \x1b }}", "unrecognized character in action: U+001B", "Correct it there."),
    ],
)
def test_what_ollama_cannot_parse_is_named_with_what_to_do(template, problem, remedy):
    with pytest.raises(OllamaProblem) as caught:
        checked_template(template, model="r1")
    assert problem in caught.value.problem
    assert caught.value.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("function", "since", "before"),
    [
        ("currentDate", "0.11.0", "0.10.1"),
        ("toTypeScriptType .A", "0.11.3", "0.11.2"),
        ("yesterdayDate", "0.13.3", "0.13.2"),
    ],
)
def test_a_function_counts_from_the_version_that_has_it(function, since, before):
    template = f"{{{{ {function} }}}}"
    assert checked_template(template, parse_version(since)) == template
    with pytest.raises(OllamaProblem, match=f"Ollama {since} and newer have it"):
        checked_template(template, parse_version(before))


def test_a_template_by_name_brings_its_stops_unless_the_model_has_some():
    assert with_stops({"num_ctx": 8}, "chatml") == {"num_ctx": 8, "stop": ["<|im_start|>", "<|im_end|>"]}
    assert with_stops({"stop": ["x"]}, "chatml") == {"stop": ["x"]}
    assert with_stops({}, "{{ .Prompt }}") == {}
