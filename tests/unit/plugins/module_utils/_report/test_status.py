# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running fleet beside what is declared and locked."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._report.status import lines, questions, status

GIB = 2**30
R1: Dict[str, Any] = {"name": "r1", "source": {"repo": "org/r1", "quant": "Q2"}}
CODER = {"name": "coder", "engine": "llama_cpp", "source": {"repo": "org/coder", "quant": "Q4"}}
FLEET = describe_fleet({"one": {"models_serve": [R1, CODER]}, "two": {"models_serve": [R1]}}, {}, {}).as_dict()


def lock(model: Dict[str, Any], *names: str) -> Dict[str, Any]:
    repo, quant = model["source"]["repo"], model["source"]["quant"]
    files = [{"path": name, "size_bytes": GIB, "sha256": "a" * 64, "url": f"https://hub/{name}"} for name in names]
    pinned = {"hub": "modelscope", "endpoint": "https://hub", "revision": "master", "commit": "c" * 40}
    return {**pinned, "repo": repo, "quant": quant, "files": files, "merged": {"sha256": "b" * 64}}


ONE, TWO = (FLEET["hosts"][name]["models"] for name in ("one", "two"))
LOCKS = {
    ONE[0]["lock_name"]: lock(R1, "r1-Q2-00001-of-00002.gguf", "r1-Q2-00002-of-00002.gguf"),
    ONE[1]["lock_name"]: lock(CODER, "coder-Q4-00001-of-00002.gguf", "coder-Q4-00002-of-00002.gguf"),
}


def as_declared() -> Dict[str, Any]:
    """What host_status tells of a host where nothing is to do."""
    asked = questions(FLEET["hosts"]["one"], LOCKS)
    resident = {"name": "r1:latest", "size_bytes": GIB, "gpu_share": 1.0, "pinned": False}
    return {
        "services": [
            {
                "name": "ollama",
                "running": True,
                "pid": 7,
                "started_at": "2026-03-01T09:30:00Z",
                "uptime_seconds": 273600,
            },
            {"name": "llama-cpp-coder", "running": True, "pid": 8, "started_at": "t", "uptime_seconds": 59},
        ],
        "servers": [
            {
                **{"name": "ollama", "url": "u", "answers": True, "version": "0.33.2", "problem": ""},
                "models": [{"name": "r1:latest", "digest": "c" * 64, "size_bytes": GIB}],
                "resident": [resident],
            },
            {
                **{"name": "llama-cpp-coder", "url": "u", "answers": True, "version": "b1-x", "problem": ""},
                "models": [{"name": "coder", "digest": "", "size_bytes": None}],
                "resident": [{"name": "coder", "size_bytes": None, "gpu_share": None, "pinned": True}],
            },
        ],
        "files": [{"path": path, "there": True, "sha256": "a" * 64} for path in asked["files"]],
        "weights": [{"name": "r1:latest", "sha256": "b" * 64}],
        "free_bytes": 900 * GIB,
        "made": {"files": [{"path": path, "size_bytes": GIB} for path in asked["files"]], "models": ["r1:latest"]},
    }


def shown(told: Dict[str, Any]) -> list[str]:
    return lines(status(["one"], FLEET, LOCKS, {"one": told}))


def test_a_fleet_as_declared_is_a_line_for_each_model() -> None:
    assert shown(as_declared()) == [
        "host  engine          health  uptime   model  quant  digest        in memory          disk",
        "one   ollama 0.33.2   ok      3 d 4 h  r1     Q2     bbbbbbbbbbbb  yes, 100% on GPUs  900.0 GiB free",
        "      llama_cpp b1-x  ok      59 s     coder  Q4     aaaaaaaaaaaa  yes",
        "Everything is as declared.",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (60, "1 min"), (3599, "59 min"), (3660, "1 h 1 min"), (86400, "1 d 0 h")]
)
def test_an_uptime_is_told_in_its_two_largest_units(seconds: int, words: str) -> None:
    told = as_declared()
    told["services"][0]["uptime_seconds"] = seconds
    (row,) = [line for line in shown(told) if line.startswith("one ")]
    assert f"  {words}  " in row


def test_a_server_that_does_not_run_has_no_uptime() -> None:
    told = as_declared()
    told["services"][0].update(running=False, pid=None, started_at=None, uptime_seconds=None)
    told["servers"][0].update(answers=False, problem="nothing listens there", models=[], resident=[])
    (server, _other) = status(["one"], FLEET, LOCKS, {"one": told})["hosts"]["one"]["servers"]
    assert (server["pid"], server["uptime_seconds"]) == (None, None)
    assert " silent          r1 (missing)" in "\n".join(shown(told))


def test_every_difference_is_a_sentence() -> None:
    told = as_declared()
    told["servers"][0].update(version="0.5.7", models=[{"name": "old:latest", "digest": "d" * 64, "size_bytes": GIB}])
    told["servers"][0]["resident"] = []
    told["servers"][1].update(answers=False, problem="nothing listens there", models=[], resident=[])
    told["files"][0]["there"] = False
    told["services"].append({"name": "llama-cpp-gone", "running": True})
    told["made"]["files"].append({"path": "/srv/gone.gguf", "size_bytes": 131 * GIB})
    text = shown(told)
    assert [sentence for sentence in text if sentence.startswith("one: ")] == [
        "one: ollama runs 0.5.7, and 0.33.2 is declared.",
        "one: llama-cpp-coder does not serve: nothing listens there",
        "one: r1: it is declared and not there.",
        f"one: r1: {told['files'][0]['path']} is missing.",
        "one: old:latest: it is not declared.",
        "one: /srv/gone.gguf, 131.0 GiB, belongs to no declared model.",
        "one: the service llama-cpp-gone runs and is not declared.",
    ]


def test_other_weights_than_those_of_the_lock_are_named() -> None:
    told = as_declared()
    told["weights"][0]["sha256"] = "f" * 64
    assert "one: r1: its weights are ffffffffffff, the lock says bbbbbbbbbbbb." in shown(told)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"revision": "v2"}, "revision v2 instead of master"),
        ({"hub": "huggingface"}, "hub huggingface instead of modelscope"),
        ({"endpoint": "https://user:secret@mirror"}, "endpoint https://mirror instead of https://hub"),
        ({"sha256": {"r1-Q2-00001-of-00002.gguf": "e" * 64}}, f"{'e' * 64} instead of {'a' * 64}"),
    ],
)
def test_a_source_that_is_not_the_one_of_the_lock_is_named(source: Dict[str, Any], said: str) -> None:
    declared = {**R1, "source": {**R1["source"], **source}}
    fleet = describe_fleet({"one": {"models_serve": [declared, CODER]}}, {}, {}).as_dict()
    state = status(["one"], fleet, LOCKS, {"one": as_declared()})
    (told,) = [text for text in lines(state) if text.startswith("one: ")]
    assert told.startswith("one: r1: its source is not the one of the lock: ") and told.endswith(f"{said}.")
    assert "secret" not in str(state)


def test_a_host_that_cannot_be_asked_is_a_line() -> None:
    state = status(
        ["one", "two"], FLEET, LOCKS, {"one": as_declared(), "two": {"unreachable": True, "msg": "no route"}}
    )
    assert state["hosts"]["two"]["reachable"] is False
    text = lines(state)
    assert "UNREACHABLE" in text[3]
    assert text[-1] == "two: no route"
