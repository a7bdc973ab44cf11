# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every host needs is made where it is missing, and only there; its going leaves what is not ours."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._preflight import host

MIB = 2**20
CONTENT = b"NVML_SUCCESS = 0\n"


def wanted(place: Path, content: bytes = CONTENT, brought: bool = True) -> host.Wanted:
    return host.Wanted(
        str(place / "models"),
        str(place / "python"),
        pynvml_sha256=hashlib.sha256(content).hexdigest(),
        pynvml=content if brought else None,
    )


def test_a_check_tells_what_the_run_does_and_a_second_run_does_nothing(tmp_path: Path) -> None:
    told = host.prepare(wanted(tmp_path, brought=False), check=True)
    assert list(tmp_path.iterdir()) == []
    assert host.prepare(wanted(tmp_path), check=False) == told
    assert len(told.actions) == 2
    for check in (True, False):
        assert host.prepare(wanted(tmp_path, brought=False), check=check).actions == ()


def test_a_disk_without_room_is_told_with_the_bytes_and_what_lies_there_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GGUF_FLEET_LEDGER", str(tmp_path / "ledger.json"))
    monkeypatch.setattr(host, "free_bytes", lambda _place: 10 * MIB)
    models, store = tmp_path / "models", tmp_path / "store"
    (models / "org--repo").mkdir(parents=True)
    store.mkdir()

    def said(needed_bytes: int) -> list[str]:
        told = host.in_the_way([], str(models), needed_bytes, [str(store)])
        return [line for line in told if line.startswith(str(models))]

    assert said(10 * MIB) == []
    assert said(0) == []
    (line,) = said(12 * MIB)
    assert line == (
        f"{models} has 10.0 MiB free, and the models need at least 12.0 MiB more. "
        "Free space, or name a directory on a larger file system in host_models_dir."
    )
    # A file that is not whole, and a link to it in the store: its blocks count, not its length.
    partial = models / "org--repo/a.gguf.partial"
    with partial.open("wb") as file:
        file.write(b"x" * MIB)
        file.truncate(12 * MIB)
    os.link(partial, store / "sha256-a")
    assert host.present_bytes(str(models), str(store)) == MIB
    assert said(11 * MIB) == []
    assert "11.0 MiB more" in said(12 * MIB)[0]


def test_the_binding_is_brought_only_to_a_host_that_has_another_one(tmp_path: Path) -> None:
    assert host.lacks_pynvml(wanted(tmp_path, brought=False))
    host.prepare(wanted(tmp_path), check=False)
    file = tmp_path / "python/pynvml.py"
    assert not host.lacks_pynvml(wanted(tmp_path, brought=False))
    assert host.lacks_pynvml(wanted(tmp_path, content=b"newer", brought=False))
    file.chmod(0o666)
    assert host.lacks_pynvml(wanted(tmp_path, brought=False)), "others could have written it"
    assert host.prepare(wanted(tmp_path), check=False).actions
    assert (stat.S_IMODE(file.stat().st_mode), file.read_bytes()) == (0o644, CONTENT)


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_the_binding_can_be_read_by_all_and_written_by_root_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        host.prepare(wanted(tmp_path), check=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "python").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "python/pynvml.py").stat().st_mode) == 0o644


def test_a_host_that_is_only_looked_at_stays_as_it_is(tmp_path: Path) -> None:
    assert host.prepare(host.Wanted("", str(tmp_path / "python")), check=False).actions == ()
    assert list(tmp_path.iterdir()) == []
    seen = host.facts(str(tmp_path / "python"))
    assert seen["python"] == {"version": "{}.{}.{}".format(*sys.version_info[:3]), "executable": sys.executable}
    assert seen["memory_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_what_we_made_goes_with_the_ledger_and_the_rest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GGUF_FLEET_LEDGER", str(tmp_path / "state/ledger.json"))
    models = tmp_path / "models"
    models.mkdir()
    ours, hers = models / "r1.gguf", models / "hers.gguf"
    for file in (ours, hers):
        file.write_text(file.name)
    Ledger().record(str(ours), sha256="0" * 64, kind="file")
    told = host.clear(str(models), check=True)
    assert ours.exists()
    assert host.clear(str(models), check=False) == told
    assert told.actions == (f"remove {ours}", f"remove {tmp_path / 'state'}")
    assert told.stays == (str(hers),)
    assert not (tmp_path / "state").exists()
    assert host.clear(str(models), check=False).actions == ()


def test_files_of_an_earlier_directory_go_with_their_empty_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GGUF_FLEET_LEDGER", str(tmp_path / "state/ledger.json"))
    merged, shard = tmp_path / "old/repo/r1.gguf", tmp_path / "older/repo/r1/r1-00001-of-00002.gguf"
    read = tmp_path / "hers/read.gguf"
    for file in (merged, shard, read):
        file.parent.mkdir(parents=True)
        file.write_text(file.name)
        notes: dict[str, Any] = {} if file == read else {"lock": "l"}
        Ledger().record(str(file), sha256="0" * 64, kind="file", **notes)
    (tmp_path / "older/hers").write_text("hers")
    told = host.clear(str(tmp_path / "models"), check=True)
    assert told.actions == (f"remove {merged}", f"remove {shard}", f"remove {tmp_path / 'state'}")
    assert merged.exists()
    assert host.clear(str(tmp_path / "models"), check=False) == told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hers", "older"]
    assert [path.name for path in (tmp_path / "older").iterdir()] == ["hers"]
    assert read.exists()
