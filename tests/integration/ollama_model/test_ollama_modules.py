# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules modelfile and ollama_model, run for real: checked, run, checked again, run again, removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import STOPS
from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_server import Server

Module = Callable[..., dict[str, Any]]


@pytest.fixture
def model(run_module: Module, server: Server, tmp_path: Path) -> Module:
    def run(*models: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {"host": server.url, "models_dir": str(server.models), "models": list(models), **options}
        ledger = {"GGUF_FLEET_LEDGER": str(tmp_path / "ledger.json")}
        return run_module("ollama_model", arguments, environment=ledger, check=check)

    return run


def test_models_are_made_changed_and_removed_in_one_run_each_and_check_mode_says_the_same(
    model: Module, small_model: Path, server: Server
) -> None:
    wanted = {"name": "small", "file": str(small_model), "template": "deepseek-r1", "parameters": {"num_ctx": "64"}}
    longer = {"name": "longer", "from": "small", "parameters": {"num_ctx": 128}}
    planned = model(wanted, longer, check=True)
    assert server.names() == []
    made = model(wanted, longer)
    assert [(one["name"], one["changed"], one["model"], one["import_used"]) for one in made["models"]] == [
        ("small", True, "small:latest", "store"),
        ("longer", True, "longer:latest", "store"),
    ]
    assert made["models"][0]["actions"] == planned["models"][0]["actions"]
    assert planned["models"][1]["actions"][0].endswith(": what it is made from is not there yet")
    stops = {"stop": list(STOPS["deepseek-r1"])}
    parameters = [json.loads(diff["after"])["parameters"] for diff in made["diff"]]
    assert parameters == [{"num_ctx": 64, **stops}, {"num_ctx": 128, **stops}]
    for check in (False, True):
        again = model(wanted, longer, check=check)
        assert (again["changed"], again["diff"], len(again["models"])) == (False, [], 2)

    edited = model({**wanted, "parameters": {"num_ctx": 128}}, longer)
    assert [one["changed"] for one in edited["models"]] == [True, False]
    assert json.loads(edited["diff"][0]["before"])["parameters"] == {"num_ctx": 64, **stops}
    names = [{"name": "small"}, {"name": "longer"}]
    assert model(*names, state="pruned")["changed"] is False
    # Another server of the store may have loaded what goes; one that is down has nothing in memory.
    pruned = model({"name": "small", "host": "127.0.0.1:1"}, state="pruned")
    assert (pruned["removed"], server.names()) == (["longer:latest"], ["small:latest"])
    gone = model(*names, state="absent")
    assert ([one["changed"] for one in gone["models"]], server.names()) == ([True, False], [])
    assert small_model.exists()


def test_one_model_that_fails_is_named_and_keeps_no_other_but_nothing_is_pruned(
    model: Module, small_model: Path, server: Server
) -> None:
    model({"name": "old", "file": str(small_model)})
    missing = [{"name": name, "file": f"/not/there/{name}.gguf"} for name in ("one", "two")]
    failed = model(missing[0], {"name": "new", "file": str(small_model)}, missing[1], state="pruned")
    assert failed["rc"] != 0
    assert [line.split(":")[0] for line in failed["problem"].splitlines()] == ["one", "two"]
    assert [sorted({"problem", "model"} & set(one)) for one in failed["models"]] == [
        ["problem"],
        ["model"],
        ["problem"],
    ]
    assert sorted(server.names()) == ["new:latest", "old:latest"]
    assert model({"name": "new", "file": str(small_model)}, state="pruned")["removed"] == ["old:latest"]
    model({"name": "new"}, state="absent")


@pytest.mark.parametrize(
    ("one", "options", "said"),
    [
        ({"name": "bad name", "file": "/x"}, {}, "is not a model name"),
        ({"name": "m", "file": "/not/there.gguf"}, {}, "There is no file /not/there.gguf"),
        ({"name": "m", "from": "nobody"}, {}, "There is no model nobody:latest"),
        ({"name": "m", "from": "x", "parameters": {"num_ctxx": 1}}, {}, "Did you mean num_ctx?"),
        (
            {"name": "m", "from": "x", "template": "{{ if .A }}"},
            {},
            "The template of m:latest, line 1, column 1: ",
        ),
        ({"name": "m", "from": "x", "host": "127.0.0.1:1"}, {}, "http://127.0.0.1:1: nothing listens on port 1."),
        ({"name": "m", "from": "x"}, {"models_dir": "/not/there"}, "There is no models directory /not/there"),
        ({"name": "m"}, {}, "m has nothing to be made of"),
        ({"name": "m", "from": "x", "file": "/y"}, {}, "mutually exclusive"),
        ({}, {"state": "absent"}, "missing required arguments: name found in models"),
        ({"name": "m", "from": "x"}, {"name": "m", "file": "/y"}, "Supported parameters include: "),
    ],
)
def test_bad_input_fails_with_what_is_wrong_and_what_to_do(
    model: Module, one: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    result = model(one, **options)
    assert result["rc"] != 0
    assert said in result["msg"]


def test_a_modelfile_is_written_once_with_its_mode(run_module: Module, tmp_path: Path) -> None:
    dest = tmp_path / "Modelfile"
    wanted = {
        "dest": str(dest),
        "from": "/srv/m.gguf",
        "template": "deepseek-r1-short",
        "parameters": {"num_gpu": 14, "stop": ["<｜User｜>"]},
        "mode": "0640",
    }
    planned = run_module("modelfile", wanted, check=True)
    assert (planned["changed"], dest.exists()) == (True, False)
    made = run_module("modelfile", wanted)
    assert made["content"] == planned["content"] == dest.read_text(encoding="utf-8")
    assert made["diff"]["after"] == made["content"]
    assert dest.stat().st_mode & 0o777 == 0o640
    assert run_module("modelfile", wanted)["changed"] is False
    assert run_module("modelfile", {**wanted, "mode": "0600"})["changed"] is True


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"system": "全\u3000角"}, "U+3000"),
        ({"template": "chatlm"}, "Did you mean chatml?"),
        ({"parameters": {"mirostat": 1}}, "ignores the parameter 'mirostat'"),
        ({"dest": "/not/there/Modelfile"}, "/not/there/Modelfile cannot be written"),
    ],
)
def test_a_modelfile_that_would_not_be_read_as_meant_is_not_written(
    run_module: Module, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    dest = tmp_path / "Modelfile"
    result = run_module("modelfile", {"dest": str(dest), "from": "base", **options})
    assert result["rc"] != 0
    assert said in result["msg"]
    assert not dest.exists()
