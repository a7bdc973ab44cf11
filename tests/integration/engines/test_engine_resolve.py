# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_resolve over a mirror on loopback: check, run, run again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import checksums, resolve
from ansible_collections.gguf.fleet.tests.builders.archives import (
    ollama_tree,
    tar_bytes,
    tgz,
)
from ansible_collections.gguf.fleet.tests.integration.engines import resolving
from ansible_collections.gguf.fleet.tests.integration.engines.release_lab import Lab

NAME = "ollama-linux-amd64.tgz"


def publish(lab: Lab, name: str, content: bytes) -> str:
    """Puts an archive and its checksum on the mirror."""
    digest = hashlib.sha256(content).hexdigest()
    (lab.mirror / name).write_bytes(content)
    (lab.mirror / "sha256sum.txt").write_text(f"{digest}  ./{name}\n")
    return digest


def test_a_published_checksum_is_read_once_and_pinned_where_the_release_is_the_official_one(
    lab: Lab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digest = publish(lab, NAME, b"archive")
    monkeypatch.setitem(resolve.OFFICIAL, "ollama", lab.url + "/{asset}")
    pins = tmp_path / "pins"
    wanted = resolve.Wanted("ollama", "0.5.7", "https://mirror.example/{asset}", pins=str(pins))
    planned = resolve.plan(wanted, resolve.Host("amd64", True, ()))
    assert planned.archives == ({"asset": NAME, "sha256": digest},)
    assert planned.actions == [f"pin {NAME}: the release publishes its checksum"]
    assert not pins.exists()
    resolve.apply(planned, wanted.pins)
    assert pins.read_text() == planned.after == f"{digest}  v0.5.7/{NAME}\n"
    # From now on the pin counts, whatever the release says.
    publish(lab, NAME, b"another archive")
    again = resolve.plan(wanted, resolve.Host("amd64", True, ()))
    assert (again.archives, again.actions) == (planned.archives, [])


def test_two_hosts_that_pin_at_once_lose_nothing(tmp_path: Path) -> None:
    pins = str(tmp_path / "pins")
    checksums.pin(pins, "0.5.7", {"a.tgz": "a" * 64})
    checksums.pin(pins, "0.5.7", {"b.tgz": "b" * 64})
    checksums.pin(pins, "0.5.7", {"a.tgz": "c" * 64})
    assert checksums.pinned(checksums.read_pins(pins), "0.5.7") == {"a.tgz": "a" * 64, "b.tgz": "b" * 64}


def test_a_mirror_vouches_for_itself_only_when_it_is_trusted_and_is_not_pinned(lab: Lab, tmp_path: Path) -> None:
    digest = publish(lab, NAME, b"archive")
    pins = tmp_path / "pins"
    options: dict[str, Any] = {"version": "0.5.7", "source_url": lab.url + "/{asset}", "pins": str(pins)}
    done = resolving.resolve(trust_mirror_checksums=True, **options)
    assert (done["changed"], done["archives"]) == (False, [{"asset": NAME, "sha256": digest}])
    assert not pins.exists()


def test_a_zstd_archive_is_repacked_once_for_hosts_that_cannot_read_it(lab: Lab, tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard", reason="makes the archive of this test")
    name = "ollama-linux-amd64.tar.zst"
    digest = publish(lab, name, zstandard.compress(tar_bytes(ollama_tree("0.33.2"))))
    given: dict[str, Any] = {
        "version": "0.33.2",
        "source_url": lab.url + "/{asset}",
        "checksums": {name: digest},
        "cache": str(tmp_path / "cache"),
        "host": {**resolving.HOST, "zstd": False},
    }
    foretold = resolving.resolve(check=True, **given)
    assert foretold["changed"] is True
    assert not (tmp_path / "cache").exists()
    ready = resolving.resolve(**given)
    assert (ready["changed"], ready["actions"]) == (True, foretold["actions"])
    assert resolving.resolve(**given)["changed"] is False
    (file,) = ready["files"]
    (archive,) = ready["archives"]
    assert file["dest"] == archive["src"]
    # As if it had been copied to the host.
    done = lab("0.33.2", {**archive, "src": file["src"]})
    assert done["rc"] == 0, done
    # The official archive and the repacked one are the same release.
    options: dict[str, Any] = {"source_url": lab.url + "/{asset}"}
    assert lab("0.33.2", {"asset": name, "sha256": digest}, **options)["changed"] is False


def test_an_archive_that_was_repacked_by_hand_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tgz(tmp_path / "by-hand.tar.gz", ollama_tree("0.33.2"))
    ready = resolving.resolve(
        version="0.33.2",
        source_url="https://mirror.example/{asset}",
        archive=str(path),
        archive_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        host={**resolving.HOST, "zstd": False},
    )
    assert (ready["changed"], ready["files"][0]["src"]) == (False, str(path))


def test_what_nothing_vouches_for_is_refused_with_the_variables_that_help() -> None:
    done = resolving.resolve(
        version="0.5.7", source_url="http://127.0.0.1:9/{asset}", trust_mirror_checksums=True, check=True
    )
    assert f"no sha256 is known for {NAME} of Ollama 0.5.7" in done["problem"]
    assert "ollama_trust_mirror_checksums" in done["remedy"]
