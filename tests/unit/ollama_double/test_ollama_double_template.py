# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in's interpreter of Go templates: the articles' templates exactly, and the language around them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import BUILT_IN, STOPS
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.gotemplate import (
    Record,
    Template,
    TemplateProblem,
)
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.prompt import ChatTemplate

MULTI_TURN = """{{- if .System }}{{ .System }}{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1}}
{{- if eq .Role "user" }}<｜User｜>{{ .Content }}
{{- else if eq .Role "assistant" }}<｜Assistant｜>{{ .Content }}{{- if not $last }}<｜end▁of▁sentence｜>{{- end }}
{{- end }}
{{- if and $last (ne .Role "assistant") }}<｜Assistant｜>{{- end }}
{{- end }}"""
# A talk of four turns by each of our own templates, as the makers of the models write it.
OURS = {
    "chatml": (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n"
        "<|im_start|>user\n3<|im_end|>\n<|im_start|>assistant\n"
    ),
    "glm-4": "[gMASK]<sop><|system|>\nS<|user|>\n1<|assistant|>\n2<|user|>\n3<|assistant|>",
    "kimi-k2": (
        "<|im_system|>system<|im_middle|>S<|im_end|><|im_user|>user<|im_middle|>1<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|>2<|im_end|><|im_user|>user<|im_middle|>3<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|>"
    ),
    "minimax-m2": "]~!b[]~b]system\nS[e~[\n]~b]user\n1[e~[\n]~b]ai\n2[e~[\n]~b]user\n3[e~[\n]~b]ai\n",
    "gpt-oss": (
        "<|start|>developer<|message|># Instructions\n\nS<|end|><|start|>user<|message|>1<|end|>"
        "<|start|>assistant<|channel|>final<|message|>2<|end|><|start|>user<|message|>3<|end|><|start|>assistant"
    ),
    "llama-4": (
        "<|header_start|>system<|header_end|>\n\nS<|eot|><|header_start|>user<|header_end|>\n\n1<|eot|>"
        "<|header_start|>assistant<|header_end|>\n\n2<|eot|><|header_start|>user<|header_end|>\n\n3<|eot|>"
        "<|header_start|>assistant<|header_end|>\n\n"
    ),
    "gemma-3": (
        "<start_of_turn>user\nS\n\n1<end_of_turn>\n<start_of_turn>model\n2<end_of_turn>\n"
        "<start_of_turn>user\n3<end_of_turn>\n<start_of_turn>model\n"
    ),
    "gemma-4": (
        "<|turn>system\nS<turn|>\n<|turn>user\n1<turn|>\n<|turn>model\n2<turn|>\n<|turn>user\n3<turn|>\n<|turn>model\n"
    ),
    "mistral-small": "[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]1[/INST]2</s>[INST]3[/INST]",
}
SHORT = "<｜User｜>{{ .Prompt }}<｜Assistant｜>"


def turns(*talk: str) -> list[dict[str, str]]:
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": roles[turn[0]], "content": turn[2:]} for turn in talk]


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (turns("u:hi"), "<｜User｜>hi<｜Assistant｜>"),
        (turns("s:Be brief.", "u:hi"), "Be brief.<｜User｜>hi<｜Assistant｜>"),
        (
            turns("s:S", "u:1", "a:2", "u:3"),
            "S<｜User｜>1<｜Assistant｜>2<｜end▁of▁sentence｜><｜User｜>3<｜Assistant｜>",
        ),
        (turns("u:1", "a:2"), "<｜User｜>1<｜Assistant｜>2"),
        (turns("u:1", "u:2"), "<｜User｜>1\n\n2<｜Assistant｜>"),
    ],
)
def test_the_multi_turn_template_renders_exactly(talk: list[dict[str, str]], expected: str) -> None:
    assert ChatTemplate(MULTI_TURN).render(talk) == expected


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (turns("u:hi"), "<｜User｜>hi<｜Assistant｜>"),
        (turns("s:ignored", "u:hi"), "<｜User｜>hi<｜Assistant｜>"),
        (turns("u:1", "a:2", "u:3"), "<｜User｜>1<｜Assistant｜>2<｜User｜>3<｜Assistant｜>"),
    ],
)
def test_the_short_template_renders_turn_by_turn(talk: list[dict[str, str]], expected: str) -> None:
    assert ChatTemplate(SHORT).render(talk) == expected


def test_what_follows_the_response_is_not_part_of_an_open_turn() -> None:
    template = ChatTemplate("<u>{{ .Prompt }}<a>{{ .Response }}<eos>")
    assert template.render(turns("u:1")) == "<u>1<a>"
    assert template.render(turns("u:1", "a:2", "u:3")) == "<u>1<a>2<eos><u>3<a>"


@pytest.mark.parametrize(
    ("source", "data", "expected"),
    [
        ("plain", {}, "plain"),
        ("{{ .A }}", {"A": "x"}, "x"),
        ("{{ .A.B }}", {"A": {"B": "x"}}, "x"),
        ("{{ .Missing }}", {}, "<no value>"),
        ("a {{- .A -}} b", {"A": "x"}, "axb"),
        ("a \n{{- /* note */ -}}\n b", {}, "ab"),
        ("a{{/* note */}} b", {}, "a b"),
        ("{{ -3 }}", {}, "-3"),
        ("{{-3}}", {}, "-3"),
        ("{{ if .A }}y{{ else }}n{{ end }}", {"A": ""}, "n"),
        ("{{ if .A }}1{{ else if .B }}2{{ else }}3{{ end }}", {"B": True}, "2"),
        ("{{ range .L }}{{ . }},{{ else }}none{{ end }}", {"L": [1, 2]}, "1,2,"),
        ("{{ range .L }}{{ . }}{{ else }}none{{ end }}", {"L": []}, "none"),
        ("{{ range $i, $x := .L }}{{ $i }}{{ $x }}{{ end }}", {"L": ["a", "b"]}, "0a1b"),
        ("{{ range $x := .L }}{{ $x }}{{ end }}", {"L": ["a", "b"]}, "ab"),
        ("{{ range .L }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}",
         {"L": [1, 2, 3, 4, 5]}, "13"),
        ("{{ with .A }}{{ .B }}{{ end }}", {"A": {"B": "x"}}, "x"),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", {}, "2"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}", {}, "1"),
        ("{{ len .S }}", {"S": "é"}, "2"),
        ("{{ slice .S 1 3 }}", {"S": "abcd"}, "bc"),
        ("{{ len (slice .L 1) }}", {"L": [1, 2, 3]}, "2"),
        ("{{ index .L 1 }}", {"L": ["a", "b"]}, "b"),
        ("{{ and 1 0 2 }}{{ or 0 3 }}{{ not 0 }}", {}, "03true"),
        ("{{ eq .A 1 2 3 }}", {"A": 3}, "true"),
        ("{{ lt 1 2 }}{{ ge 1 2 }}", {}, "truefalse"),
        ("{{ .A | len }}", {"A": "abc"}, "3"),
        ("{{ printf \"%s-%d\" .A 3 }}", {"A": "x"}, "x-3"),
        ("{{ json .A }}", {"A": {"b": 1}}, '{"b":1}'),
        ("{{ \"}}\" }}", {}, "}}"),
        ("{{ `raw \\n` }}", {}, "raw \\n"),
        ("{{ range .L }}{{ $.A }}{{ end }}", {"L": [1, 2], "A": "x"}, "xx"),
        ('{{ define "a" }}<{{ .B }}>{{ end }}{{ template "a" .A }}', {"A": {"B": "x"}}, "<x>"),
        ('{{ $x := 1 }}{{ block "a" .A }}<{{ . }}>{{ end }}{{ $x }}', {"A": "x"}, "<x>1"),
        ("{{ range $i, $x := .L }}{{ else }}{{ len $x }}{{ end }}", {"L": []}, "0"),
        ("{{ println .A | html }}", {"A": "<"}, "&lt;\n"),
    ],
)  # fmt: skip
def test_the_language_does_what_go_does(source: str, data: Any, expected: str) -> None:
    assert Template(source).execute(data) == expected


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("{{ nope }}", 'function "nope" not defined'),
        ("{{ .A ", "unclosed action"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ if .A }}", "unexpected EOF"),
        ("{{ if }}x{{ end }}", "missing value for if"),
        ("{{ $x }}", 'undefined variable "$x"'),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", 'undefined variable "$x"'),
        ("{{ break }}", "outside {{range}}"),
        ('{{ define "a" }}', "unexpected EOF"),
        ('{{ template "a" . }}', 'template "a" not defined'),
        ("{{ (len .A }}", "unclosed left paren"),
        ('{{ "open }}', "un"),
    ],
)
def test_what_cannot_be_parsed_is_said(source: str, problem: str) -> None:
    with pytest.raises(TemplateProblem, match=r"template: :\d+: ") as caught:
        Template(source)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("source", "data"),
    [
        ("{{ range .L }}{{ .Nope }}{{ end }}", {"L": [Record("*api.Message", {"Role": "user"})]}),
        ('{{ eq .A "x" }}', {"A": 1}),
        ("{{ slice .L 5 }}", {"L": [1]}),
        ("{{ index .L 5 }}", {"L": [1]}),
        ("{{ len 3 }}", {}),
        ("{{ .A 1 }}", {"A": 1}),
        ("{{ 1 | .A }}", {"A": 1}),
        ('{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}', {}),
    ],
)
def test_what_cannot_be_executed_is_an_error_not_a_guess(source: str, data: Any) -> None:
    with pytest.raises(TemplateProblem, match="executing"):
        Template(source).execute(data)


@pytest.mark.parametrize("name", OURS)
def test_our_own_templates_render_a_talk_as_the_model_was_trained_on_it(name: str) -> None:
    assert ChatTemplate(BUILT_IN[name]).render(turns("s:S", "u:1", "a:2", "u:3")) == OURS[name]


def test_every_template_of_ours_is_rendered_here_and_has_stops() -> None:
    assert set(BUILT_IN) - set(OURS) == {"deepseek-r1", "deepseek-r1-short"}
    assert set(BUILT_IN) - set(STOPS) == {"deepseek-r1-short"}, "the article's one line has none"
