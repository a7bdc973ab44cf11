# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Prompt templates that go by a name.

Ollama finds about twenty templates by itself before 0.30, none of them DeepSeek's: without TEMPLATE such a model gets
the bare prompt and rambles.
"""

from __future__ import annotations

from typing import Mapping

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


def template_text(template: str) -> str:
    """The text of a built-in template when `template` is its name, else `template` itself."""
    return BUILT_IN.get(template, template)
