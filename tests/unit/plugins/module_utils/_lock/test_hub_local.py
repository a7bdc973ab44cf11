# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find before fetch: where a host may have the files already."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._lock.existing_files import (
    MERGED,
    default_caches,
    local_copies,
)
from ansible_collections.gguf.fleet.tests.builders.listings import a_lock

FOLDER = "DeepSeek-R1-UD-IQ1_S"
FIRST = f"{FOLDER}/{FOLDER}-00001-of-00003.gguf"


def put(path: Path, size_bytes: int = 1000) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size_bytes))
    return str(path)


@pytest.fixture(name="lock")
def a_small_lock() -> Dict[str, Any]:
    return a_lock(size_bytes=1000, merged={"size_bytes": 2900, "sha256": "d" * 64})


@pytest.mark.parametrize(
    ("place", "where", "found_in"),
    [
        ("nfs/" + FIRST, {"folders": ["nfs"]}, "folder "),
        ("nfs/" + FIRST.rpartition("/")[2], {"folders": ["nfs"]}, "folder "),
        ("nfs/unsloth/DeepSeek-R1-GGUF/" + FIRST, {"folders": ["nfs"]}, "folder "),
        ("nfs/unsloth--DeepSeek-R1-GGUF/" + FIRST, {"folders": ["nfs"]}, "folder "),
        (
            "ms/models/unsloth--DeepSeek-R1-GGUF/snapshots/master/" + FIRST,
            {"modelscope_caches": ["ms"]},
            "ModelScope cache",
        ),
        ("ms/hub/models/unsloth/DeepSeek-R1-GGUF/" + FIRST, {"modelscope_caches": ["ms"]}, "ModelScope cache"),
        ("ms/hub/unsloth/DeepSeek-R1-GGUF/" + FIRST, {"modelscope_caches": ["ms"]}, "ModelScope cache"),
        (
            f"hf/models--unsloth--DeepSeek-R1-GGUF/snapshots/{'a' * 40}/{FIRST}",
            {"huggingface_caches": ["hf"]},
            "Hugging Face cache",
        ),
    ],
)
def test_a_shard_is_found_where_sdks_and_people_leave_it(
    tmp_path: Path, lock: Dict[str, Any], place: str, where: Dict[str, List[str]], found_in: str
) -> None:
    path = put(tmp_path / place)
    places = {key: [str(tmp_path / folder) for folder in folders] for key, folders in where.items()}
    (copy,) = local_copies(lock, **places)  # type: ignore[arg-type]
    assert (copy.file, copy.path, copy.size_bytes) == (0, path, 1000)
    assert copy.found_in.startswith(found_in)


def test_a_repository_with_dots_is_found_under_the_old_sdks_spelling(tmp_path: Path, lock: Dict[str, Any]) -> None:
    put(tmp_path / "hub/models/unsloth/DeepSeek-V3___1-GGUF" / FIRST)
    lock["repo"] = "unsloth/DeepSeek-V3.1-GGUF"
    assert len(local_copies(lock, modelscope_caches=[str(tmp_path)])) == 1


def test_blobs_are_found_by_their_sum(tmp_path: Path, lock: Dict[str, Any]) -> None:
    digest = lock["files"][1]["sha256"]
    put(tmp_path / "hf/models--unsloth--DeepSeek-R1-GGUF/blobs" / digest)
    put(tmp_path / "ollama/blobs" / f"sha256-{'d' * 64}", 2900)
    found = local_copies(lock, huggingface_caches=[str(tmp_path / "hf")], ollama_stores=[str(tmp_path / "ollama")])
    assert [(copy.file, copy.found_in) for copy in found] == [(1, "Hugging Face cache"), (MERGED, "Ollama store")]


def test_an_earlier_merge_is_found_by_the_shards_common_name(tmp_path: Path, lock: Dict[str, Any]) -> None:
    put(tmp_path / f"{FOLDER}.gguf", 2900)
    (copy,) = local_copies(lock, folders=[str(tmp_path)])
    assert copy.file == MERGED


def test_a_file_of_another_size_or_a_folder_is_no_copy(tmp_path: Path, lock: Dict[str, Any]) -> None:
    put(tmp_path / FIRST, 999)
    (tmp_path / f"{FOLDER}.gguf").mkdir()
    assert local_copies(lock, folders=[str(tmp_path)]) == []


def test_a_single_file_is_its_own_merge_and_listed_once(tmp_path: Path) -> None:
    lock = a_lock(count=1, size_bytes=1000, merged={"size_bytes": 1000, "sha256": None})
    put(tmp_path / lock["files"][0]["path"])
    assert [copy.file for copy in local_copies(lock, folders=[str(tmp_path), str(tmp_path)])] == [0]


def test_the_caches_are_where_the_sdks_settings_put_them() -> None:
    assert default_caches("/home/me", {}) == {
        "modelscope_caches": ["/home/me/.cache/modelscope"],
        "huggingface_caches": ["/home/me/.cache/huggingface/hub"],
    }
    moved = default_caches("/root", {"MODELSCOPE_CACHE": "/ms", "HF_HOME": "/hf", "XDG_CACHE_HOME": "/x"})
    assert moved == {"modelscope_caches": ["/ms"], "huggingface_caches": ["/hf/hub"]}
    assert default_caches("/root", {"HF_HUB_CACHE": "/hub"})["huggingface_caches"] == ["/hub"]
