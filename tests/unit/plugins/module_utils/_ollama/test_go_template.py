# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parser of Go's text/template: what it takes renders, what it refuses is named with its place.

Its verdicts and words were compared with those of Go 1.27's text/template on 60,000 templates made from such pieces.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.go_template import (
    MAX_DEPTH,
    TemplateProblem,
    functions_of,
    parse,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import BUILT_IN
from ansible_collections.gguf.fleet.tests.builders.chat_templates import TALK, TEMPLATES
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin import gotemplate, release

OLLAMA = ("json", "currentDate", "toTypeScriptType", "yesterdayDate")


@pytest.fixture(autouse=True)
def newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "VERSION", "0.33.2")


@pytest.mark.parametrize("name", [*TEMPLATES, *BUILT_IN])
def test_templates_as_models_have_them_parse_and_render(name: str) -> None:
    source = {**TEMPLATES, **BUILT_IN}[name]
    parse(source, OLLAMA)
    assert len(gotemplate.Template(source).execute(TALK)) > 10


def test_the_functions_that_a_template_calls_are_known() -> None:
    parsed = parse(TEMPLATES["gpt-oss, with templates of its own"], OLLAMA)
    assert functions_of((parsed.nodes, *parsed.defined.values())) == {
        "currentDate",
        "yesterdayDate",
        "toTypeScriptType",
    }


BROKEN = [
    ("{{ .A", 1, 1, "unclosed action"),
    ("a\n  {{ .A \n", 2, 3, "unclosed action"),
    ("{{ if .A }}\n{{ range .B }}x\n{{ end }}", 1, 1, "unexpected EOF"),
    ("{{ if .A }}{{ else }}", 1, 1, "unexpected EOF"),
    ('{{ define "a" }}', 1, 1, "unexpected EOF"),
    ("x{{ end }}", 1, 2, "unexpected {{end}}"),
    ("{{ else }}", 1, 1, "unexpected {{else}}"),
    ("{{ if .A }}{{ else }}{{ else }}{{ end }}", 1, 22, "expected end; found {{else}}"),
    ("{{ range .A }}{{ else if .B }}{{ end }}{{ end }}", 1, 23, "unexpected <if> in input"),
    ("{{ if }}x{{ end }}", 1, 7, "missing value for if"),
    ("{{}}", 1, 3, "missing value for command"),
    ("{{ nope }}", 1, 4, 'function "nope" not defined'),
    ("\n\n{{ .A }}{{ message.role }}", 3, 12, 'function "message" not defined'),
    ("{{ $x }}", 1, 4, 'undefined variable "$x"'),
    ("{{ $x = 1 }}", 1, 4, 'undefined variable "$x"'),
    ("{{ if $x := .A }}{{ end }}{{ $x }}", 1, 30, 'undefined variable "$x"'),
    ('{{ $x := 1 }}{{ define "a" }}{{ $x }}{{ end }}', 1, 33, 'undefined variable "$x"'),
    ("{{ $x, $y := .A }}", 1, 6, "too many declarations in command"),
    ("{{ range $i, .A }}{{ end }}", 1, 14, "range can only initialize variables"),
    ("{{ break }}", 1, 1, "{{break}} outside {{range}}"),
    ('{{ range .A }}{{ block "b" . }}{{ continue }}{{ end }}{{ end }}', 1, 32, "{{continue}} outside {{range}}"),
    ("{{ (len .A }}", 1, 12, "unclosed left paren"),
    ("{{ .A) }}", 1, 6, "unexpected right paren"),
    ("{{ () }}", 1, 5, "missing value for parenthesized pipeline"),
    ('{{ "a }}', 1, 4, "unterminated quoted string"),
    ("{{ `a }}", 1, 4, "unterminated raw quoted string"),
    ("{{ 'a }}", 1, 4, "unterminated character constant"),
    ('{{ "\\q" }}', 1, 4, "invalid syntax"),
    ("{{/* a }}", 1, 1, "unclosed comment"),
    ("{{/* a */ }}", 1, 1, "comment ends before closing delimiter"),
    ("{{ /* a */ }}", 1, 4, 'unexpected "/" in command'),
    ("{{-3}}{{-.A}}", 1, 9, 'bad number syntax: "-.A"'),
    ("{{ 3x }}", 1, 4, 'bad number syntax: "3x"'),
    ("{{ 1__0 }}", 1, 4, 'illegal number syntax: "1__0"'),
    ("{{ 99999999999999999999 }}", 1, 4, 'integer overflow: "99999999999999999999"'),
    ("{{ if .A == 1 }}{{ end }}", 1, 10, 'unexpected "=" in operand'),
    ("{{ if .A && .B }}{{ end }}", 1, 10, 'unexpected "&" in operand'),
    ("{{ .M[0] }}", 1, 6, "bad character U+005B '['"),
    ("{{ .A | 1 }}", 1, 9, "non executable command in pipeline stage 2"),
    ('{{ "a".B }}', 1, 4, 'unexpected . after term "\\"a\\""'),
    ("{{ template `a` . }}", 1, 13, 'template "a" not defined'),
    ('{{ define "a" }}{{ end }}{{ template "a" }}', 1, 38, "undefined template specified"),
    ('{{ define "a" }}x{{ end }}{{ define "a" }}y{{ end }}', 1, 27, 'multiple definition of template "a"'),
    ("{{ if .A }}{{ define `a` }}{{ end }}{{ end }}", 1, 15, "unexpected <define> in command"),
    ("{{ a\u2028}}", 1, 5, "bad character U+2028"),
    ("{{ " + "(" * 200 + ".A" + ")" * 200 + " }}", 1, 4 + MAX_DEPTH, f"more than {MAX_DEPTH} levels lie in each other"),
    ("{{ if .A }}" * 200, 1, 1 + 11 * MAX_DEPTH, f"more than {MAX_DEPTH} levels lie in each other"),
]


@pytest.mark.parametrize(("source", "line", "column", "found"), BROKEN)
def test_what_go_refuses_is_refused_with_its_place(source: str, line: int, column: int, found: str) -> None:
    with pytest.raises(TemplateProblem) as caught:
        parse(source, OLLAMA)
    assert (caught.value.line, caught.value.column, caught.value.found.partition(" '\u2028")[0]) == (
        line,
        column,
        found,
    )


PIECES = (
    *("{{", "}}", "{{- ", " -}}", " ", ".A", ".Messages", "$", "$x", "$x := ", "$i, $x := ", "if ", "else", "end"),
    *("range ", "with ", 'define "a"', 'template "a" ', 'block "b" ', "break", "continue", "(", ")", "|", ",", '"s"'),
    *(
        "`r`",
        "'c'",
        "1",
        "-2",
        "0x1",
        "1.5",
        "nil",
        "true",
        "json ",
        "len ",
        "eq ",
        "=",
        ":=",
        "/*",
        "*/",
        "\n",
        "é",
        "@",
    ),
)
ACTIONS = (
    *("{{ .A }}", "{{ if .A }}", "{{ end }}", "{{ end }}", "{{ else }}", "{{ else if .B }}", "{{ range .Messages }}"),
    *("{{ range $i, $x := .Messages }}", "{{ with .System }}", "{{ break }}", "{{ continue }}", '{{ define "a" }}'),
    *('{{ template "a" . }}', '{{ block "b" . }}', "text", "{{ $x := 1 }}", "{{ $x = 2 }}", "{{ $x }}", "{{/* c */}}"),
    *("{{- (len .Messages) | json -}}", "{{ .Prompt | printf `%s` }}", "{{ index .Messages 1 }}", "{{ .A 1 }}"),
)


@given(st.one_of(*(st.lists(st.sampled_from(pieces), max_size=14).map("".join) for pieces in (PIECES, ACTIONS))))
@settings(max_examples=400, deadline=None)
def test_what_the_parser_takes_renders_and_anything_else_is_named(source: str) -> None:
    try:
        parse(source, OLLAMA)
    except TemplateProblem as problem:
        assert 1 <= problem.line <= source.count("\n") + 1 and problem.column >= 1
        return
    template = gotemplate.Template(source)
    try:
        template.execute(TALK)
    except gotemplate.TemplateProblem as problem:
        # What only the values can tell, in Go's words too.
        assert "executing" in str(problem)


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_is_taken_or_named(text: str) -> None:
    for source in (text, "{{ " + text + " }}"):
        try:
            parse(source, OLLAMA)
        except TemplateProblem as problem:
            assert problem.found


def test_the_stand_in_s_archive_brings_the_parser_along(tmp_path: Path) -> None:
    import subprocess

    from ansible_collections.gguf.fleet.tests.doubles.ollama import build

    (tmp_path / "lib").mkdir()
    program = build.unpack("0.33.2", tmp_path / "lib", tmp_path / "prefix")
    script = f"import sys; sys.path.insert(0, {str(program)!r}); from ollama_standin import gotemplate as g; "
    script += "print(g.go_template.__file__, g.Template('{{ currentDate | len }}').execute({}))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], text=True, capture_output=True, check=True, cwd=tmp_path
    )
    assert str(program) in done.stdout and done.stdout.split()[-1] == "10"
