# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds of llama.cpp with known remote holes are told by their number."""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine import holes

SERVES, WITH_RPC = (holes.MODELS,), (holes.MODELS, holes.RPC)
REFUSED = [
    ("b4610", SERVES, ["CVE-2025-49847", "CVE-2026-33298", "CVE-2026-27940"]),
    ("4610", SERVES, ["CVE-2025-49847", "CVE-2026-33298", "CVE-2026-27940"]),
    ("b5662", SERVES, ["CVE-2026-33298", "CVE-2026-27940"]),
    ("b8145", SERVES, ["CVE-2026-27940"]),
    ("b8145-1a2b3c4d", SERVES, ["CVE-2026-27940"]),
    ("b8146", WITH_RPC, ["CVE-2026-34159"]),
    ("b8491", (holes.RPC,), ["CVE-2026-34159"]),
]


@pytest.mark.parametrize(("told", "uses", "cves"), REFUSED)
def test_a_build_with_holes_is_refused_with_their_names(told: str, uses: tuple[str, ...], cves: list[str]) -> None:
    reason = holes.refusal(told, uses)
    assert all(cve in reason for cve in cves)
    assert reason.count("CVE-") == len(cves)


@pytest.mark.parametrize(
    ("told", "uses"), [("b8146", SERVES), ("b8492", WITH_RPC), ("b11669-1a2b3c4d", WITH_RPC), ("b4610", ()), ("0", ())]
)
def test_a_build_without_known_holes_and_one_that_serves_nothing_are_taken(told: str, uses: tuple[str, ...]) -> None:
    assert holes.refusal(told, uses) == ""
    holes.refuse(told, uses)


@pytest.mark.parametrize("told", ["0", "1", "", "0.7.0", "b", "main", "4610 (53debe6f)"])
def test_an_unknown_number_counts_as_vulnerable(told: str) -> None:
    with pytest.raises(holes.VulnerableProblem, match=r"does not say its build number.*CVE-2026-27940") as refused:
        holes.refuse(told, SERVES)
    assert "b8146" in refused.value.remedy
    assert "llama_cpp_allow_vulnerable" in refused.value.remedy
