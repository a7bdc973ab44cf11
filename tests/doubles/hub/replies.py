# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two kinds of answers that a protocol gives: a small document, or a file of a repository."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Mapping, Union

from .catalog import StoredFile


@dataclasses.dataclass(frozen=True)
class Document:
    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class FileReply:
    """The bytes of a file; `commit` and `checksums` decide which headers tell about it."""

    file: StoredFile
    commit: str = ""
    linked: bool = True


Reply = Union[Document, FileReply]


def document(value: Any, status: int = 200, **headers: str) -> Document:
    named = {key.replace("_", "-"): text for key, text in headers.items()}
    return Document(status, json.dumps(value).encode(), headers=named)
