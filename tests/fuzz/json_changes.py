# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON with something in it that does not belong there: what fuzz targets of JSON files begin with."""

from __future__ import annotations

import json
from typing import Any

import atheris

_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, float("inf"), float("nan"), "", "a",
    "\0", "\ud800", "\u2028", "\x1b[31m", "../../etc/shadow", "a" * 64, "sha256:" + "a" * 64, [], {}, [[]], {"": {}},
]  # fmt: skip


def changed_json(given: atheris.FuzzedDataProvider, content: Any) -> bytes:
    """The content with some values replaced, or as bytes with some of them replaced."""
    if given.ConsumeBool():
        return _changed_bytes(given, json.dumps(content).encode())
    for _change in range(given.ConsumeIntInRange(1, 4)):
        content = _changed(given, content)
    return json.dumps(content).encode()


def _changed(given: atheris.FuzzedDataProvider, content: Any) -> Any:
    if isinstance(content, dict) and content and given.ConsumeIntInRange(0, 9):
        name = given.PickValueInList(sorted(content, key=repr))
        changed = dict(content)
        kind = given.ConsumeIntInRange(0, 9)
        if kind == 0:
            del changed[name]
        elif kind == 1:
            changed[given.ConsumeUnicode(8)] = changed.pop(name)
        else:
            changed[name] = _changed(given, content[name])
        return changed
    if isinstance(content, list) and content and given.ConsumeIntInRange(0, 9):
        at = given.ConsumeIntInRange(0, len(content) - 1)
        return [*content[:at], _changed(given, content[at]), *content[at + 1 :]]
    if given.ConsumeBool():
        return given.PickValueInList(_VALUES)
    return given.ConsumeUnicode(given.ConsumeIntInRange(0, 20))


def _changed_bytes(given: atheris.FuzzedDataProvider, whole: bytes) -> bytes:
    for _change in range(given.ConsumeIntInRange(1, 3)):
        at = given.ConsumeIntInRange(0, len(whole))
        end = min(len(whole), at + given.ConsumeIntInRange(0, 40))
        whole = whole[:at] + given.ConsumeBytes(given.ConsumeIntInRange(0, 40)) + whole[end:]
    return whole
