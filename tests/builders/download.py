# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small split model on a hub double, and downloads of it in this process or in one that can be killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import parse_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import hub_secrets
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.pacing import Pace
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import Access
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.pipeline import Settings
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import MERGED
from ansible_collections.gguf.fleet.tests.builders import gguf as builders
from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble

MIB = 1 << 20
REPO = "lab/Tiny-GGUF"
FOLDER = "Q1"
COLLECTIONS = Path(__file__).resolve().parents[2] / ".collections"


@dataclass
class Model:
    """Shards in the folder that a hub double serves, and what their merge must be."""

    root: Path
    shards: List[bytes]
    merged: bytes
    paths: List[str] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.shards))

    def lock(
        self,
        hub: Optional[HubDouble] = None,
        *,
        sealed_pieces: int = 0,
        digests: bool = True,
        header_digests: bool = True,
    ) -> Dict[str, Any]:
        files = []
        for path, content in zip(self.paths, self.shards):
            header = parse_header(content)
            files.append(
                {
                    "path": path,
                    "size_bytes": len(content),
                    "sha256": sha256(content) if digests else None,
                    "url": hub.file_url(REPO, path) if hub else (self.root / REPO / path).as_uri(),
                    "header_bytes": header.header_bytes,
                    "header_sha256": sha256(header.raw) if header_digests else None,
                }
            )
        lock: Dict[str, Any] = {
            "lock_version": 1,
            "hub": "modelscope" if hub else "path",
            "endpoint": hub.url if hub else None,
            "repo": None,
            "revision": None,
            "commit": None,
            "quant": "Q1",
            "files": files,
            "gguf": {},
            "merged": {"size_bytes": len(self.merged), "sha256": None},
        }
        if sealed_pieces:
            lock["merged"]["sha256"] = sha256(self.merged)
            lock["seal"] = {
                "piece_bytes": sealed_pieces,
                "pieces": {
                    path: [sha256(content[at : at + sealed_pieces]) for at in range(0, len(content), sealed_pieces)]
                    for path, content in zip(self.paths, self.shards)
                },
            }
        return lock


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def another(lock: Mapping[str, Any]) -> Dict[str, Any]:
    """The same bytes as another model: a host that has the first one does not take it for this one."""
    return {**lock, "files": [{**file, "path": f"another/{file['path']}"} for file in lock["files"]]}


def make_model(root: Path, *, shards: int = 3, shard_bytes: int = 6 * MIB, gap: bytes = b"\0") -> Model:
    """Tensors of odd sizes, so that shards and merged file have gaps in them."""
    seeded = random.Random(shards * shard_bytes)
    groups = []
    for shard in range(shards):
        sizes = [shard_bytes // 3 + 5, shard_bytes // 3 - 31, shard_bytes // 3 + 17]
        groups.append(
            [
                builders.Tensor(f"blk.{shard}.{number}.weight", (size,), "I8", data=seeded.randbytes(size))
                for number, size in enumerate(sizes)
            ]
        )
    contents = builders.split_set(groups, gap=gap)
    folder = root / REPO / FOLDER
    folder.mkdir(parents=True)
    names = [builders.shard_name(index, shards, "tiny") for index in range(shards)]
    for name, content in zip(names, contents):
        (folder / name).write_bytes(content)
    return Model(root, contents, _merge(contents), [f"{FOLDER}/{name}" for name in names])


def _merge(contents: Sequence[bytes]) -> bytes:
    layout = merge_layout([parse_header(content) for content in contents])
    merged = bytearray(layout.size_bytes)
    merged[: len(layout.header)] = layout.header
    for segment in layout.segments:
        merged[segment.dest_offset : segment.dest_offset + segment.length_bytes] = contents[segment.shard][
            segment.source_offset : segment.source_offset + segment.length_bytes
        ]
    return bytes(merged)


@contextlib.contextmanager
def served(model: Model, *faults: Fault, **options: Any) -> Iterator[HubDouble]:
    with HubDouble(model.root, faults=list(faults), **options) as hub:
        yield hub


def request(
    lock: Dict[str, Any],
    dest: Path,
    *,
    layout: str = MERGED,
    mirrors: Sequence[str] = (),
    find_in: Sequence[str] = (),
    connections: Optional[int] = 4,
    timeout_seconds: float = 1.0,
    retries: int = 3,
    pace: Optional[Pace] = None,
    token: Optional[str] = None,
    **access: Any,
) -> download.Request:
    return download.Request(
        lock=lock,
        dest=str(dest),
        layout=layout,
        mirrors=tuple(mirrors),
        find_in=tuple(find_in),
        access=Access(hub_secrets(lock, token), timeout_seconds=timeout_seconds, **access),
        settings=Settings(connections=connections, retries=retries, pace=pace or Pace()),
    )


def leftovers(dest: Path) -> List[str]:
    """What a transfer left beside its output."""
    return sorted(path.name for path in dest.parent.glob("*.partial*"))


_CHILD = """
import json, os, sys
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.pipeline import Settings
wanted = json.loads(sys.argv[1])
request = download.Request(
    lock=wanted["lock"], dest=wanted["dest"], layout=wanted["layout"],
    settings=Settings(connections=wanted["connections"]),
)
answer = {"pid": os.getpid(), "seen": ""}
def see(status):
    answer["seen"] = answer["seen"] or status.message
try:
    result = download.present(request, Ledger(wanted["ledger"]), tick=see)
    answer.update(changed=result.changed, bytes_moved=result.bytes_moved, actions=result.actions)
except TransferError as error:
    answer.update(reason=error.reason, problem=error.problem)
print(json.dumps(answer))
"""


def child_command(wanted: download.Request, ledger: Ledger) -> List[str]:
    """The download as a program of its own; it needs COLLECTIONS as PYTHONPATH."""
    arguments = {
        "lock": wanted.lock,
        "dest": wanted.dest,
        "layout": wanted.layout,
        "connections": wanted.settings.connections,
        "ledger": ledger.path,
    }
    return [sys.executable, "-c", _CHILD, json.dumps(arguments)]


def spawn(wanted: download.Request, ledger: Ledger, home: Optional[Path] = None) -> subprocess.Popen[str]:
    """The download in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
    if home is not None:
        environment["HOME"] = str(home)
    return subprocess.Popen(child_command(wanted, ledger), stdout=subprocess.PIPE, env=environment, text=True)
