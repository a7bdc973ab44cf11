# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A byte that a disk changed after the download is found by reading, and the next run fetches the file again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download, proof
from ansible_collections.gguf.fleet.tests.builders.download import MIB, Model, request, served, sha256
from ansible_collections.gguf.fleet.tests.builders.download_fixtures import a_dest, a_ledger, a_model

__all__ = ["a_dest", "a_ledger", "a_model"]


def flip(path: Path) -> None:
    """One bit, with size and time of modification as they were."""
    status = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(status.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    path.chmod(0o444)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def states(found: list[proof.Proof]) -> dict[str, str]:
    return {Path(one.path).name: one.state for one in found}


@pytest.mark.parametrize("layout", ["merged", "shards"])
@pytest.mark.parametrize("pieces", [0, MIB], ids=["unsealed", "sealed"])
def test_a_flipped_byte_is_found_and_the_next_run_fetches_the_file_again(
    model: Model, ledger: Ledger, tmp_path: Path, layout: str, pieces: int
) -> None:
    told: list[tuple[int, int]] = []

    def proved(store: Path) -> dict[str, str]:
        found = proof.prove_files(
            [wanted], str(store), ledger, tell=lambda _phase, done, total: told.append((done, total))
        )
        return states(found)

    with served(model) as hub:
        wanted = request(model.lock(hub, sealed_pieces=pieces), tmp_path / "models" / "tiny.gguf", layout=layout)
        download.present(wanted, ledger)
        first = Path(wanted.paths[0])
        store = tmp_path / "store"
        (store / "blobs").mkdir(parents=True)
        blob = store / "blobs" / f"sha256-{sha256(first.read_bytes())}"
        os.link(first, blob)
        other = store / "blobs" / f"sha256-{sha256(b'template')}"
        other.write_bytes(b"template")
        # What the store's user puts there keeps nobody from reading the rest.
        trap = store / "blobs" / f"sha256-{'0' * 64}"
        os.mkfifo(trap)
        right = {**{Path(path).name: "right" for path in wanted.paths}, other.name: "right", trap.name: "unknown"}
        assert proved(store) == right, "what has two names is read once"
        assert told[-1][1] == sum(os.path.getsize(path) for path in wanted.paths) + len(b"template")

        flip(first)
        assert download.present(wanted, ledger).changed is False, "nothing else shows it"
        assert proved(store) == {**right, first.name: "wrong"}
        blob.unlink()
        assert download.present(wanted, ledger).changed is True
        assert proved(store) == right

    other.write_bytes(b"Template")
    first.unlink()
    assert proved(store) == {**right, other.name: "wrong", first.name: "missing"}
