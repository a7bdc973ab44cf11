# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several services in one run of engine_service: each with its own options, and what becomes of the others."""

from __future__ import annotations

import json
from typing import Any, Optional

import pytest
from ansible.module_utils.common.parameters import PASS_VARS

from ansible_collections.gguf.fleet.plugins.module_utils._service import journal, manager
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.modules import engine_service

testing = pytest.importorskip("ansible.module_utils.testing", reason="ansible-core 2.17 has no patch_module_args")
COMMON = {"manager": "systemd", "user": "u", "group": "g", "home": "/h", "command": ["/bin/x"], "description": "X"}


class Host:
    """What the module asked for each service; `broken` are those that do not serve."""

    def __init__(self) -> None:
        self.asked: dict[str, dict[str, Any]] = {}
        self.broken: set[str] = set()

    def bring(self, _module: Any, p: dict[str, Any], _way: Any, _supervisor: Any) -> dict[str, Any]:
        self.asked[p["name"]] = p
        if p["name"] in self.broken:
            raise ServiceProblem(f"{p['name']} gives no answer.", "Look at its log.")
        action = f"restart {p['name']}"
        return {
            "changed": True,
            "actions": [action],
            "restarted": True,
            "restart_pending": [],
            "diff": [{"prepared": action}],
        }


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Host:
    made = Host()
    monkeypatch.setattr(engine_service, "bring", made.bring)
    monkeypatch.setattr(journal, "PENDING", str(tmp_path / "pending"))
    monkeypatch.setattr(manager, "manager", lambda *_arguments: None)
    return made


def run(capsys: pytest.CaptureFixture[str], services: Optional[list[dict[str, Any]]], **more: Any) -> dict[str, Any]:
    given = {**COMMON, **({} if services is None else {"services": services}), **more, "_ansible_check_mode": True}
    with testing.patch_module_args(given), pytest.raises(SystemExit):
        engine_service.main()
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_an_entry_says_what_is_its_own_and_the_rest_holds_for_all(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    told = run(
        capsys, [{"name": "a", "url": "http://1"}, {"name": "b", "models": None}], url="http://2", restart="never"
    )
    assert (host.asked["a"]["url"], host.asked["b"]["url"]) == ("http://1", "http://2")
    assert {p["restart"] for p in host.asked.values()} == {"never"} and {p["user"] for p in host.asked.values()} == {
        "u"
    }
    assert [one["name"] for one in told["results"]] == ["a", "b"]
    assert told["actions"] == ["restart a", "restart b"] and told["changed"] and told["restarted"]
    assert [part["prepared"] for part in told["diff"]] == ["restart a", "restart b"]


def test_one_that_fails_does_not_keep_the_others_from_theirs(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    host.broken = {"a", "c"}
    told = run(capsys, [{"name": name} for name in "abc"])
    assert told["failed"] and list(host.asked) == ["a", "b", "c"]
    assert "a gives no answer." in told["msg"] and "c gives no answer." in told["msg"]
    assert [bool(one.get("failed")) for one in told["results"]] == [True, False, True]
    assert told["results"][0]["remedy"] == told["remedy"] == "Look at its log."


def test_services_of_one_version_are_one_change_that_ends_with_the_first_failure(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.broken = {"b"}
    told = run(capsys, [{"name": name} for name in "abc"], version="2", root="/opt/x")
    assert told["failed"] and list(host.asked) == ["a", "b"]
    assert host.asked["a"]["together"] == ["a", "b", "c"]


def test_the_key_to_ask_with_is_the_first_of_the_server_s_own_and_is_not_shown(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [{"LLAMA_API_KEY": "first-key-of-a,second-key-of-a"}, {"LLAMA_API_KEY": "only-key-of-b"}, {"PATH": "/bin"}]
    services = [{"name": name, "environment": own} for name, own in zip("abc", keys)]
    host.broken = {"a"}
    given = {**COMMON, "services": services, "engine": "llama_cpp", "_ansible_check_mode": True}
    if "inject_invocation" in PASS_VARS:  # ansible-core 2.21 tells the invocation only when asked
        given["_ansible_inject_invocation"] = True
    with testing.patch_module_args(given), pytest.raises(SystemExit):
        engine_service.main()
    out = capsys.readouterr().out
    assert [host.asked[name]["api_key"] for name in "abc"] == ["first-key-of-a", "only-key-of-b", ""]
    assert "key-of" not in out
    shown = json.loads(out)["invocation"]["module_args"]["services"]
    assert shown[2]["environment"] == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("services", "more", "words"),
    [
        (None, {}, "name, services"),
        ([{"name": "a"}], {"name": "b"}, "mutually exclusive"),
        ([{"name": "a"}, {"name": "b"}], {"home": ""}, "a cannot be run: home is not given"),
    ],
)
def test_what_is_not_enough_is_refused_before_anything(
    host: Host, capsys: pytest.CaptureFixture[str], services: Any, more: dict[str, Any], words: str
) -> None:
    assert words in run(capsys, services, **more)["msg"]
    assert host.asked == {}


def test_an_empty_list_changes_nothing(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(capsys, [])
    assert (told["changed"], told["results"]) == (False, []) and host.asked == {}
