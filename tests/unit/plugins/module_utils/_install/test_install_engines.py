# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._install import engines, foreign, install, releases
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.tests.builders.archives import ollama_program

OLLAMA = engines.ENGINES["ollama"]
LLAMA_CPP = engines.ENGINES["llama_cpp"]


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """Programs are asked for their version as nobody, who has to reach them."""
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


VERSIONS = [
    (OLLAMA, "Warning: could not connect to a running Ollama instance\nWarning: client version is 0.5.7", "0.5.7"),
    (OLLAMA, "ollama version is 0.33.2", "0.33.2"),
    (OLLAMA, "ollama version is 0.5.6\nWarning: client version is 0.5.7", "0.5.7"),
    (OLLAMA, "git version 2.39.5", None),
    (LLAMA_CPP, "version: 4610 (53debe6f)\nbuilt with cc (Ubuntu) for x86_64-linux-gnu", "4610"),
    (LLAMA_CPP, "version: 0.7.0 (build 11669, commit Debian)\nbuilt with GNU 16.2.0", "11669"),
]


@pytest.mark.parametrize(("engine", "said", "version"), VERSIONS)
def test_the_version_is_the_program_s_own_and_not_the_server_s(
    engine: engines.Engine, said: str, version: str | None
) -> None:
    assert engines.told_version(engine, said) == version


SHAPES = {
    "today's tar": "llama-b11669/llama-server",
    "the zip of 2025": "build/bin/llama-server",
    "flat": "llama-server",
    "already right": "bin/llama-server",
}


@pytest.mark.parametrize("place", SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_of_llama_cpp_s_archives_ends_in_bin(tmp_path: Path, place: str) -> None:
    program(tmp_path / place, "#!/bin/sh\n")
    (tmp_path / place).with_name("libllama.so").write_text("library")
    with Directory.open(str(tmp_path)) as tree:
        engines.arrange(LLAMA_CPP, tree, "a.tar.gz")
    assert (tmp_path / "bin/llama-server").is_file()
    assert (tmp_path / "bin/libllama.so").is_file()


def test_an_archive_of_something_else_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    with Directory.open(str(tmp_path)) as tree, pytest.raises(InstallProblem) as raised:
        engines.arrange(OLLAMA, tree, "https://mirror.example/ollama-linux-amd64.tgz")
    assert "https://mirror.example/ollama-linux-amd64.tgz is not an archive of Ollama" in raised.value.problem
    assert "README.md" in raised.value.problem


def test_a_program_of_another_version_is_refused(tmp_path: Path) -> None:
    program(tmp_path / "bin/ollama", ollama_program("0.5.6").decode())
    with pytest.raises(InstallProblem, match=r"holds Ollama 0\.5\.6, and 0\.5\.7 was asked for"):
        engines.prove(OLLAMA, str(tmp_path), "0.5.7")


def test_a_program_that_was_built_by_hand_is_believed(tmp_path: Path) -> None:
    program(tmp_path / "bin/ollama", ollama_program("0.0.0").decode())
    assert engines.prove(OLLAMA, str(tmp_path), "0.5.7") == "0.0.0"


def test_a_tag_of_llama_cpp_is_its_build_number(tmp_path: Path) -> None:
    program(tmp_path / "bin/llama-server", "#!/bin/sh\necho 'version: 4610 (53debe6f)' >&2\n")
    assert engines.prove(LLAMA_CPP, str(tmp_path), "b4610") == "4610"


DOES_NOT_RUN = {
    "another architecture": ("\x7fELF not for this machine", "does not run on this host"),
    "says nonsense": ("#!/bin/sh\necho hello; exit 3\n", "it says: hello"),
    "says nothing": ("#!/bin/sh\nexit 3\n", r"nothing \(exit 3\)"),
}


@pytest.mark.parametrize(("text", "message"), DOES_NOT_RUN.values(), ids=DOES_NOT_RUN.keys())
def test_a_program_that_does_not_answer_is_refused(tmp_path: Path, text: str, message: str) -> None:
    program(tmp_path / "bin/ollama", text)
    with pytest.raises(InstallProblem, match=message):
        engines.prove(OLLAMA, str(tmp_path), "0.5.7")


def test_an_add_on_lands_over_the_release(tmp_path: Path) -> None:
    program(tmp_path / "tree/bin/ollama", "x")
    (tmp_path / "extra/lib/ollama/rocm_v6").mkdir(parents=True)
    (tmp_path / "extra/lib/ollama/rocm_v6/libhip.so.6").write_text("library")
    os.symlink("libhip.so.6", tmp_path / "extra/lib/ollama/rocm_v6/libhip.so")
    with Directory.open(str(tmp_path / "tree")) as tree, Directory.open(str(tmp_path / "extra")) as extra:
        engines.add(OLLAMA, tree, extra)
    assert (tmp_path / "tree/lib/ollama/rocm_v6/libhip.so").read_text() == "library"
    assert (tmp_path / "tree/bin/ollama").is_file()


def test_an_add_on_of_llama_cpp_lies_beside_the_programs(tmp_path: Path) -> None:
    program(tmp_path / "tree/bin/llama-server", "x")
    program(tmp_path / "extra/cudart/libcudart.so.12", "x")
    with Directory.open(str(tmp_path / "tree")) as tree, Directory.open(str(tmp_path / "extra")) as extra:
        engines.add(LLAMA_CPP, tree, extra)
    assert (tmp_path / "tree/bin/libcudart.so.12").is_file()


def test_an_installation_by_install_sh_is_recognised_and_ours_is_not(tmp_path: Path) -> None:
    local, usr, root = tmp_path / "usr/local/bin", tmp_path / "usr/bin", tmp_path / "opt/ollama"
    places = [str(local), str(usr)]
    assert foreign.adoptable(OLLAMA, str(root), places) is None
    program(usr / "ollama", ollama_program("0.5.7").decode())
    assert foreign.adoptable(OLLAMA, str(root), places) == str(tmp_path / "usr")
    program(local / "ollama", ollama_program("0.5.7").decode())
    assert foreign.adoptable(OLLAMA, str(root), places) == str(tmp_path / "usr/local")
    program(root / "0.5.7/bin/ollama", ollama_program("0.5.7").decode())
    releases.switch(str(root), "0.5.7", {str(local / "ollama"): "bin/ollama"})
    assert foreign.adoptable(OLLAMA, str(root), [str(local)]) is None


def test_an_adopted_installation_is_a_version_that_runs_and_loses_no_library(tmp_path: Path) -> None:
    prefix, root = tmp_path / "usr/local", tmp_path / "opt/ollama"
    program(prefix / "bin/ollama", ollama_program("0.5.7").decode())
    (prefix / "lib/ollama/runners").mkdir(parents=True)
    (prefix / "lib/ollama/runners/libx.so.1").write_text("library")
    os.symlink("libx.so.1", prefix / "lib/ollama/runners/libx.so")
    assert install.adopt(OLLAMA, str(root), str(prefix), lambda _path, _digests: None) == "0.5.7"
    assert engines.prove(OLLAMA, str(root / "0.5.7"), "0.5.7") == "0.5.7"
    assert (root / "0.5.7/lib/ollama/runners/libx.so").read_text() == "library"
    assert (prefix / "bin/ollama").is_file()
