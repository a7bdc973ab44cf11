# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The facts of the model at a path: which files it has, whether they are all, and what their headers say."""

from __future__ import annotations

import math
import os
from typing import Any, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils import _text
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, Header, printable, read_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.info import describe
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import check_set
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.shards import find_model, require_all, shard_name
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.types import ARRAY

# The longest chat templates have some 20,000.
_MAX_TEXT_CHARACTERS = 200_000
# The longest lists of merges have some 600,000.
_MAX_ITEMS = 2_000_000


def inspect(path: str, arrays: Sequence[str] = ()) -> dict[str, Any]:
    """What gguf_info returns. A set that is not complete is a fact; a file that cannot be read is an error."""
    files = find_model(path)
    headers = [read_header(file) for file in files]
    facts = describe(headers)
    facts["incomplete_because"] = None if facts["complete"] else _incompleteness(files, headers)
    facts["files"] = [
        {"path": file, "size_bytes": os.path.getsize(file), "tensors": len(header.tensors)}
        for file, header in zip(files, headers)
    ]
    facts["metadata"] = {
        printable(name): _plain(entry.value) for name, entry in headers[0].kv.items() if entry.type != ARRAY
    }
    facts["arrays"] = {name: _items(headers[0], name) for name in arrays}
    return facts


def _incompleteness(files: Sequence[str], headers: Sequence[Header]) -> Optional[str]:
    name = shard_name(files[0])
    try:
        if name is not None:
            require_all(name)
        check_set(headers)
    except GgufError as error:
        return error.problem
    return None


def _items(header: Header, name: str) -> Any:
    entry = header.find(name)
    if entry is not None and entry.count > _MAX_ITEMS:
        raise GgufError(
            f"the array '{printable(name)}' has {entry.count:,} items; {_MAX_ITEMS:,} is the most that are shown.",
            "Leave it out of arrays.",
        )
    return [_plain(item) for item in entry.value] if entry is not None and entry.type == ARRAY else None


def _plain(value: Any) -> Any:
    """What can travel as JSON, which has no infinity and no NaN, and be shown on a terminal."""
    if isinstance(value, str):
        return _text.printable(value, limit=_MAX_TEXT_CHARACTERS, lines=True)
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value
