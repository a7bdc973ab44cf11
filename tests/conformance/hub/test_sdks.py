# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hubs' own SDKs list and download from the hub double, so that it stays honest."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble

REPO = "lab/Tiny-GGUF"
SHARDS = {f"Q1/tiny-0000{number}-of-00002.gguf": random.Random(number).randbytes(2_500_000) for number in (1, 2)}


@pytest.fixture(name="hub", params=[False, True], ids=["direct", "redirected"])
def a_hub(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[HubDouble]:
    for path, content in SHARDS.items():
        location = tmp_path / "hub" / REPO / path
        location.parent.mkdir(parents=True, exist_ok=True)
        location.write_bytes(content)
    (tmp_path / "hub" / REPO / "README.md").write_text("A tiny model.\n")
    with HubDouble(tmp_path / "hub", cdn=request.param) as hub:
        yield hub


def run_sdk(tmp_path: Path, hub: HubDouble, program: str, **environment: str) -> Any:
    """Run a program in its own process (SDKs read their settings at import) and home; its last line is JSON."""
    settings = {
        "HOME": str(tmp_path / "home"),
        "PATH": os.environ["PATH"],
        "MODELSCOPE_ENDPOINT": hub.url,
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **environment,
    }
    (tmp_path / "home").mkdir(exist_ok=True)
    source = f"import json, os\nREPO = {REPO!r}\nDIR = {str(tmp_path / 'out')!r}\n{program}"
    done = subprocess.run(
        [sys.executable, "-c", source], env=settings, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def assert_downloaded(folder: Path) -> None:
    for path, content in SHARDS.items():
        assert (folder / path).read_bytes() == content


def test_modelscope_lists_sizes_sums_and_revisions(tmp_path: Path, hub: HubDouble) -> None:
    told = run_sdk(
        tmp_path,
        hub,
        """
from modelscope.hub.api import HubApi
from modelscope_hub import HubApi as Api
branches, tags = HubApi().get_model_branches_and_tags(REPO)
files = [[file.path, file.size, file.sha256] for file in Api().list_repo_files(REPO, "model") if not file.is_dir]
print(json.dumps({"branches": branches, "tags": tags, "files": files}))
""",
    )
    assert (told["branches"], told["tags"]) == (["master"], [])
    listed = {path: (size, sha256) for path, size, sha256 in told["files"]}
    for path, content in SHARDS.items():
        assert listed[path] == (len(content), hashlib.sha256(content).hexdigest())


def test_modelscope_downloads_one_file_and_a_folder(tmp_path: Path, hub: HubDouble) -> None:
    run_sdk(
        tmp_path,
        hub,
        """
from modelscope.hub.file_download import model_file_download
from modelscope.hub.snapshot_download import snapshot_download
model_file_download(REPO, "Q1/tiny-00001-of-00002.gguf", local_dir=DIR)
snapshot_download(REPO, allow_patterns=["Q1/*"], local_dir=DIR)
print(json.dumps(sorted(os.listdir(DIR))))
""",
    )
    assert_downloaded(tmp_path / "out")


def test_modelscope_downloads_in_parallel_ranges(tmp_path: Path, hub: HubDouble) -> None:
    run_sdk(
        tmp_path,
        hub,
        """
from modelscope.hub.snapshot_download import snapshot_download
snapshot_download(REPO, allow_patterns=["Q1/*"], local_dir=DIR)
print("null")
""",
        MODELSCOPE_DOWNLOAD_PARALLEL_WORKERS="4",
        MODELSCOPE_DOWNLOAD_PARALLEL_THRESHOLD_MB="1",
        MODELSCOPE_DOWNLOAD_PART_SIZE_MB="1",
    )
    assert_downloaded(tmp_path / "out")
    assert any(request.status == 206 and request.body_bytes > 1_000_000 for request in hub.requests)


def test_modelscope_resumes_after_a_reset_and_notices_a_flipped_byte(tmp_path: Path, hub: HubDouble) -> None:
    hub.inject(Fault("reset", "*00001*", times=1, after_bytes=1_000_000), Fault("flip", "*00002*", times=1, offset=5))
    run_sdk(
        tmp_path,
        hub,
        """
from modelscope.hub.snapshot_download import snapshot_download
snapshot_download(REPO, allow_patterns=["Q1/*"], local_dir=DIR)
print("null")
""",
    )
    assert_downloaded(tmp_path / "out")
    assert (hub.faults.acted("reset"), hub.faults.acted("flip")) == (1, 1)


def test_hugging_face_lists_and_downloads(tmp_path: Path, hub: HubDouble) -> None:
    told = run_sdk(
        tmp_path,
        hub,
        """
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
commit = HfApi().model_info(REPO).sha
files = {file.path: [file.size, file.lfs.sha256] for file in
         HfApi().list_repo_tree(REPO, recursive=True, revision=commit) if getattr(file, "lfs", None)}
hf_hub_download(REPO, "Q1/tiny-00001-of-00002.gguf", local_dir=DIR)
snapshot_download(REPO, allow_patterns=["Q1/*"], local_dir=DIR)
print(json.dumps({"commit": commit, "files": files}))
""",
    )
    assert len(told["commit"]) == 40
    expected = {path: [len(content), hashlib.sha256(content).hexdigest()] for path, content in SHARDS.items()}
    assert told["files"] == expected
    assert_downloaded(tmp_path / "out")


def test_modelscope_finds_the_files_behind_the_cut_of_the_listing(tmp_path: Path) -> None:
    for number in range(3050):
        folder = tmp_path / "hub" / REPO / f"notes-{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.txt").touch()
    with HubDouble(tmp_path / "hub") as hub:
        count = run_sdk(
            tmp_path,
            hub,
            """
from modelscope_hub import HubApi
print(len([file for file in HubApi().list_repo_files(REPO, "model") if not file.is_dir]))
""",
        )
    assert count == 3050
