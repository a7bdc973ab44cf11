# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Model names: `host/namespace/model:tag`, their defaults, their grammar, and how the server folds their case.

Kept to: ollama types/model/name.go and getExistingName in server/routes.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterable, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

_PART = {
    "host": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"),
    "namespace": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"),
    "model": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
    "tag": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
}


class NameProblem(Problem, ValueError):
    """A name that Ollama would refuse, or would take for another one."""


@dataclass(frozen=True)
class Name:
    """A complete model name."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def parts(self) -> Tuple[str, str, str, str]:
        """The manifest's path below `manifests/`."""
        return (self.host, self.namespace, self.model, self.tag)

    @property
    def folded(self) -> Tuple[str, ...]:
        """What makes two names the same model to the server."""
        return tuple(part.lower() for part in self.parts)

    def __str__(self) -> str:
        """The shortest text that means this name, as the server shows it; model and tag are always there."""
        shown = f"{self.model}:{self.tag}"
        if self.host.lower() != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{shown}"
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{shown}"
        return shown


def parse_name(text: str) -> Name:
    """The name that `text` means, with Ollama's defaults for what it leaves out."""
    rest, tag = text, DEFAULT_TAG
    if rest.rfind(":") > rest.rfind("/"):
        rest, _colon, tag = rest.rpartition(":")
    pieces = rest.rsplit("/", 2)
    host, namespace, model = ([DEFAULT_HOST, DEFAULT_NAMESPACE][: 3 - len(pieces)] + pieces)[-3:]
    host = host.rpartition("://")[2]
    name = Name(host, namespace, model, tag)
    for kind, part in zip(_PART, name.parts):
        if _PART[kind].fullmatch(part) is None:
            raise NameProblem(
                f"'{text}' is not a model name: its {kind} is '{part}'.",
                "A name is [host/][namespace/]model[:tag] of letters, digits, '_', '-' and '.' "
                "(no '.' in the namespace), each part beginning with a letter, a digit or '_', at most 80 long.",
            )
    return name


def is_named(text: Any, name: Name) -> bool:
    """Whether this is what the server calls the model; what is no name at all is not."""
    try:
        return isinstance(text, str) and parse_name(text).folded == name.folded
    except NameProblem:
        return False


def full_name(text: str) -> str:
    """A name as it is compared: with its tag, without the defaults before it, without regard to case.

    What is no name at all is compared as it is.
    """
    try:
        return str(parse_name(text)).lower()
    except NameProblem:
        return text.lower()


def spelled_as_in_store(name: Name, existing: Iterable[Name]) -> Name:
    """`name` with each part spelled as the server would: like a model that is there, whatever model that is.

    The server looks at every part by itself: with `Other:V1` in its store it turns `mine:v1` into `mine:V1`, and would
    not find a manifest written as `mine/v1`.
    """
    names = list(existing)
    spelled = []
    for index, part in enumerate(name.parts):
        variants = sorted({other.parts[index] for other in names if other.parts[index].lower() == part.lower()})
        spelled.append(part if not variants or part in variants else variants[0])
    return Name(*spelled)
