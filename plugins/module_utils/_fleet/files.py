# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where a model's verified files lie on a host."""

from __future__ import annotations

import posixpath
from typing import Any, Mapping

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.shard_names import merged_name


def destination(lock: Mapping[str, Any], layout: str, models_dir: str) -> str:
    """Path on the host for the files of a lock.

    The merged file carries the shards' common name, so a quant is never found under another quant's name.

    :param lock: a checked lock.
    :param layout: C(merged) for one file, C(shards) for a folder of the shards as they are.
    :param models_dir: absolute folder of all verified files.
    :returns: the merged file's path, or the shards' folder.
    """
    name = merged_name(lock["files"][0]["path"])
    folder = posixpath.join(models_dir, (lock.get("repo") or "files").replace("/", "--"))
    return posixpath.join(folder, name if layout == "merged" else posixpath.splitext(name)[0])
