# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which files on disk are one model: one file, or a set of shards."""

from __future__ import annotations

import os
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import open_input
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, Header, read_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.shard_names import ShardName, shard_name_of


def shard_name(path: str) -> Optional[ShardName]:
    """The parts of the name of a shard that a set can have, or None."""
    name = shard_name_of(path)
    return name if name is not None and 1 <= name.number <= name.count else None


def first_shard(path: str) -> ShardName:
    """The name of the first shard of a set, which is how a set is given."""
    name = shard_name(path)
    if name is None:
        raise GgufError(
            f"{path} is not named like a shard (name-00001-of-00005.gguf).",
            "Give the path of the first shard, under the name that it was published with.",
        )
    if name.number != 1:
        raise GgufError(f"{path} is shard {name.number} of {name.count}.", f"Give the first one: {name.path(1)}")
    return name


def require_all(name: ShardName) -> list[str]:
    """The paths of a whole set, or an error that lists what is missing."""
    missing = [path for path in name.paths if not os.path.isfile(path)]
    if missing:
        listed = ", ".join(os.path.basename(path) for path in missing[:5]) + (", …" if len(missing) > 5 else "")
        raise GgufError(
            f"{len(missing)} of {name.count} shards are missing in {os.path.dirname(name.prefix) or '.'}: {listed}.",
            "Download them, then run again.",
        )
    return name.paths


def read_shard(path: str) -> tuple[Header, os.stat_result]:
    """A file's header and its status, both of the one file that was opened."""
    with os.fdopen(open_input(path).fd, "rb", buffering=0) as file:
        try:
            return read_header(file), os.fstat(file.fileno())
        except GgufError as error:
            raise GgufError(f"{path}: {error.problem}", error.remedy) from None


def find_model(path: str) -> list[str]:
    """The files that are there of the model at path: a single file, a shard, or a directory that holds one model."""
    if os.path.isdir(path):
        return _in_directory(path)
    name = shard_name(path)
    if name is None:
        return [path]
    return [shard for shard in name.paths if os.path.isfile(shard)] or [path]


def _in_directory(directory: str) -> list[str]:
    names = sorted(name for name in os.listdir(directory) if name.endswith(".gguf") and not name.startswith("."))
    models: dict[str, str] = {}
    for name in names:
        shard = shard_name(name)
        models.setdefault(name if shard is None else f"{shard.prefix} in {shard.count} shards", name)
    if not models:
        raise GgufError(f"{directory} holds no GGUF file.", "Give the directory of a model's shards, or a file.")
    if len(models) > 1:
        raise GgufError(
            f"{directory} holds {len(models)} models: {', '.join(list(models)[:8])}.",
            "Give the path of a file, or of the first shard of a set.",
        )
    return find_model(os.path.join(directory, next(iter(models.values()))))
