# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import unit
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

SCRIPT = Path(__file__).resolve().parents[5] / "roles/host/files/service"

ARGUMENTS = [
    ["/usr/bin/llama-server", "--port", 8080],
    ["x", "two words"],
    ["x", 'a "quoted" one'],
    ["x", "it's"],
    ["x", "back\\slash"],
    ["x", r"blk\.\d+\.ffn=CPU$"],
    ["x", "100%", "$HOME", "${HOME}", "%n"],
    ["x", ""],
    ["x", "a;b", "#c"],
]


@pytest.fixture(scope="module")
def supervisor() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("gguf_fleet_service", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_the_script_without_systemd_reads_back_what_was_written(supervisor: ModuleType, arguments: list[Any]) -> None:
    assert supervisor.Unit.words(unit.command(arguments)) == [str(argument) for argument in arguments]


def test_dollars_and_percents_are_doubled_for_systemd() -> None:
    assert unit.command(["/bin/true", "$a", "5%"]) == "/bin/true $$a 5%%"


@pytest.mark.parametrize("argument", ["a\nUser=root", "a\rb", "a\u2028User=root", "a\x85b", "\x1b[2J"])
def test_an_argument_that_would_begin_another_setting_is_refused(argument: str) -> None:
    with pytest.raises(ServiceProblem, match="line end"):
        unit.command(["/bin/true", argument])
