# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a fleet."""

from __future__ import annotations

from typing import Any

from ansible_collections.gguf.fleet.plugins.module_utils._verify.report import report


def check(**more: Any) -> dict[str, Any]:
    return {
        "verified": True,
        "url": "http://127.0.0.1:11434",
        "engine": "ollama",
        "version": "0.5.7",
        "model": "r1",
        "answer": "Paris.",
        "reasoning": "",
        "tokens_per_second": 14.04,
        "first_token_seconds": 0.312,
        "gpu_share": 1.0,
        **more,
    }


def asked(*checks: dict[str, Any]) -> dict[str, Any]:
    return {"endpoints": list(checks)}


def fleet(**opened: tuple[bool, ...]) -> dict[str, Any]:
    return {host: {"endpoints": [{"open": is_open} for is_open in several]} for host, several in opened.items()}


SKIPPED = {"skipped": True, "changed": False}


def test_a_host_is_a_block_of_endpoint_model_answer_speed_and_share() -> None:
    assert report(["a"], fleet(a=(False,), other=()), [asked(check())], [SKIPPED]) == [
        "a  http://127.0.0.1:11434",
        "    model    r1 (ollama 0.5.7)",
        "    answer   Paris.",
        "    speed    14.0 tokens/s, first token after 0.31 s",
        "    on GPUs  100 %",
    ]


def test_an_open_endpoint_is_told_by_the_address_of_the_network_and_warned_of_once() -> None:
    here = [asked(check(), check(model="r2")), asked(check())]
    lines = report(["a", "b"], fleet(a=(False, True), b=(False,)), here, [asked(check(url="http://10.5:1")), SKIPPED])
    assert [line for line in lines if "http" in line and "WARNING" not in line] == [
        "a  http://127.0.0.1:11434",
        "a  http://10.5:1",
        "b  http://127.0.0.1:11434",
        "    a  http://10.5:1",
    ]
    assert sum("WARNING" in line for line in lines) == 1


def test_what_is_missing_is_said_in_words() -> None:
    unknown = check(gpu_share=None, tokens_per_second=None, first_token_seconds=None, answer="", reasoning="Hm, France")
    here = [asked(unknown, check(gpu_share=0.0))]
    text = "\n".join(report(["a"], fleet(a=(False, False)), here, [SKIPPED]))
    assert "on GPUs  not told by the engine" in text
    assert "on GPUs  none, the CPU computes" in text
    assert "speed    speed unknown" in text
    assert "answer   (still thinking) Hm, France" in text


def test_hosts_without_models_without_endpoints_and_failed_ones_are_lines() -> None:
    nothing = {"verified": False, "url": "http://127.0.0.1:1"}
    assert report(["a", "b"], fleet(a=(), b=(True,)), [SKIPPED, asked(nothing)], [SKIPPED, asked(nothing)], ["c"]) == [
        "a  declares no model in models_serve",
        "b  http://127.0.0.1:1: there is nothing to ask yet",
        "c  FAILED, see its message above",
    ]


def test_a_long_answer_is_one_short_line() -> None:
    line = report(["a"], fleet(a=(False,)), [asked(check(answer="word\n" * 100))], [SKIPPED])[2]
    assert "\n" not in line
    assert len(line) < 220
    assert line.endswith("…")
