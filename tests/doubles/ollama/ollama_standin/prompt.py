# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From messages to a prompt, the way Ollama renders a model's TEMPLATE."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from .gotemplate import Action, Branch, Field, Pipe, Record, Template, Text

Message = Dict[str, Any]

_RESPONSE = Action(Pipe((Field(("Response",), None),), (), False))


class ChatTemplate:
    """A TEMPLATE: with .Messages it renders the talk as a whole, otherwise turn by turn with .System and .Prompt."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.template = Template(source)
        self.variables = self.template.identifiers()
        self.nodes = self.template.nodes
        if "messages" not in self.variables and "response" not in self.variables:
            self.nodes = (*self.nodes, _RESPONSE)

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt for a talk."""
        system, collated = _collate(messages)
        if "messages" in self.variables:
            records = [_record(message) for message in collated]
            data = {"System": system, "Messages": records, "Tools": [], "Response": ""}
            return self.template.execute(data, self.nodes)
        return self._turns(collated)

    def _turns(self, messages: Sequence[Message]) -> str:
        out: List[str] = []
        turn = {"System": "", "Prompt": "", "Response": ""}

        def flush() -> None:
            out.append(self.template.execute(dict(turn), self.nodes))
            turn.update(System="", Prompt="", Response="")

        for message in messages:
            role, content = message["role"], message.get("content", "")
            if role == "system":
                if turn["Prompt"] or turn["Response"]:
                    flush()
                turn["System"] = content
            elif role == "user":
                if turn["Response"]:
                    flush()
                turn["Prompt"] = content
            elif role == "assistant":
                turn["Response"] = content
        out.append(self.template.execute(dict(turn), _cut_after_response(self.nodes)[0]))
        return "".join(out)


def _record(message: Message) -> Record:
    fields = {
        "Role": message["role"],
        "Content": message.get("content", ""),
        "Images": [],
        "ToolCalls": [],
        "Thinking": "",
    }
    return Record("*api.Message", fields)


def _collate(messages: Sequence[Message]) -> Tuple[str, List[Message]]:
    """Neighbours of one role become one message; all system texts are also joined."""
    system = [str(message.get("content", "")) for message in messages if message["role"] == "system"]
    collated: List[Message] = []
    for message in messages:
        if collated and collated[-1]["role"] == message["role"]:
            collated[-1]["content"] = "%s\n\n%s" % (collated[-1].get("content", ""), message.get("content", ""))
        else:
            collated.append(dict(message))
    return "\n\n".join(system), collated


def _names_response(node: Any) -> bool:
    if isinstance(node, Field):
        return "Response" in node.names
    return isinstance(node, tuple) and any(_names_response(part) for part in node)


def _cut_after_response(nodes: Tuple[Any, ...], cut: bool = False) -> Tuple[Tuple[Any, ...], bool]:
    """The nodes up to the first {{ .Response }}: what follows it belongs to a turn that is over."""
    kept: List[Any] = []
    for node in nodes:
        if cut:
            break
        if isinstance(node, Text):
            kept.append(node)
        elif isinstance(node, Branch):
            body, cut = _cut_after_response(node.body)
            otherwise, cut = _cut_after_response(node.otherwise, cut)
            kept.append(node._replace(body=body, otherwise=otherwise))
        else:
            kept.append(node)
            cut = _names_response(node)
    return tuple(kept), cut
