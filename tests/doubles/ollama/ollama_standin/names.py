# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Model names: host/namespace/model:tag, matched without case, kept with it."""

from __future__ import annotations

import re
from typing import Iterable, NamedTuple, Tuple

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"
_MISSING = "!MISSING!"

_PARTS = (
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}\Z"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}\Z"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\Z"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\Z"),
)


class Name(NamedTuple):
    """The four parts of a name."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def valid(self) -> bool:
        """Every part is there and spelled with allowed characters."""
        return all(pattern.match(part) for pattern, part in zip(_PARTS, self))

    @property
    def path(self) -> str:
        """Where the manifest lies, below manifests/."""
        return "/".join(self)

    def __str__(self) -> str:
        return "%s/%s/%s:%s" % self

    @property
    def short(self) -> str:
        """The shortest form that means the same, always with the tag."""
        if self.host.lower() != DEFAULT_HOST:
            return str(self)
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return "%s/%s:%s" % self[1:]
        return "%s:%s" % (self.model, self.tag)

    def same(self, other: Name) -> bool:
        """Equal without regard to case."""
        return self.path.lower() == other.path.lower()


def _cut_last(text: str, separator: str) -> Tuple[str, str, bool]:
    before, found, after = text.rpartition(separator)
    if not found:
        return text, "", False
    return before or _MISSING, after or _MISSING, True


def parse_name(text: str) -> Name:
    """A name with the defaults filled in; ask `.valid` before using it."""
    host = namespace = tag = ""
    rest = text
    if rest.rfind(":") > rest.rfind("/"):
        rest, tag, _cut = _cut_last(rest, ":")
    rest, model, more = _cut_last(rest, "/")
    if not more:
        model = rest
    else:
        rest, namespace, more = _cut_last(rest, "/")
        if not more:
            namespace = rest
        else:
            scheme, separator, after = rest.partition("://")
            host = after if separator else scheme
    return Name(host or DEFAULT_HOST, namespace or DEFAULT_NAMESPACE, model, tag or DEFAULT_TAG)


def existing_name(name: Name, known: Iterable[Name]) -> Name:
    """The name in the spelling that the store already uses, part by part."""
    parts = list(name)
    for other in known:
        for index, part in enumerate(other):
            if part.lower() == parts[index].lower():
                parts[index] = part
    return Name(*parts)
