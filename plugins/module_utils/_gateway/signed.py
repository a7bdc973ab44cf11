# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Certificates that community.crypto signed, on their way to HAProxy."""

from __future__ import annotations

import ipaddress
from hashlib import sha256
from typing import Any, Dict, List, Mapping, Sequence

_MAX_COMMON_NAME = 64


def with_signed(
    wanted: Sequence[Mapping[str, Any]], keys: Mapping[str, Any], signed: Mapping[str, Any]
) -> List[Dict[str, Any]]:
    """`certificates` of the module haproxy; those that were signed just now have their content.

    keys: the result of a loop over those that were due, each with the due one as `item`. signed: in the same order.
    """
    new = {
        key["item"]["file"]: made["certificate"].rstrip("\n") + "\n" + key["privatekey"]
        for key, made in zip(keys.get("results") or (), signed.get("results") or ())
    }
    return [{**one, "content": new.get(one["file"], "")} for one in wanted]


def alternatives(names: Sequence[str]) -> List[str]:
    """Names for subject_alt_name: of DNS, or addresses."""
    return [f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in names]


def common_name(name: str) -> str:
    """The name as a subject takes it. In place of a longer one a part of its digest stands before its domain."""
    if len(name) <= _MAX_COMMON_NAME:
        return name
    return f"{sha256(name.encode()).hexdigest()[:16]}.{'.'.join(name.split('.')[-3:])}"[-_MAX_COMMON_NAME:]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
