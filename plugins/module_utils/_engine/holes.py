# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Builds of llama.cpp with known remote holes, by their numbers.

A build that serves reads model files of a hub and answers clients; one with RPC listens to other hosts. A build that
only merges or splits files of its own host is not concerned.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Collection, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

MODELS = "models"
RPC = "rpc"
# A build from an archive or a shallow clone counts 0 or 1: nothing says how old it is.
_FIRST_KNOWN = 2
_NUMBER = re.compile(r"b?(\d{1,9})(?:-[0-9a-f]+)?\Z")


@dataclass(frozen=True)
class Hole:
    """What somebody else can do, through which use of a build, and the first build that has it no more."""

    cve: str
    use: str
    fixed_in: int
    what: str


# The newest first, so that the first of them names the build that is needed.
HOLES = (
    Hole("CVE-2026-34159", RPC, 8492, "whoever reaches the RPC server runs code on it"),
    Hole("CVE-2026-27940", MODELS, 8146, "a GGUF header writes beyond its memory"),
    Hole("CVE-2026-33298", MODELS, 7824, "the size of a tensor overflows"),
    Hole("CVE-2025-49847", MODELS, 5662, "a vocabulary writes beyond its memory"),
    Hole("CVE-2024-42479", RPC, 3561, "RPC writes anywhere"),
)
FIXED_IN = {use: max(hole.fixed_in for hole in HOLES if hole.use == use) for use in (MODELS, RPC)}


def build_number(told: str) -> Optional[int]:
    """The number in a tag (b4610), or in what a program tells; None where nothing says how old the build is."""
    found = _NUMBER.match(told)
    number = int(found.group(1)) if found else 0
    return number if number >= _FIRST_KNOWN else None


def holes_of(number: Optional[int], uses: Collection[str]) -> Tuple[Hole, ...]:
    """Those of a build that is used so; an unknown number has all of them."""
    return tuple(hole for hole in HOLES if hole.use in uses and (number is None or number < hole.fixed_in))


def refusal(told: str, uses: Collection[str]) -> str:
    """Why a build must not be used so, in words; empty where nothing is known against it."""
    number = build_number(told)
    holes = holes_of(number, uses)
    if not holes:
        return ""
    named = ", ".join(f"{hole.cve} ({hole.what}; fixed in b{hole.fixed_in})" for hole in holes)
    if number is None:
        return f"llama.cpp does not say its build number, so it counts as one with known remote holes: {named}."
    return f"llama.cpp b{number} has known remote holes: {named}."


class VulnerableProblem(Problem):
    """A build must not be used as it is asked for."""


def refuse(told: str, uses: Collection[str]) -> None:
    """Raises VulnerableProblem for a build with known holes."""
    reason = refusal(told, uses)
    if reason:
        raise VulnerableProblem(reason, remedy(uses))


def remedy(uses: Collection[str]) -> str:
    """What to do instead."""
    needed = max(FIXED_IN[use] for use in uses)
    return (
        f"Take b{needed} or newer, or set llama_cpp_allow_vulnerable: true where all who reach it and all of its "
        "model files are trusted."
    )
