# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The Modelfile: written so that Ollama reads back exactly what was meant, and read the way Ollama reads it.

Kept to: ollama parser/parser.go, which is the same state machine from 0.5.7 to 0.33 but for the commands it knows.
The grammar has no escapes, drops every rune that is not printable, and ends a value at the first line end at which its
quotes happen to balance; so there are texts that no Modelfile can carry. Those are refused here.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem

# The order of Ollama's own documentation, and of what readers look for first.
SECTIONS = ("from", "adapter", "template", "system", "parameters", "messages", "license")
ROLES = ("system", "user", "assistant")

_COMMANDS = frozenset(
    [
        "from",
        "license",
        "template",
        "system",
        "adapter",
        "draft",
        "renderer",
        "parser",
        "parameter",
        "message",
        "requires",
    ],
)


class ModelfileProblem(OllamaProblem):
    """A Modelfile that cannot be read, or a value that no Modelfile can carry."""


@dataclass(frozen=True)
class Command:
    """One command as Ollama's parser hands it on.

    `name` is lower case; FROM is called `model`, a PARAMETER goes by the parameter's own name, and a MESSAGE holds
    `role: text`.
    """

    name: str
    args: str


@dataclass(frozen=True)
class Modelfile:
    """What a Modelfile says."""

    base: str
    adapter: Optional[str] = None
    template: Optional[str] = None
    system: Optional[str] = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Mapping[str, str]] = ()
    license: Sequence[str] = ()
    # Sections to write first; the others follow in the order of SECTIONS.
    order: Sequence[str] = ()


# --- writing


def render(modelfile: Modelfile) -> str:
    """The text; what Ollama's parser makes of it is `commands(modelfile)`, or ModelfileProblem is raised."""
    meant = commands(modelfile)
    text = "".join(_line(command) + "\n" for command in meant)
    if parse(text) != meant:
        raise ModelfileProblem(
            "Ollama would read this Modelfile differently from what is meant.",
            "Set the model up through ollama_model, which needs no Modelfile.",
        )
    return text


def commands(modelfile: Modelfile) -> Tuple[Command, ...]:
    """The commands that the Modelfile shall be read as, in the order in which they are written."""
    by_section: Dict[str, List[Command]] = {
        "from": [Command("model", modelfile.base)],
        "adapter": _optional("adapter", modelfile.adapter),
        "template": _optional("template", modelfile.template),
        "system": _optional("system", modelfile.system),
        "parameters": _parameters(modelfile.parameters),
        "messages": [_message(message) for message in modelfile.messages],
        "license": [Command("license", text) for text in modelfile.license],
    }
    sections = list(modelfile.order) + [section for section in SECTIONS if section not in modelfile.order]
    return tuple(command for section in sections for command in by_section[section])


def _optional(name: str, value: Optional[str]) -> List[Command]:
    return [Command(name, value)] if value else []


def _parameters(parameters: Mapping[str, Any]) -> List[Command]:
    written = []
    for name, value in parameters.items():
        for single in value if isinstance(value, (list, tuple)) else [value]:
            written.append(Command(name, _scalar(single)))
    return written


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _message(message: Mapping[str, str]) -> Command:
    role = message["role"]
    if role not in ROLES:
        raise ModelfileProblem(f"A message cannot have the role '{role}'.", f"Choose one of {', '.join(ROLES)}.")
    return Command("message", f"{role}: {message['content']}")


def _line(command: Command) -> str:
    _refuse_dropped_runes(command)
    if command.name == "model":
        return f"FROM {_bare(command)}"
    if command.name in ("template", "system", "license"):
        return f"{command.name.upper()} {_quoted(command, command.args)}"
    if command.name == "adapter":
        return f"ADAPTER {_bare(command)}"
    if command.name == "message":
        role, _separator, text = command.args.partition(": ")
        return f"MESSAGE {role} {_quoted(command, text)}"
    return f"PARAMETER {command.name} {_shortest(command)}"


def _bare(command: Command) -> str:
    """A path or a model name: never quoted, as everybody writes it."""
    if not _stands_bare(command.args):
        raise ModelfileProblem(
            f"{_label(command)} cannot be {command.args!r} in a Modelfile.",
            "Use a path or a name without line ends, without blanks at its ends and without a quote at its beginning.",
        )
    return command.args


def _shortest(command: Command) -> str:
    return command.args if _stands_bare(command.args) else _quoted(command, command.args)


def _stands_bare(text: str) -> bool:
    return bool(text) and text == text.strip() and not text.startswith('"') and "\n" not in text and "\r" not in text


def _quoted(command: Command, text: str) -> str:
    if "\n" not in text and "\r" not in text and not text.startswith('"'):
        return f'"{text}"'
    # Only a line that ends in the closing quotes, blanks aside, would end the value too early.
    if any(line.rstrip().endswith('"""') for line in text.replace("\r", "\n").split("\n")[:-1]):
        raise ModelfileProblem(
            f'{_label(command)} has a line that ends in """, which ends the value there.',
            "Change that line, or set the text through ollama_model, which writes it without a Modelfile.",
        )
    return f'"""{text}"""'


def _refuse_dropped_runes(command: Command) -> None:
    for rune in command.args:
        if not (_is_printable(rune) or rune in "\t\n\r"):
            name = unicodedata.name(rune, "a control character")
            raise ModelfileProblem(
                f"{_label(command)} contains U+{ord(rune):04X} ({name}), which Ollama's parser drops silently.",
                "Remove the character, or set the text through ollama_model, which keeps it.",
            )


def _label(command: Command) -> str:
    if command.name == "model":
        return "FROM"
    if command.name in _COMMANDS:
        return command.name.upper()
    return f"PARAMETER {command.name}"


# --- reading


def parse(data: Union[str, bytes]) -> Tuple[Command, ...]:
    """The commands of a Modelfile, as Ollama's parser would hand them on; bytes may begin with a byte order mark."""
    commands_read = _Reader(_decoded(data) if isinstance(data, bytes) else data).commands()
    if not any(command.name == "model" for command in commands_read):
        raise ModelfileProblem("The Modelfile has no FROM line.", "Say which model or GGUF file it builds on.")
    return commands_read


def _decoded(data: bytes) -> str:
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    return data.decode("utf-8", errors="replace")


def _is_printable(rune: str) -> bool:
    # Go's strconv.IsPrint: letters, marks, numbers, punctuation, symbols and the ASCII space.
    return rune.isprintable()


def _unquoted(text: str) -> Optional[str]:
    """The value without its quotes; None when they do not balance yet."""
    if text.startswith('"""'):
        return text[3:-3] if len(text) >= 6 and text.endswith('"""') else None
    if text.startswith('"'):
        return text[1:-1] if len(text) >= 2 and text.endswith('"') else None
    return text


def _is_letter(rune: str) -> bool:
    return rune.isascii() and rune.isalpha()


class _Reader:
    """The state machine of parser.go: one rune after the other, states named as there."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: List[Command] = []
        self._buffer: List[str] = []
        self._name = ""
        self._role: Optional[str] = None
        self._line = 1

    def commands(self) -> Tuple[Command, ...]:
        state = "nil"
        for rune in self._text:
            if rune in "\r\n":
                self._line += 1
            following, kept = self._step(state, rune)
            if following != state:
                if state == "value" and not self._end_value(rune):
                    self._buffer.append(rune)
                    continue
                if state == "name":
                    following = self._end_name()
                elif state == "parameter":
                    self._name = self._buffered()
                elif state == "message":
                    self._end_role()
                self._buffer.clear()
                state = following
            if kept and _is_printable(kept):
                self._buffer.append(kept)
        if state == "value":
            if not self._end_value(""):
                raise self._unfinished()
        elif state not in ("nil", "comment"):
            raise self._unfinished()
        return tuple(self._found)

    def _step(self, state: str, rune: str) -> Tuple[str, str]:
        """The next state, and the rune to keep ('' for none)."""
        blank, line_end = rune in " \t", rune in "\r\n"
        if state == "nil":
            if rune == "#":
                return "comment", ""
            return ("nil", "") if blank or line_end else ("name", rune)
        if state == "comment":
            return ("nil", "") if line_end else ("comment", "")
        if state == "value":
            return ("nil", rune) if blank or line_end else ("value", rune)
        if blank:
            return "value", ""
        if _is_letter(rune) or (state == "parameter" and (rune == "_" or rune in "0123456789")):
            return state, rune
        if state == "name":
            raise self._unknown_command()
        raise self._unfinished()

    def _buffered(self) -> str:
        return "".join(self._buffer)

    def _end_name(self) -> str:
        name = self._buffered().lower()
        if name not in _COMMANDS:
            raise self._unknown_command()
        self._name = {"from": "model"}.get(name, name)
        return name if name in ("parameter", "message") else "value"

    def _end_role(self) -> None:
        role = self._buffered()
        if role not in ROLES:
            raise ModelfileProblem(
                f"Line {self._line} of the Modelfile has a message of the role '{role}'.",
                f"Choose one of {', '.join(ROLES)}; upper and lower case differ.",
            )
        self._role = role

    def _end_value(self, rune: str) -> bool:
        """Take the value if it is complete; a blank never completes one."""
        value = _unquoted(self._buffered().strip())
        if value is None or (rune and rune in " \t"):
            return False
        if self._role is not None:
            value = f"{self._role}: {value}"
            self._role = None
        self._found.append(Command(self._name, value))
        return True

    def _unknown_command(self) -> ModelfileProblem:
        return ModelfileProblem(
            f"Line {self._line} of the Modelfile does not begin with a command.",
            f"Commands are {', '.join(sorted(name.upper() for name in _COMMANDS))}, followed by a blank and a value.",
        )

    def _unfinished(self) -> ModelfileProblem:
        return ModelfileProblem(
            f"The Modelfile ends in the middle of a value or a name (line {self._line}).",
            "Close the quotes, or give the command a value.",
        )
