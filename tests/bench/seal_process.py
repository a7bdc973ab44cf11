# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seals of the shards in a folder, each as a process of its own, without site packages.

seal_process.py write LOCK FOLDER: measures all shards of the folder and writes a sealed lock.
seal_process.py measure LOCK FOLDER: measures them again, as gguf_seal does.
seal_process.py verify LOCK FOLDER: proves them by the seal, as gguf_download does with files that are there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._lock.measure import measure
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.existing import prove
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import plan_shards


def bare_lock(folder: Path) -> dict[str, Any]:
    paths = sorted(folder.glob("*.gguf"))
    files = [{"path": path.name, "size_bytes": path.stat().st_size, "sha256": None, "url": str(path)} for path in paths]
    return {"lock_version": 1, "repo": None, "files": files}


def sealed(lock: dict[str, Any], folder: Path) -> dict[str, Any]:
    seal = measure(lock, str(folder), "shards", HttpClient())
    files = [{**file, "sha256": seal["files"][file["path"]]} for file in lock["files"]]
    return {**lock, "files": files, "seal": {"piece_bytes": seal["piece_bytes"], "pieces": seal["pieces"]}}


def main(what: str, lock_file: str, folder: str) -> None:
    if what == "write":
        Path(lock_file).write_text(json.dumps(sealed(bare_lock(Path(folder)), Path(folder))), encoding="utf-8")
        return
    lock = json.loads(Path(lock_file).read_text(encoding="utf-8"))
    if what == "measure":
        sealed(lock, Path(folder))
        return
    plan = plan_shards(lock, folder)
    if prove(plan, [output.path for output in plan.outputs], lambda _status: None) is None:
        raise SystemExit("The shards are not those of the lock.")


if __name__ == "__main__":
    main(*sys.argv[1:])
