# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Modelfile grammar, read rune by rune as `ollama create` does."""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .environment import parse_bool
from .epochs import Epochs

_INTS = (
    "num_keep",
    "seed",
    "num_predict",
    "top_k",
    "repeat_last_n",
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
)
_FLOATS = ("top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty")
_OLD_INTS = ("mirostat",)
_OLD_FLOATS = ("mirostat_tau", "mirostat_eta")
_OLD_BOOLS = ("low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock", "penalize_newline")


class ModelfileProblem(Exception):
    """The file cannot be parsed; the text is the program's."""


class Command(NamedTuple):
    """One command: `model` for FROM, a parameter's own name, or the command in lower case."""

    name: str
    args: str


def _commands(rules: Epochs) -> List[str]:
    names = ["from", "license", "template", "system", "adapter", "parameter", "message"]
    if rules.renderer_commands:
        names[5:5] = ["renderer", "parser"]
    if rules.requires_command:
        names.append("requires")
    return names


def _unquote(text: str) -> Optional[str]:
    for mark in ('"""', '"'):
        if text.startswith(mark):
            return text[len(mark) : -len(mark)] if len(text) >= 2 * len(mark) and text.endswith(mark) else None
    return text


def _decoded(data: bytes) -> str:
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    return data.decode("utf-8", "replace")


def parse(data: bytes, rules: Epochs) -> List[Command]:
    """The commands of a file, or ModelfileProblem."""
    allowed = _commands(rules)
    bad_command = 'command must be one of %s, or "%s"' % (", ".join('"%s"' % n for n in allowed[:-1]), allowed[-1])
    bad_role = 'message role must be one of "system", "user", or "assistant"'
    commands: List[Command] = []
    state, line, name, role, buffer = "nil", 1, "", "", ""

    def finish(text: str) -> None:
        nonlocal role
        commands.append(Command(name, "%s: %s" % (role, text) if role else text))
        role = ""

    for rune in _decoded(data):
        newline, blank = rune in "\r\n", rune in " \t"
        if newline:
            line += 1
        where = "(line %d): " % line
        if state == "nil":
            if rune == "#":
                state = "comment"
            elif not (newline or blank):
                state, buffer = "name", rune if rune.isprintable() else ""
        elif state == "comment":
            if newline:
                state = "nil"
        elif state == "name":
            if rune.isascii() and rune.isalpha():
                buffer += rune
            elif blank:
                command = buffer.lower()
                if command not in allowed:
                    raise ModelfileProblem(where + bad_command)
                name = "model" if command == "from" else command
                state, buffer = {"parameter": "parameter", "message": "role"}.get(command, "value"), ""
            else:
                raise ModelfileProblem(where + bad_command)
        elif state in ("parameter", "role"):
            if rune.isascii() and (rune.isalpha() or (state == "parameter" and (rune.isdigit() or rune == "_"))):
                buffer += rune
            elif blank:
                if state == "parameter":
                    name = buffer
                elif buffer not in ("system", "user", "assistant"):
                    raise ModelfileProblem(where + bad_role)
                else:
                    role = buffer
                state, buffer = "value", ""
            else:
                raise ModelfileProblem("unexpected EOF: %s" % buffer)
        else:
            text = _unquote(buffer.strip()) if newline else None
            if text is None or not newline:
                # Runes that cannot be printed vanish, unless they are blanks or line ends inside the value.
                buffer += (
                    rune if (rune.isprintable() and (rune == " " or not rune.isspace())) or newline or blank else ""
                )
            else:
                finish(text)
                state, buffer = "nil", ""
    if state == "value":
        text = _unquote(buffer.strip())
        if text is None:
            raise ModelfileProblem("unexpected EOF")
        finish(text)
    elif state not in ("nil", "comment"):
        raise ModelfileProblem("unexpected EOF")
    if not any(command.name == "model" for command in commands):
        raise ModelfileProblem("no FROM line")
    return commands


def _parameter(key: str, values: List[str], rules: Epochs) -> Any:
    ints, floats, bools = list(_INTS), list(_FLOATS), ["use_mmap"]
    ints += _OLD_INTS if not rules.rewrites_files else ("draft_num_predict",)
    if not rules.rewrites_files:
        floats += _OLD_FLOATS
        bools += _OLD_BOOLS
    listed = "[%s]" % " ".join(values)
    try:
        if key in ints:
            if not values[0].lstrip("+-").isdigit():
                raise ValueError("invalid int value %s" % listed)
            return int(values[0])
        if key in floats:
            try:
                return float(values[0])
            except ValueError:
                raise ValueError("invalid float value %s" % listed) from None
        if key in bools:
            try:
                return parse_bool(values[0])
            except ValueError:
                raise ValueError("invalid bool value %s" % listed) from None
    except ValueError as problem:
        raise ModelfileProblem(str(problem)) from problem
    if key == "stop":
        return values
    raise ModelfileProblem("unknown parameter '%s'" % key)


def create_request(commands: List[Command], rules: Epochs) -> Tuple[Dict[str, Any], List[str], List[str]]:
    """The create request without files, and the arguments of FROM and ADAPTER."""
    request: Dict[str, Any] = {}
    sources, adapters, licenses = [], [], []
    messages: List[Dict[str, str]] = []
    parameters: Dict[str, List[str]] = {}
    for command in commands:
        if command.name == "model":
            sources.append(command.args)
        elif command.name == "adapter":
            adapters.append(command.args)
        elif command.name in ("template", "system", "renderer", "parser", "requires"):
            request[command.name] = command.args
        elif command.name == "license":
            licenses.append(command.args)
        elif command.name == "message":
            role, _colon, content = command.args.partition(": ")
            messages.append({"role": role, "content": content})
        else:
            parameters.setdefault(command.name, []).append(command.args)
    if parameters:
        request["parameters"] = {key: _parameter(key, values, rules) for key, values in parameters.items()}
    if messages:
        request["messages"] = messages
    if licenses:
        request["license"] = licenses
    return request, sources, adapters
