# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the gateways at the end of a run: where clients ask, and what became of it."""

from __future__ import annotations

from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._report.entrance import table

FLEET = {"gateways": {"gw-01": {"url": "https://llm.example.com"}, "gw-02": {"url": "https://10.0.0.2:8443"}}}
ANSWERS = {"__gateway_verified": {"verified": True, "models": [{"model": "r1"}]}}


def shown(first: Any, second: Any, alive: tuple[str, ...] = ("gw-01", "gw-02"), check: bool = False) -> list[str]:
    return table(["gw-01", "gw-02", "gpu"], {"gw-01": first, "gw-02": second}, FLEET, alive, check)


def test_each_gateway_has_its_address_and_what_changed() -> None:
    made = {"changed": True, "actions": ["start gguf-fleet-gateway: it is not running"]}
    assert shown({**ANSWERS, "__gateway_entrance_service": made}, ANSWERS) == [
        "gateway  base URL                 state",
        "gw-01    https://llm.example.com  answers for 1 model",
        "gw-02    https://10.0.0.2:8443    answers for 1 model",
        "Changed: gw-01: start gguf-fleet-gateway: it is not running",
        "Unchanged: gw-02.",
    ]


def test_a_gateway_that_failed_has_its_reason_and_check_mode_asks_nobody() -> None:
    failed = {"__gateway_verified": {"failed": True, "msg": "r1 is not served."}}
    lines = shown(failed, {}, alive=("gw-02",))
    assert lines[1].split() == ["gw-01", "https://llm.example.com", "FAILED"]
    assert "FAILED: gw-01: r1 is not served." in lines and "not asked" in lines[2]
    assert "it stopped; its message stands above" in " ".join(shown({}, {}, alive=()))
    lines = shown({}, {}, check=True)
    assert lines[1].endswith("not asked yet") and lines[-1] == "Nothing to change on gw-01, gw-02."
