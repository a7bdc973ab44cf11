# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host has under another name is never fetched again: it is found by its digest, without being named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download
from ansible_collections.gguf.fleet.tests.builders.download import MIB, Model, leftovers, request, served, sha256
from ansible_collections.gguf.fleet.tests.builders.download_fixtures import a_dest, a_ledger, a_model

__all__ = ["a_dest", "a_ledger", "a_model"]


def stored(dest: Path, ledger: Ledger, store: Path) -> Path:
    """The file's link in a store of Ollama, as ollama_model makes and notes it."""
    digest = sha256(dest.read_bytes())
    blob = store / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(parents=True)
    os.link(dest, blob)
    ledger.record(str(blob), sha256=digest, kind="link", models_dir=str(store))
    return blob


@pytest.mark.parametrize("pieces", [0, MIB], ids=["unsealed", "sealed"])
def test_a_merged_file_that_was_deleted_comes_back_from_its_blob_without_a_byte_of_the_network(
    model: Model, ledger: Ledger, dest: Path, tmp_path: Path, pieces: int
) -> None:
    with served(model) as hub:
        wanted = request(model.lock(hub, sealed_pieces=pieces), dest)
        download.present(wanted, ledger)
    blob = stored(dest, ledger, tmp_path / "store")
    dest.unlink()
    # The hub is gone: nothing can come from there.
    planned = download.present(wanted, ledger, check=True)
    assert (planned.changed, planned.bytes_to_move, dest.exists()) == (True, 0, False)
    (made,) = download.present_all([wanted], ledger)
    assert isinstance(made, download.Result)
    assert (made.changed, made.bytes_moved, made.actions) == (True, 0, planned.actions)
    assert str(blob) in made.actions[0]
    assert os.path.samefile(dest, blob)
    assert download.present(wanted, ledger).changed is False
    assert leftovers(dest) == []


def test_another_name_of_the_same_quant_is_a_link_whatever_its_lock_knows(
    model: Model, ledger: Ledger, dest: Path, tmp_path: Path
) -> None:
    with served(model) as hub:
        download.present(request(model.lock(hub, sealed_pieces=MIB), dest), ledger)
        other = request(model.lock(hub), tmp_path / "moved" / "other.gguf")
    (made,) = download.present_all([other], ledger)
    assert isinstance(made, download.Result)
    assert made.bytes_moved == 0
    assert os.path.samefile(dest, other.dest)


def test_what_others_could_have_changed_since_is_not_linked(
    model: Model, ledger: Ledger, dest: Path, tmp_path: Path
) -> None:
    with served(model) as hub:
        wanted = request(model.lock(hub, sealed_pieces=MIB), dest)
        download.present(wanted, ledger)
        blob = stored(dest, ledger, tmp_path / "store")
        dest.unlink()
        blob.chmod(0o666)
        made = download.present(wanted, ledger)
        assert made.changed
        assert not os.path.samefile(dest, blob)
    assert dest.read_bytes() == model.merged
