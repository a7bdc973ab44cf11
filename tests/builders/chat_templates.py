# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates as models of today have them, one for each way of writing them, and a talk to render by them."""

from __future__ import annotations

from typing import Any

TEMPLATES: dict[str, str] = {
    "chatml": """\
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 -}}
<|im_start|>{{ .Role }}
{{ .Content }}
{{- if or (ne .Role "assistant") (not $last) }}<|im_end|>
{{ end }}
{{- if and $last (ne .Role "assistant") }}<|im_start|>assistant
{{ end }}
{{- end }}""",
    "llama3, with tools": """\
<|start_header_id|>system<|end_header_id|>
{{- if .System }}

{{ .System }}
{{- end }}
{{- if .Tools }}Cutting Knowledge Date: December 2023

When you receive a tool call response, use the output to format an answer.
{{- end }}<|eot_id|>
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}<|start_header_id|>user<|end_header_id|>
{{- if and $.Tools $last }}

Respond with a JSON for a function call. Respond in the format {"name": function name, "parameters": dictionary}.

{{ range $.Tools }}
{{- . }}
{{ end }}
{{ .Content }}<|eot_id|>
{{- else }}

{{ .Content }}<|eot_id|>
{{- end }}{{ if $last }}<|start_header_id|>assistant<|end_header_id|>

{{ end }}
{{- else if eq .Role "assistant" }}<|start_header_id|>assistant<|end_header_id|>
{{- if .ToolCalls }}
{{ range .ToolCalls }}
{"name": "{{ .Function.Name }}", "parameters": {{ .Function.Arguments }}}{{ end }}
{{- else }}

{{ .Content }}
{{- end }}{{ if not $last }}<|eot_id|>{{ end }}
{{- else if eq .Role "tool" }}<|start_header_id|>ipython<|end_header_id|>

{{ .Content }}<|eot_id|>{{ if $last }}<|start_header_id|>assistant<|end_header_id|>

{{ end }}
{{- end }}
{{- end }}""",
    "deepseek, which thinks": """\
{{- if .System }}{{ .System }}{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1}}
{{- if eq .Role "user" }}<｜User｜>{{ .Content }}
{{- else if eq .Role "assistant" }}<｜Assistant｜>
  {{- if and $.IsThinkSet (and $last .Thinking) -}}
<think>
{{ .Thinking }}
</think>
{{- end }}{{ .Content }}{{- if not $last }}<｜end▁of▁sentence｜>{{- end }}
{{- end }}
{{- if and $last (ne .Role "assistant") }}<｜Assistant｜>
{{- if and $.IsThinkSet (not $.Think) -}}
<think>

</think>

{{ end }}
{{- end -}}
{{- end }}""",
    "mistral, which looks for the last user": """\
{{- $lastUser := -1 }}
{{- range $index, $_ := .Messages }}
{{- if eq .Role "user" }}{{ $lastUser = $index }}{{ end }}
{{- end }}
{{- range $index, $_ := .Messages }}
{{- if eq .Role "user" }}
{{- if and (eq $lastUser $index) $.Tools }}[AVAILABLE_TOOLS] {{ json $.Tools }}[/AVAILABLE_TOOLS]{{ end }}
{{- ""}}[INST] {{ .Content }}[/INST]
{{- else if eq .Role "assistant" }} {{ with .Content }}{{ . }}{{ end }}
{{- with .ToolCalls }}[TOOL_CALLS] [
{{- range . }}{"name": "{{ .Function.Name }}", "arguments": {{ json .Function.Arguments }}}{{ end }}]{{ end }}</s>
{{- else }}{{ continue }}
{{- end }}
{{- end }}""",
    "gpt-oss, with templates of its own": """\
{{- define "property" }}{{ .Type | toTypeScriptType }} // {{ .Description }}
{{ end -}}
<|start|>system<|message|>Current date: {{ currentDate }}, the day after {{ yesterdayDate }}
{{- /* the tools, in the manner of TypeScript */ -}}
{{- range .Tools }}
type {{ .Function.Name }} = (_: {
{{- range $name, $property := .Function.Parameters.Properties }}
  {{ $name }}: {{ template "property" $property }}
{{- else }}
{{- end }}}) => any;
{{- end }}
{{- range $message := .Messages }}
{{- if $message.Content }}<|start|>{{ $message.Role }}<|message|>{{ $message.Content }}<|end|>
{{- else }}{{ break }}{{ end }}
{{- end }}<|start|>assistant""",
    "one turn, by pieces": """\
{{ if .System }}{{ .System | printf "%s" }} {{ end }}{{ if (and .Prompt (ne .Prompt `raw "text"`)) }}### User:
{{ .Prompt }}{{ end }}
{{- block "answer" . }}
### Assistant:
{{ .Response }}{{ "\\n\\"}}\\"" }}{{ end }}""",
    "numbers and constants": """\
{{ $x := 0x1F }}{{ if gt $x 1_0 }}{{ index .Messages 0 | len }}{{ 'a' }}{{ 1.5e3 }}{{ -3 }}{{ nil | not }}{{ end }}""",
}

TALK: dict[str, Any] = {
    "System": "Be brief.",
    "Messages": [
        {"Role": "user", "Content": "What?"},
        {"Role": "assistant", "Content": "That."},
        {"Role": "user", "Content": "Why?"},
    ],
    "Tools": [],
    "Prompt": "Why?",
    "Response": "",
    "Think": True,
    "IsThinkSet": True,
}
