# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table at the end of an upgrade or a rollback in batches."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.gguf.fleet.plugins.module_utils._report.versions import table

OLD, NEW = "0.5.7", "0.33.2"
UPGRADED: Dict[str, Any] = {
    "__ollama_info": {"current": OLD},
    "__ollama_installed": {"version": NEW, "changed": True},
    "__ollama_served": {"changed": True, "health": {"version": NEW, "model": "r1", "gpu_share": 1.0}},
}
SAME: Dict[str, Any] = {
    "__ollama_info": {"current": NEW},
    "__ollama_installed": {"version": NEW},
    "__ollama_served": {"changed": False},
}
BROKEN: Dict[str, Any] = {
    "__ollama_info": {"current": OLD},
    "__ollama_installed": {"version": NEW, "changed": True},
    "__ollama_served": {"failed": True, "msg": "r1 gives no answer. ollama was put back and serves again."},
}


def test_it_is_printed_once_after_the_last_host() -> None:
    assert table(["a", "b"], {"a": UPGRADED, "b": {}}, ["a", "b"]) == []
    assert table(["a", "b"], {"a": UPGRADED, "b": SAME}, ["a", "b"]) == [
        "host  engine  from    to      answer",
        "a     Ollama  0.5.7   0.33.2  r1 answers",
        "b     Ollama  0.33.2  0.33.2  unchanged",
    ]


def test_a_failure_ends_it_and_tells_who_was_not_begun() -> None:
    assert table(["a", "b"], {"a": BROKEN, "b": {}}, ["b"]) == [
        "host  engine  from   to     answer",
        "a     Ollama  0.5.7  0.5.7  FAILED",
        "b     -       -      -      not begun, since an earlier host failed",
        "FAILED: a: r1 gives no answer. ollama was put back and serves again.",
    ]


def test_after_a_rollback_it_says_what_the_next_run_would_do() -> None:
    back = {
        "__ollama_info": {"current": NEW},
        "__ollama_installed": {"version": OLD},
        "__ollama_served": {"changed": True, "health": {"version": OLD, "model": ""}},
    }
    again = "Set ollama_version: 0.5.7 for a, or the next run of site.yml upgrades again."
    assert table(["a"], {"a": {**back, "ollama_version": NEW}}, ["a"], back=True)[-1] == again
    assert table(["a"], {"a": {**back, "ollama_version": OLD}}, ["a"], back=True)[-1].endswith("serves")
