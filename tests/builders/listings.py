# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listings and locks made to measure."""

from __future__ import annotations

import hashlib
from typing import Any, Dict, List, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import ListedFile

MIB = 1 << 20


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def listed(path: str, size_bytes: Optional[int] = 100 * MIB, sha256: Optional[str] = None) -> ListedFile:
    return ListedFile(path, size_bytes, sha256, "https://hub.test/" + path)


def shard_paths(stem: str, count: int) -> List[str]:
    return [f"{stem}-{number:05d}-of-{count:05d}.gguf" for number in range(1, count + 1)]


def shards(stem: str, count: int, size_bytes: int = 100 * MIB) -> List[ListedFile]:
    return [listed(path, size_bytes, digest_of(path)) for path in shard_paths(stem, count)]


def deepseek() -> List[ListedFile]:
    """What unsloth/DeepSeek-R1-GGUF looks like, with other sizes."""
    return [
        listed("README.md", 10_000),
        listed("config.json", 500),
        *shards("DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S", 3, 40 * MIB),
        *shards("DeepSeek-R1-UD-IQ1_M/DeepSeek-R1-UD-IQ1_M", 4, 40 * MIB),
        *shards("DeepSeek-R1-UD-Q2_K_XL/DeepSeek-R1-UD-Q2_K_XL", 5, 45 * MIB),
        *shards("DeepSeek-R1-Q2_K_L/DeepSeek-R1-Q2_K_L", 5, 45 * MIB),
        *shards("DeepSeek-R1-Q8_0/DeepSeek-R1.Q8_0", 15, 48 * MIB),
        *shards("DeepSeek-R1-BF16/DeepSeek-R1.BF16", 30, 48 * MIB),
    ]


def a_lock(count: int = 3, size_bytes: int = 100 * MIB, **changes: Any) -> Dict[str, Any]:
    """A lock as gguf_resolve writes it, with as little about the model as is allowed."""
    files = [
        {
            "path": path,
            "size_bytes": size_bytes,
            "sha256": digest_of(path),
            "url": "https://hub.test/" + path,
            "header_bytes": 5000,
        }
        for path in shard_paths("DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S", count)
    ]
    return {
        "lock_version": 1,
        "hub": "modelscope",
        "endpoint": "https://hub.test",
        "repo": "unsloth/DeepSeek-R1-GGUF",
        "revision": "master",
        "commit": "a" * 40,
        "quant": "UD-IQ1_S",
        "files": files,
        "gguf": {"architecture": "deepseek2"},
        "merged": {"size_bytes": count * size_bytes - 4096, "sha256": None},
        **changes,
    }
