# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.parameters import ParameterProblem, check_parameters
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import parse_version

OLD, NEW = parse_version("0.5.7"), parse_version("0.33.2")


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("num_ctx", 2048, 2048),
        ("num_ctx", "2048", 2048),
        ("num_gpu", -1, -1),
        ("temperature", 0.6, 0.6),
        ("temperature", "0.6", 0.6),
        ("temperature", 1, 1),
        ("use_mmap", "false", False),
        ("use_mmap", True, True),
        ("stop", "<｜User｜>", ["<｜User｜>"]),
        ("stop", ["a", "b"], ["a", "b"]),
    ],
)
def test_a_value_is_taken_with_the_type_that_ollama_wants(name: str, given: Any, taken: Any) -> None:
    checked = check_parameters({name: given}, NEW)
    assert checked == {name: taken}
    assert type(checked[name]) is type(taken)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_ctx", 4096.5),
        ("num_ctx", "1e6"),
        ("num_ctx", True),
        ("num_ctx", "２０４８x"),
        ("num_ctx", 2**63),
        ("num_ctx", None),
        ("temperature", "warm"),
        ("temperature", float("nan")),
        ("temperature", True),
        ("use_mmap", "off"),
        ("use_mmap", 2),
        ("stop", []),
        ("stop", [""]),
        ("stop", [1]),
        ("stop", {"a": "b"}),
    ],
)
def test_a_value_that_ollama_would_misread_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ParameterProblem) as caught:
        check_parameters({name: value}, NEW)
    assert f"'{name}'" in caught.value.problem


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("num_ctxx", "num_ctx"), ("NUM_CTX", "num_ctx"), ("temprature", "temperature"), ("num_gpus", "num_gpu")],
)
def test_a_mistyped_name_is_answered_with_the_nearest_one(typed: str, meant: str) -> None:
    with pytest.raises(ParameterProblem) as caught:
        check_parameters({typed: 1}, NEW)
    assert caught.value.remedy == f"Did you mean {meant}?"


def test_a_name_like_no_other_is_answered_with_all_of_them() -> None:
    with pytest.raises(ParameterProblem) as caught:
        check_parameters({"xyzzy": 1}, NEW)
    assert "num_ctx" in caught.value.remedy
    assert "mirostat" not in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "value", "works", "ignored"),
    [("mirostat", 1, OLD, NEW), ("use_mlock", True, OLD, NEW), ("draft_num_predict", 4, NEW, OLD)],
)
def test_a_parameter_is_refused_in_the_versions_that_ignore_it(name: str, value: Any, works: Any, ignored: Any) -> None:
    assert check_parameters({name: value}, works) == {name: value}
    with pytest.raises(ParameterProblem) as caught:
        check_parameters({name: value}, ignored)
    assert str(ignored) in caught.value.problem


def test_the_order_of_the_parameters_is_kept() -> None:
    assert list(check_parameters({"top_p": 1, "num_ctx": 2, "seed": 3}, NEW)) == ["top_p", "num_ctx", "seed"]
