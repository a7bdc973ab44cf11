# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our reader against llama.cpp's own: the same verdict for every class of file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, read_header
from ansible_collections.gguf.fleet.tests.conformance.gguf.classes import CLASSES, STRICTER
from ansible_collections.gguf.fleet.tests.fixtures_assets import ProgramInImage

pytestmark = pytest.mark.docker

JUDGE = Path(__file__).parent / "judge.c"


@pytest.fixture(scope="module")
def verdicts(judge: ProgramInImage, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What llama.cpp says, by class."""
    folder = tmp_path_factory.mktemp("classes")
    shutil.copy(JUDGE, folder)
    files = {**CLASSES, **{name: content for name, (content, _why) in STRICTER.items()}}
    for name, content in files.items():
        (folder / f"{name}.gguf").write_bytes(content)
    script = "cc -Wall -Werror -O1 judge.c -o judge -lggml-base && exec ./judge *.gguf 2>judge.log"
    run = judge(["sh", "-c", script], cwd=folder)
    assert run.returncode == 0, run.stderr
    pairs = [line.split(" ", 1) for line in run.stdout.splitlines()]
    said = {name[: -len(".gguf")]: word for word, name in pairs}
    assert said.keys() == files.keys()
    return said


def our_verdict(content: bytes, folder: Path) -> str:
    path = folder / "file.gguf"
    path.write_bytes(content)
    try:
        read_header(str(path))
    except GgufError:
        return "reject"
    return "accept"


@pytest.mark.parametrize("name", CLASSES)
def test_verdict_is_that_of_llama_cpp(name: str, verdicts: dict[str, str], tmp_path: Path) -> None:
    # a file that makes llama.cpp abort is one to refuse, too
    expected = "accept" if verdicts[name] == "accept" else "reject"
    assert our_verdict(CLASSES[name], tmp_path) == expected


@pytest.mark.parametrize("name", STRICTER)
def test_we_refuse_what_llama_cpp_should(name: str, verdicts: dict[str, str], tmp_path: Path) -> None:
    content, _why = STRICTER[name]
    assert our_verdict(content, tmp_path) == "reject"
    assert verdicts[name] == "accept", "llama.cpp refuses it, too: move it to CLASSES"


def test_both_verdicts_occur_often(verdicts: dict[str, str]) -> None:
    said = [verdicts[name] for name in CLASSES]
    assert said.count("accept") >= 20
    assert said.count("reject") >= 40
