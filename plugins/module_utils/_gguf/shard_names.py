# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""How the shards of a set are named: llama.cpp src/llama.cpp, llama_split_path: PREFIX-%05d-of-%05d.gguf."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Optional

_SHARD = re.compile(r"(?P<prefix>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.DOTALL)


@dataclass(frozen=True)
class ShardName:
    """The parts of a shard's name or path."""

    prefix: str
    number: int  # from 1; more than count, or 0, in a name that belongs to no set
    count: int

    def path(self, number: int) -> str:
        """The name of another shard of the set."""
        return f"{self.prefix}-{number:05d}-of-{self.count:05d}.gguf"

    @property
    def paths(self) -> list[str]:
        """The names of all shards of the set."""
        return [self.path(number) for number in range(1, self.count + 1)]


def merged_name(path: str) -> str:
    """The name of the file that a set merges into: the shards' common one. A whole file keeps its own."""
    name = posixpath.basename(path)
    shard = shard_name_of(name)
    return f"{posixpath.splitext(name)[0] if shard is None else shard.prefix}.gguf"


def shard_name_of(path: str) -> Optional[ShardName]:
    """The parts of a name or path, or None when it is of another form."""
    found = _SHARD.fullmatch(path)
    return None if found is None else ShardName(found["prefix"], int(found["number"]), int(found["count"]))
