# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules modelfile and ollama_model, run for real: checked, run, checked again, run again, removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_server import Server

Module = Callable[..., dict[str, Any]]


@pytest.fixture
def model(run_module: Module, server: Server, tmp_path: Path) -> Module:
    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {"host": server.url, "models_dir": str(server.models), **options}
        ledger = {"GGUF_FLEET_LEDGER": str(tmp_path / "ledger.json")}
        return run_module("ollama_model", arguments, environment=ledger, check=check)

    return run


def test_a_model_is_made_changed_and_removed_and_check_mode_says_the_same(
    model: Module, small_model: Path, server: Server
) -> None:
    wanted = {"name": "small", "file": str(small_model), "template": "deepseek-r1", "parameters": {"num_ctx": "64"}}
    planned = model(check=True, **wanted)
    assert server.names() == []
    made = model(**wanted)
    assert (made["changed"], made["import_used"], made["model"]) == (True, "store", "small:latest")
    assert made["actions"] == planned["actions"]
    assert json.loads(made["diff"]["after"])["parameters"] == {"num_ctx": 64}
    assert model(**wanted)["changed"] is False
    assert model(check=True, **wanted)["changed"] is False

    edited = model(**{**wanted, "parameters": {"num_ctx": 128}})
    assert json.loads(edited["diff"]["before"])["parameters"] == {"num_ctx": 64}
    assert model(state="pruned", keep=["small"])["changed"] is False
    gone = model(name="small", state="absent")
    assert (gone["changed"], server.names()) == (True, [])
    assert model(name="small", state="absent")["changed"] is False


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "bad name", "file": "/x"}, "is not a model name"),
        ({"name": "m", "file": "/not/there.gguf"}, "There is no file /not/there.gguf"),
        ({"name": "m", "from": "nobody"}, "There is no model nobody:latest"),
        ({"name": "m", "from": "x", "parameters": {"num_ctxx": 1}}, "Did you mean num_ctx?"),
        (
            {"name": "m", "from": "x", "template": "{{ if .A }}"},
            "The template of m:latest, line 1, column 1: ",
        ),
        ({"name": "m", "from": "x", "host": "127.0.0.1:1"}, "http://127.0.0.1:1: nothing listens on port 1."),
        ({"name": "m", "from": "x", "models_dir": "/not/there"}, "There is no models directory /not/there"),
        ({"name": "m"}, "missing: file, from"),
        ({"name": "m", "from": "x", "file": "/y"}, "mutually exclusive"),
        ({"state": "absent"}, "name"),
    ],
)
def test_bad_input_fails_with_what_is_wrong_and_what_to_do(model: Module, options: dict[str, Any], said: str) -> None:
    result = model(**options)
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
