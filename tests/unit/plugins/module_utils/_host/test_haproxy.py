# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can run HAProxy, by programs that answer as the real ones do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._host import haproxy

KNOWN = "haproxy:\\n  Installed: (none)\\n  Candidate: 2.6.12-1+deb12u2\\n  Version table:\\n"
UNKNOWN = "haproxy:\\n  Installed: (none)\\n  Candidate: (none)\\n  Version table:\\n"


def program(folder: Path, name: str, says: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\nprintf '{says}'\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's only programs, as far as they are looked for."""
    monkeypatch.setattr(
        haproxy, "find_program", lambda name: str(tmp_path / name) if (tmp_path / name).exists() else None
    )
    return tmp_path


@pytest.mark.parametrize("version", ["2.4.22", "2.6.12-1+deb12u2", "3.2.5"])
def test_one_that_is_new_enough_is_taken(programs: Path, version: str) -> None:
    program(programs, "haproxy", f"HAProxy version {version} 2024/01/01\\n")
    haproxy.refuse_without()


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("HA-Proxy version 2.0.33 2023/07/01\\n", "is HAProxy 2.0, and 2.4 or later is needed. Take a newer release"),
        ("HAProxy version 2.3.21-1 2022/07/27\\n", "is HAProxy 2.3, and 2.4 or later is needed"),
        ("usage\\n", "does not print its version"),
    ],
)
def test_one_that_is_too_old_is_refused_with_the_way_out(programs: Path, says: str, words: str) -> None:
    program(programs, "haproxy", says)
    with pytest.raises(haproxy.HaproxyProblem, match=words):
        haproxy.refuse_without()


def test_a_missing_one_is_refused_only_where_apt_knows_none(programs: Path) -> None:
    # Other package managers are not asked.
    haproxy.refuse_without()
    program(programs, "apt-cache", KNOWN)
    haproxy.refuse_without()
    for says in (UNKNOWN, ""):
        program(programs, "apt-cache", says)
        with pytest.raises(haproxy.HaproxyProblem, match="or install the package haproxy"):
            haproxy.refuse_without()
