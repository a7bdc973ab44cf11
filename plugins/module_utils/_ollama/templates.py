# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Prompt templates: those that go by a name, and whether Ollama can parse the others.

Ollama finds about twenty templates by itself before 0.30, none of them DeepSeek's: without TEMPLATE such a model gets
the bare prompt and rambles.
"""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence

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

# GLM 4.5 and 4.6.
_GLM_4 = """\
[gMASK]<sop>
{{- range .Messages }}<|{{ .Role }}|>
{{ .Content }}
{{- end }}<|assistant|>"""

_KIMI_K2 = """\
{{- range .Messages }}<|im_{{ .Role }}|>{{ .Role }}<|im_middle|>{{ .Content }}<|im_end|>
{{- end }}<|im_assistant|>assistant<|im_middle|>"""

_MINIMAX_M2 = """\
]~!b[
{{- range .Messages }}]~b]{{ if eq .Role "assistant" }}ai{{ else }}{{ .Role }}{{ end }}
{{ .Content }}[e~[
{{ end }}]~b]ai
"""

_GPT_OSS = """\
{{- range .Messages }}
{{- if eq .Role "assistant" }}<|start|>assistant<|channel|>final<|message|>{{ .Content }}<|end|>
{{- else if eq .Role "system" }}<|start|>developer<|message|># Instructions

{{ .Content }}<|end|>
{{- else }}<|start|>{{ .Role }}<|message|>{{ .Content }}<|end|>
{{- end }}
{{- end }}<|start|>assistant"""

_LLAMA_4 = """\
{{- range .Messages }}<|header_start|>{{ .Role }}<|header_end|>

{{ .Content }}<|eot|>
{{- end }}<|header_start|>assistant<|header_end|>

"""

# It knows no system: what that says begins the first question.
_GEMMA_3 = """\
{{- $before := .System }}
{{- range .Messages }}
{{- if eq .Role "user" }}<start_of_turn>user
{{ if $before }}{{ $before }}

{{ $before = "" }}{{ end }}{{ .Content }}<end_of_turn>
{{ else if eq .Role "assistant" }}<start_of_turn>model
{{ .Content }}<end_of_turn>
{{ end }}
{{- end }}<start_of_turn>model
"""

_GEMMA_4 = """\
{{- range .Messages }}<|turn>{{ if eq .Role "assistant" }}model{{ else }}{{ .Role }}{{ end }}
{{ .Content }}<turn|>
{{ end }}<|turn>model
"""

_MISTRAL_SMALL = """\
{{- range .Messages }}
{{- if eq .Role "system" }}[SYSTEM_PROMPT]{{ .Content }}[/SYSTEM_PROMPT]
{{- else if eq .Role "user" }}[INST]{{ .Content }}[/INST]
{{- else if eq .Role "assistant" }}{{ .Content }}</s>
{{- end }}
{{- end }}"""

BUILT_IN: Mapping[str, str] = {
    "deepseek-r1": _DEEPSEEK_R1,
    "deepseek-r1-short": _DEEPSEEK_R1_SHORT,
    "chatml": _CHATML,
    "glm-4": _GLM_4,
    "kimi-k2": _KIMI_K2,
    "minimax-m2": _MINIMAX_M2,
    "gpt-oss": _GPT_OSS,
    "llama-4": _LLAMA_4,
    "gemma-3": _GEMMA_3,
    "gemma-4": _GEMMA_4,
    "mistral-small": _MISTRAL_SMALL,
}
# The texts at which an answer is over; Ollama's own templates bring theirs, too.
STOPS: Mapping[str, Sequence[str]] = {
    "deepseek-r1": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "glm-4": ("<|user|>", "<|observation|>", "<|endoftext|>"),
    "kimi-k2": ("<|im_end|>",),
    "minimax-m2": ("[e~[",),
    "gpt-oss": ("<|return|>", "<|call|>"),
    "llama-4": ("<|eot|>", "<|header_start|>"),
    "gemma-3": ("<start_of_turn>", "<end_of_turn>"),
    "gemma-4": ("<|turn>", "<turn|>"),
    "mistral-small": ("[INST]", "</s>"),
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
_UNSAFE = "Ansible reads {{ }} as its own: write template: !unsafe before the text, or name its file in template_file."
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


def with_stops(parameters: Mapping[str, Any], template: str) -> Mapping[str, Any]:
    """The parameters of a model with a template by name: they have its stops, unless they have some of their own."""
    if "stop" in parameters or template not in STOPS:
        return parameters
    return {**parameters, "stop": list(STOPS[template])}


def functions_of(version: Version) -> Sequence[str]:
    """The functions that Ollama of this version has beside Go's own."""
    return [name for name, since in _FUNCTIONS.items() if version >= since]


def _no_template(text: str, whose: str) -> OllamaProblem:
    shown = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
    if "{%" in text:
        return OllamaProblem(f"{whose} has no {{{{ }}}}: {shown}.", f"{_JINJA} {_READ}")
    # What has more than the letters of a name was a text, before Ansible took the actions out of it.
    mangled = re.search(r"[^\w .-]", text) is not None
    return OllamaProblem(
        f"{whose} is neither a built-in one nor a text with {{{{ }}}}: {shown}.",
        _UNSAFE if mangled else did_you_mean(text.strip(), BUILT_IN),
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
