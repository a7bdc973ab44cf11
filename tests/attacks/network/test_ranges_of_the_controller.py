# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that asks the controller for other bytes than those of its own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.controller import Want, wants_in
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request
from ansible_collections.gguf.fleet.plugins.plugin_utils.sending import Sending

NAME = "0123abcd-7"


def request(path: Path) -> Request:
    file = {"path": "a.gguf", "size_bytes": 100, "sha256": None, "url": path.as_uri(), "header_bytes": 10}
    return Request(lock={"files": [file]}, dest="/srv/models/a.gguf")


@pytest.mark.parametrize(
    "asked",
    [
        f"{NAME}.want 1 0 10",
        f"{NAME}.want 0 95 10",
        f"{NAME}.want 0 0 0",
        f"{NAME}.want 0 -1 10",
        f"{NAME}.want 0 0 10; id",
        "../x.want 0 0 10",
        "$(id).want 0 0 10",
        "0123abcd-7.want 0 0 \u0661",
    ],
)
def test_a_host_gets_nothing_but_ranges_of_the_files_of_its_lock(asked: str, tmp_path: Path) -> None:
    assert wants_in(asked, request(tmp_path / "a.gguf").files) == []


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder, secret = tmp_path / "quants", tmp_path / "secret"
    folder.mkdir()
    secret.write_bytes(b"s" * 100)
    (folder / "a.gguf").symlink_to(secret)
    with pytest.raises(Problem, match=f"names {secret}, which is not in {folder}"):
        Sending(str(folder), request(folder / "a.gguf")).read(Want(NAME, 0, 0, 10))
