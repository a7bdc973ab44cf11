# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ctypes
import os
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._process.unproved import UnprovedProblem, run_unproved

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: gives up its rights")


def shell(script: str, **options: object) -> str:
    options.setdefault("seconds", 20)
    ended = run_unproved(["/bin/sh", "-c", script], **options)  # type: ignore[arg-type]
    assert ended.code == 0, ended
    return ended.stdout.decode()


def test_what_it_wrote_and_its_exit_code_are_told() -> None:
    ended = run_unproved(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], seconds=20)
    assert (ended.code, ended.stdout, ended.stderr) == (3, b"out\n", b"err\n")


@as_root
def test_it_is_nobody_in_no_group_and_cannot_become_more() -> None:
    assert shell("id -un; id -G; grep NoNewPrivs /proc/self/status").split() == ["nobody", "65534", "NoNewPrivs:", "1"]


@as_root
def test_it_reads_no_file_of_root_and_writes_none(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    secret.chmod(0o600)
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(0o755)
    ended = run_unproved(["/bin/sh", "-c", f"cat {secret}; echo x > /tmp/gguf-fleet-unproved-wrote"], seconds=20)
    assert ended.code != 0 and b"hidden" not in ended.stdout
    written = Path("/tmp/gguf-fleet-unproved-wrote")
    assert not written.exists() or written.stat().st_size == 0
    written.unlink(missing_ok=True)


def test_nothing_of_our_environment_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hidden")
    assert "hidden" not in shell("env")
    assert "OLLAMA_HOST=127.0.0.1:1" in shell("env", environment={"OLLAMA_HOST": "127.0.0.1:1"})


def test_one_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(UnprovedProblem, match="did not end within 1 s"):
        run_unproved(["/bin/sh", "-c", "sleep 4711 & sleep 4711"], seconds=1)
    assert time.monotonic() - started < 20
    assert "sleep\x004711" not in "".join(
        path.read_text(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()
    )


def test_a_child_that_holds_its_pipes_open_does_not_keep_us() -> None:
    started = time.monotonic()
    assert shell("sleep 600 & echo version 1") == "version 1\n"
    assert time.monotonic() - started < 15


def test_one_that_writes_without_end_is_killed() -> None:
    with pytest.raises(UnprovedProblem, match="wrote more than 1000 bytes"):
        run_unproved(["/bin/sh", "-c", "while :; do echo yes; done"], seconds=20, limit_bytes=1000)


def test_one_that_takes_all_memory_fails_alone() -> None:
    code = "import sys; sys.stdout.write(str(len(bytearray(2**29))))"
    ended = run_unproved(["/usr/bin/env", "python3", "-c", code], seconds=30, memory_bytes=2**27)
    assert ended.code != 0 and b"MemoryError" in ended.stderr


def test_a_program_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UnprovedProblem, match="cannot be started as an unprivileged user"):
        run_unproved([str(tmp_path / "none")], seconds=5)


_LISTENS = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
print(len(open("/proc/net/route").readlines()))  # its title alone: no way out
"""


def _can_have_a_network() -> bool:
    return subprocess.run(["unshare", "--user", "--net", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _can_have_a_network(), reason="the kernel gives users no network of their own here")
@pytest.mark.parametrize("user_id", [os.geteuid(), 1000])
def test_programs_that_talk_to_each_other_do_so_on_a_loopback_of_their_own(
    monkeypatch: pytest.MonkeyPatch, user_id: int
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user_id)
    ended = run_unproved(["/usr/bin/env", "python3", "-S", "-c", _LISTENS], seconds=20, loopback=True)
    assert (ended.code, ended.stdout) == (0, b"1\n"), ended


def test_without_a_network_of_its_own_nothing_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Refusing:
        def unshare(self, _flags: int) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_names, **_options: Refusing())
    with pytest.raises(UnprovedProblem, match="in a network of its own"):
        run_unproved(["/bin/sh", "-c", f"touch {tmp_path}/started"], seconds=20, loopback=True)
    assert not (tmp_path / "started").exists()
