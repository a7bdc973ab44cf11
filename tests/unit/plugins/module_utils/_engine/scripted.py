# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that answers by a script, without a network below it."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, Tuple

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Answer, Endpoint

# Method and path to status and body; what it raises is raised.
Script = Callable[[str, str], Tuple[int, bytes]]


def answer_by(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    """Every endpoint answers by this script."""

    def ask(_endpoint: Endpoint, method: str, path: str, *_given: Any, **_options: Any) -> Answer:
        status, body = script(method, path)
        return Answer(status, {}, body)

    def lines(endpoint: Endpoint, path: str, _body: Dict[str, Any], **_options: Any) -> Iterator[bytes]:
        answer = ask(endpoint, "POST", path)
        if answer.status != 200:
            raise endpoint.refusal(path, answer)
        yield from (line for line in answer.body.split(b"\n") if line.strip())

    monkeypatch.setattr(Endpoint, "ask", ask)
    monkeypatch.setattr(Endpoint, "lines", lines)
