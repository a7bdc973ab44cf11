# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A llama-fit-params that a header took over: what it may do, and what comes of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu import fit_params
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.fit_params import HeaderFile, Program, ask, find
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judge import JudgeProblem
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judge_cache import Cache
from ansible_collections.gguf.fleet.tests.attacks.conftest import ATTACKER, Canary

FILE = HeaderFile(b"GGUF header", 140 * 2**30)
ANSWER = "Host 1 2 3 "

Take = Callable[[str], Program]


@pytest.fixture
def taken_over(reachable: Path) -> Take:
    """A program that does this, as a shell does it; $model is the file that it was given."""

    def take(script: str) -> Program:
        path = reachable / "llama-fit-params"
        path.write_text(
            f'#!/bin/sh\nfor word; do [ "$before" = --model ] && model=$word; before=$word; done\n{script}\n'
        )
        path.chmod(0o755)
        return Program(str(path), "1", None)

    return take


def answer(program: Program) -> bytes:
    return ask(program, FILE, [], environment={})


def test_one_that_never_ends_is_killed_with_what_it_started(taken_over: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_params, "SECONDS", 2.0)
    started = time.monotonic()
    long = f"86400.{os.getpid()}"
    with pytest.raises(JudgeProblem, match="llama-fit-params did not end within 2 s"):
        answer(taken_over(f"sleep {long} & while :; do :; done"))
    # A killed process is gone a moment later.
    while any(long.encode() in command for command in _commands()):
        assert time.monotonic() - started < 20, "what it started is still there"
        time.sleep(0.1)


def _commands() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes()


def test_one_that_prints_gigabytes_is_killed_after_the_first_kilobytes(taken_over: Take) -> None:
    started = time.monotonic()
    with pytest.raises(JudgeProblem, match=f"wrote more than {fit_params.LIMIT_BYTES} bytes"):
        answer(taken_over("yes 'Host 1 2 3 '"))
    assert time.monotonic() - started < 20


def test_it_reads_no_file_of_root(taken_over: Take, canary: Canary) -> None:
    printed = answer(taken_over(f"cat {canary.path}; cat /etc/shadow; ls /root; id -un; echo '{ANSWER}'"))
    assert printed.decode().split("\n") == ["nobody", ANSWER, ""]
    canary.check()


def test_it_writes_nothing_nowhere(taken_over: Take, canary: Canary, reachable: Path) -> None:
    open_to_all = reachable / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    answer(
        taken_over(
            f"(echo x > {canary.path}); (rm -f {canary.path}); (echo x >> $0); (echo content > {open_to_all}/file); "
            f"(echo x >> $model); echo '{ANSWER}'"
        )
    )
    canary.check()
    assert all(path.stat().st_size == 0 for path in open_to_all.iterdir())


def test_the_header_cannot_be_changed_under_a_second_reader(taken_over: Take) -> None:
    code = (
        "import os, sys\n"
        "for flags in (os.O_RDWR, os.O_WRONLY):\n"
        "    try: os.open(sys.argv[1], flags); print('opened')\n"
        "    except OSError: pass\n"
        "print(os.stat(sys.argv[1]).st_size, open(sys.argv[1], 'rb').read(11))"
    )
    printed = answer(taken_over(f'/usr/bin/env python3 -S -c "{code}" $model')).decode()
    assert printed == f"{FILE.size_bytes} {FILE.header!r}\n"


def test_a_crash_is_told_with_harmless_words(taken_over: Take) -> None:
    with pytest.raises(JudgeProblem) as caught:
        answer(taken_over("printf 'error: \\033[2J\\033]0;owned\\007%9999s\\n' x >&2; kill -ABRT $$"))
    assert "was ended by signal 6" in str(caught.value)
    assert "\\x1b[2J" in str(caught.value) and "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_it_inherits_neither_secrets_nor_descriptors(taken_over: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    secret, other = os.pipe()
    os.set_inheritable(secret, True)
    printed = answer(taken_over("env; ls -l /proc/self/fd")).decode()
    os.close(secret)
    os.close(other)
    assert "hf_canary" not in printed
    assert f" {secret} -> pipe" not in printed


def _routes() -> int:
    return len(Path("/proc/self/net/route").read_text(encoding="ascii").splitlines())


@pytest.mark.skipif(_routes() < 2, reason="this machine has no route that could be taken away")
@pytest.mark.skipif(
    subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode != 0,
    reason="this container may not give a program a network of its own",
)
def test_it_has_no_network_of_the_host(taken_over: Take) -> None:
    assert int(answer(taken_over("wc -l < /proc/self/net/route"))) < 2


def test_a_program_that_tells_no_build_is_not_asked(taken_over: Take) -> None:
    with pytest.raises(JudgeProblem, match="prints no build"):
        find(taken_over("echo 'version: \x1b[2J'").path)


def test_the_answers_are_not_read_or_written_through_links_of_somebody_else(canary: Canary, attackers: Path) -> None:
    link = attackers / "judge.json"
    link.symlink_to(canary.path)
    os.lchown(link, ATTACKER, ATTACKER)
    answers = Cache(str(link))
    answers.put("key", b"Host 1 2 3 \n")
    answers.save()
    canary.check()
