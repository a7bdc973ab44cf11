# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Prompt templates: those that go by a name, and whether Ollama can parse the others.

Ollama finds about twenty templates by itself before 0.30, none of them DeepSeek's: without TEMPLATE such a model gets
the bare prompt and rambles.
"""

from __future__ import annotations

import re
from typing import Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._ollama import go_template
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.nearest_word import did_you_mean, nearest
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import NEWEST_TESTED, OLDEST_TESTED, Version

_SHOWN = 60

# Several turns, as the chat template in DeepSeek-R1's own tokenizer has them.
_DEEPSEEK_R1 = """\
{{- if .System }}{{ .System }}{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1}}
{{- if eq .Role "user" }}<｜User｜>{{ .Content }}
{{- else if eq .Role "assistant" }}<｜Assistant｜>{{ .Content }}{{- if not $last }}<｜end▁of▁sentence｜>{{- end }}
{{- end }}
{{- if and $last (ne .Role "assistant") }}<｜Assistant｜>{{- end }}
{{- end }}"""

# One question, one answer; knows no system prompt and no earlier turns.
_DEEPSEEK_R1_SHORT = "<｜User｜>{{ .Prompt }}<｜Assistant｜>"

# What ChatML models (Qwen, SmolLM2 and many others) were trained on.
_CHATML = """\
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""

BUILT_IN: Mapping[str, str] = {
    "deepseek-r1": _DEEPSEEK_R1,
    "deepseek-r1-short": _DEEPSEEK_R1_SHORT,
    "chatml": _CHATML,
}


# Functions that Ollama adds to those of Go (template/template.go), and since when.
_FUNCTIONS: Mapping[str, Version] = {
    "json": OLDEST_TESTED,
    "currentDate": Version(0, 11, 0),
    "toTypeScriptType": Version(0, 11, 3),
    "yesterdayDate": Version(0, 13, 3),
}
_READ = "Ollama reads Go's text/template: {{ .Prompt }}, {{ range .Messages }} ... {{ end }}."
_JINJA = "This is Jinja, which Ollama reads from the GGUF file alone: from 0.30 on, and when no template is given."
_NOT_DEFINED = re.compile(r'function "(.*)" not defined')
_JINJA_WORDS = ("messages", "message", "bos_token", "eos_token", "add_generation_prompt", "raise_exception", "loop")


def checked_template(template: str, version: Version = NEWEST_TESTED, model: str = "") -> str:
    """The text of the built-in template that has this name, or `template` itself, which Ollama of this version parses.

    Raises OllamaProblem, which names the model, the line and the column (from 1), and what was found there.
    """
    if not template or template in BUILT_IN:
        return BUILT_IN.get(template, template)
    whose = f"The template of {model}" if model else "The template"
    if "{{" not in template:
        raise _no_template(template, whose)
    try:
        go_template.parse(template, functions_of(version))
    except go_template.TemplateProblem as problem:
        found = problem.found.replace("unexpected EOF", "what begins here has no {{ end }}")
        place = f"line {problem.line}, column {problem.column}"
        raise OllamaProblem(f"{whose}, {place}: {found}.", _remedy(problem.found, template)) from problem
    return template


def functions_of(version: Version) -> Sequence[str]:
    """The functions that Ollama of this version has beside Go's own."""
    return [name for name, since in _FUNCTIONS.items() if version >= since]


def _no_template(text: str, whose: str) -> OllamaProblem:
    shown = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
    if "{%" in text:
        return OllamaProblem(f"{whose} has no {{{{ }}}}: {shown}.", f"{_JINJA} {_READ}")
    return OllamaProblem(
        f"{whose} is neither a built-in one nor a text with {{{{ }}}}: {shown}.", did_you_mean(text.strip(), BUILT_IN)
    )


def _remedy(found: str, template: str) -> str:
    undefined = _NOT_DEFINED.search(found)
    if "{%" in template or (undefined and undefined.group(1) in _JINJA_WORDS):
        return f"{_JINJA} {_READ}"
    if undefined is None:
        return f"Correct it there. {_READ}"
    name = undefined.group(1)
    if name in _FUNCTIONS:
        return f"Ollama {_FUNCTIONS[name]} and newer have it."
    known = (*go_template.BUILT_IN_FUNCTIONS, *_FUNCTIONS)
    near = nearest(name, known)
    return f"Did you mean {near}?" if near else f"A field begins with a dot: .{name}. {_READ}"
