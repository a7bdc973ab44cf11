# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A transfer of two small files laid out on a real disk, for tests of its parts."""

from __future__ import annotations

import contextlib
import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import Storage
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import Journal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import BLOCK_BYTES, Plan, plan_shards
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.window import Window

SIZES = (3 * BLOCK_BYTES + 1000, BLOCK_BYTES + 7)


@dataclass
class Laid:
    """The files' bytes, where they come from and where they go."""

    contents: List[bytes]
    originals: List[Path]
    plan: Plan
    journal: Journal
    storage: Storage

    def bytes_of(self, block: int) -> bytes:
        file, offset, length = self.plan.locate(block)
        return self.contents[file][offset : offset + length]

    def window(self, buffers: int) -> Window:
        return Window(self.plan, self.storage, bytes(self.journal.states), buffers)

    def write(self, block: int) -> None:
        file, offset, _length = self.plan.locate(block)
        self.storage.write(file, offset, memoryview(self.bytes_of(block)))

    def fetched(self) -> List[bytes]:
        return [Path(output.partial).read_bytes() for output in self.plan.outputs]


@contextlib.contextmanager
def laid_out(folder: Path) -> Iterator[Laid]:
    seeded = random.Random(1)
    contents = [b"GGUF" + seeded.randbytes(size - 4) for size in SIZES]
    (folder / "from").mkdir()
    (folder / "to").mkdir()
    originals = [folder / f"from/m-{index}.gguf" for index in range(len(contents))]
    for path, content in zip(originals, contents):
        path.write_bytes(content)
    files = [
        {
            "path": path.name,
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "url": path.as_uri(),
        }
        for path, content in zip(originals, contents)
    ]
    plan = plan_shards({"files": files}, str(folder / "to"))
    journal = Journal.create(str(folder / "to/journal"), plan.files, plan.layout, plan.block_count, [])
    storage = Storage.open(plan, journal)
    try:
        yield Laid(contents, originals, plan, journal, storage)
    finally:
        storage.close()
        journal.close()
