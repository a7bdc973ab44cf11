# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of allowed paths."""

from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.paths import (
    CHECK_PATHS,
    NATIVE_PATHS,
    OPENAI_PATH_OF,
    OPENAI_PATHS,
)

CHANGING = (
    "pull",
    "push",
    "create",
    "copy",
    "delete",
    "blobs",
    "signout",
    "slots",
    "props",
    "lora",
    "load",
    "tools",
    "cors",
)


def test_nothing_that_changes_something_is_allowed() -> None:
    allowed = [*OPENAI_PATHS, *NATIVE_PATHS, *(path for paths in CHECK_PATHS.values() for path in paths)]
    assert [path for path in allowed for word in CHANGING if word in path] == []


def test_each_native_path_has_its_way_out() -> None:
    assert set(OPENAI_PATH_OF) == set(NATIVE_PATHS)
