# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import adoption, manager, old_script, supervised
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

HOMES = {"ollama": "/usr/share/ollama", "root": "/root"}


def user_of(name: str) -> Mapping[str, Any]:
    return {"name": name, "home": HOMES[name]}


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(adoption, "DIRECTORY", str(tmp_path))
    return tmp_path


def systemd(
    tmp_path: Path, unit: str, environment: str = "", user: str = "ollama", drop_ins: str = ""
) -> manager.Systemd:
    path = tmp_path / "ollama.service"
    path.write_text(unit)
    told = f"LoadState=loaded\nFragmentPath={path}\nEnvironment={environment}\nUser={user}\nDropInPaths={drop_ins}\n"
    files = "".join(f"EnvironmentFiles={tmp_path}/{name} (ignore_errors=yes)\n" for name in ("env", "none"))
    return manager.Systemd("ollama", lambda argv: (0, files if argv[-1] == "EnvironmentFiles" else told))


def test_the_settings_of_install_sh_s_unit_are_kept_without_its_path(tmp_path: Path) -> None:
    way = systemd(tmp_path, "[Service]\n", "PATH=/root/bin:/bin OLLAMA_HOST=0.0.0.0 OLLAMA_MODELS=/data/models")
    assert adoption.read("ollama", way, user_of) == {
        "environment": {"OLLAMA_HOST": "0.0.0.0"},
        "models_dir": "/data/models",
        "user": "ollama",
        "home": "/usr/share/ollama",
    }


def test_settings_in_a_file_that_the_unit_names_win_over_those_in_it(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# ours\nOLLAMA_HOST='0.0.0.0'\n\nOLLAMA_ORIGINS=http://a,http://b\nPATH=/bin\n")
    way = systemd(tmp_path, "[Service]\n", "OLLAMA_HOST=127.0.0.1 OLLAMA_DEBUG=1 OLLAMA_NOPRUNE=")
    assert adoption.read("ollama", way, user_of)["environment"] == {
        "OLLAMA_HOST": "0.0.0.0",
        "OLLAMA_ORIGINS": "http://a,http://b",
        "OLLAMA_DEBUG": "1",
    }


def test_the_store_lies_in_the_home_of_the_unit_s_user(tmp_path: Path) -> None:
    assert adoption.read("ollama", systemd(tmp_path, "x"), user_of)["models_dir"] == "/usr/share/ollama/.ollama/models"
    as_root = adoption.read("ollama", systemd(tmp_path, "x", user=""), user_of)
    assert (as_root["user"], as_root["models_dir"]) == ("root", "/root/.ollama/models")


def test_our_own_unit_is_not_adopted(tmp_path: Path) -> None:
    assert adoption.read("ollama", systemd(tmp_path, "# Ansible managed (gguf.fleet)\n"), user_of) == {}


def test_install_sh_over_our_unit_is_not_adopted_because_our_drop_in_holds_the_settings(tmp_path: Path) -> None:
    way = systemd(tmp_path, "[Service]\n", drop_ins="/etc/systemd/system/ollama.service.d/gguf-fleet.conf")
    assert adoption.read("ollama", way, user_of) == {}


def test_a_host_without_the_service_has_nothing_to_adopt() -> None:
    way = manager.Systemd("ollama", lambda _argv: (0, "LoadState=not-found\nFragmentPath=\n"))
    assert adoption.read("ollama", way, user_of) == {}
    assert adoption.foreign_unit(way) == ""


def test_a_unit_is_foreign_when_we_did_not_write_it(tmp_path: Path) -> None:
    assert adoption.foreign_unit(systemd(tmp_path, "[Service]\n")) == str(tmp_path / "ollama.service")
    assert adoption.foreign_unit(systemd(tmp_path, "# Ansible managed (gguf.fleet)\n")) == ""
    assert adoption.foreign_unit(manager.Supervisord("ollama")) == ""


def test_without_systemd_the_models_of_a_server_that_root_started_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HOMES, "root", str(tmp_path))
    monkeypatch.setattr(supervised, "program_path", lambda name: str(tmp_path / f"{name}.conf"))
    monkeypatch.setattr(old_script, "UNITS", str(tmp_path / "services"))
    server = manager.Supervisord("ollama")
    assert adoption.read("ollama", server, user_of) == {}
    store = tmp_path / ".ollama/models"
    (store / "manifests").mkdir(parents=True)
    adopted = adoption.read("ollama", server, user_of)
    assert (adopted["user"], adopted["models_dir"]) == ("root", str(store))
    (tmp_path / "ollama.conf").write_text("")
    assert adoption.read("ollama", server, user_of) == {}
    (tmp_path / "ollama.conf").unlink()
    (tmp_path / "services").mkdir()
    (tmp_path / "services/ollama.service").write_text("")
    assert adoption.read("ollama", server, user_of) == {}


def test_what_was_noted_counts_for_ever(notes: Path, tmp_path: Path) -> None:
    noted = {"environment": {"A": "1"}, "models_dir": "/m", "user": "ollama", "home": "/h"}
    (notes / "ollama.adopted.json").write_text(json.dumps(noted))
    assert adoption.read("ollama", systemd(tmp_path, "# gguf.fleet"), user_of) == noted


def test_a_damaged_note_is_an_error_and_not_a_loss_of_settings(notes: Path, tmp_path: Path) -> None:
    (notes / "ollama.adopted.json").write_text("{")
    with pytest.raises(ServiceProblem, match="damaged"):
        adoption.read("ollama", systemd(tmp_path, "# gguf.fleet"), user_of)
