# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import supervisor_copy
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(supervisor_copy, "LIBRARY", str(tmp_path))
    return tmp_path


def test_the_copy_arrives_whole_and_runs_without_the_controller_s_packages(library: Path) -> None:
    pytest.importorskip("supervisor")
    files = supervisor_copy.read(supervisor_copy.of_python())
    assert supervisor_copy.on_host() == {}
    arrived = supervisor_copy.unpack(supervisor_copy.pack(files), supervisor_copy.digest(files))
    supervisor_copy.put(arrived)
    assert supervisor_copy.on_host() == files
    code = "import sys; sys.path.insert(0, sys.argv[1]); from supervisor import supervisord; supervisord.main(['-v'])"
    run = [sys.executable, "-I", "-S", "-c", code, str(library / "supervisor")]
    told = subprocess.run(run, text=True, capture_output=True, check=False)
    assert told.stdout.strip() == supervisor_copy.version(files), told.stderr


def test_another_copy_takes_the_place_of_the_one_before(library: Path) -> None:
    supervisor_copy.put({"__init__.py": "", "gone.py": "", "medusa/a.py": "1"})
    (library / "supervisor.new").mkdir()
    supervisor_copy.put({"__init__.py": "", "medusa/b.py": "2"})
    assert supervisor_copy.on_host() == {"__init__.py": "", "medusa/b.py": "2"}
    assert sorted(path.name for path in library.iterdir()) == ["supervisor"]


@pytest.mark.parametrize("archive", ["", "!", "eJwDAAAAAAE="])
def test_a_copy_that_is_not_the_one_is_refused(archive: str) -> None:
    with pytest.raises(ServiceProblem, match="arrived damaged"):
        supervisor_copy.unpack(archive, "0" * 64)
    with pytest.raises(ServiceProblem, match="arrived damaged"):
        supervisor_copy.unpack(supervisor_copy.pack({"a.py": ""}), supervisor_copy.digest({"b.py": ""}))


def test_a_host_with_the_same_copy_is_brought_nothing(library: Path) -> None:
    files = {"__init__.py": "", "version.txt": "4.3.0\n"}
    controllers = {"version": "4.3.0", "digest": supervisor_copy.digest(files)}
    assert supervisor_copy.to_bring(controllers) == supervisor_copy.Copy("4.3.0", {})
    whole = {**controllers, "archive": supervisor_copy.pack(files)}
    assert supervisor_copy.to_bring(whole) == supervisor_copy.Copy("4.3.0", files)
    supervisor_copy.put(files)
    assert supervisor_copy.to_bring(controllers) is None
    assert supervisor_copy.to_bring(None) is None


def test_the_distribution_s_package_is_taken_where_the_controller_has_none(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_copy, "of_python", lambda: "/usr/lib/python3/dist-packages/supervisor")
    assert supervisor_copy.to_bring(None) is None
    monkeypatch.setattr(supervisor_copy, "of_python", lambda: "")
    with pytest.raises(ServiceProblem, match="Neither the controller nor this host has supervisor"):
        supervisor_copy.to_bring(None)


@pytest.mark.parametrize(("version", "usable"), [("4.3.0", True), ("4.10", True), ("5.0", True), ("4.2.5", False)])
def test_a_copy_that_needs_setuptools_is_left_at_home(version: str, usable: bool) -> None:
    assert supervisor_copy.is_usable({"version.txt": f"{version}\n"}) is usable
    assert supervisor_copy.is_usable({}) is False
