# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module engine_release, run as Ansible runs it, over archives on loopback: check, run, check again, run again."""

from __future__ import annotations

import hashlib
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.builders.archives import (
    Member,
    ollama_program,
    ollama_tree,
    tgz,
)
from ansible_collections.gguf.fleet.tests.integration.engines.release_lab import Lab


def test_check_tells_what_the_run_does_and_a_second_run_does_nothing(lab: Lab) -> None:
    archive = lab.archive("0.5.7")
    told = lab("0.5.7", archive, check=True)
    assert told["changed"] is True
    assert lab.versions() == []
    done = lab("0.5.7", archive)
    assert done["actions"] == told["actions"]
    assert done["bytes_fetched"] > 0
    assert "client version is 0.5.7" in lab.command.read_text()
    for check in (True, False):
        again = lab("0.5.7", archive, check=check)
        assert (again["changed"], again["actions"], again["bytes_fetched"]) == (False, [], 0)


def test_a_new_version_leaves_the_old_one_and_the_way_back_fetches_nothing(lab: Lab) -> None:
    old, new = lab.archive("0.5.7"), lab.archive("0.6.0")
    lab("0.5.7", old)
    done = lab("0.6.0", new)
    assert (done["current"], done["previous"]) == ("0.6.0", "0.5.7")
    back = lab("0.5.7")
    assert back["actions"] == ["switch 0.5.7: 0.6.0 is the current one"]
    assert "0.5.7" in lab.command.read_text()


def test_two_runs_at_once_take_turns_and_fetch_once(lab: Lab) -> None:
    archive = lab.archive("0.5.7")
    lab.server.delay_seconds = 2
    with ThreadPoolExecutor() as pool:
        runs = [run.result() for run in [pool.submit(lab, "0.5.7", archive) for _run in range(2)]]
    assert [(run["rc"], run["changed"]) for run in sorted(runs, key=lambda run: run["changed"])] == [
        (0, False),
        (0, True),
    ]
    assert lab.server.asked == ["/0.5.7.tgz"]
    assert lab.versions() == ["0.5.7", "current"]


def test_more_versions_than_are_kept_are_removed(lab: Lab) -> None:
    for version in ("0.5.7", "0.5.8", "0.5.9", "0.5.10"):
        lab(version, lab.archive(version), keep=2)
    assert lab.versions() == ["0.5.10", "0.5.9", "current", "previous"]


REFUSED: dict[str, tuple[dict[str, Member], str, str]] = {
    "not an archive of Ollama": ({"README": b"x"}, "0.6.0", "is not an archive of Ollama"),
    "another version": (ollama_tree("0.5.9"), "0.6.0", "holds Ollama 0.5.9"),
    "a program that does not answer": ({"bin/ollama": b"#!/bin/sh\nexit 1\n"}, "0.6.0", "does not print a version"),
    "a path that climbs out": ({"../../evil": b"x", **ollama_tree("0.6.0")}, "0.6.0", "outside its own directory"),
}


@pytest.mark.parametrize(("members", "version", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_leaves_everything_as_it_was(
    lab: Lab, members: dict[str, Member], version: str, message: str
) -> None:
    lab("0.5.7", lab.archive("0.5.7"))
    before = lab.versions()
    done = lab(version, lab.archive(version, members))
    assert done["rc"] == 1
    assert message in done["msg"]
    assert done["remedy"]
    assert lab.versions() == before
    assert "0.5.7" in lab.command.read_text()
    assert lab(version, lab.archive(version))["rc"] == 0


def test_a_wrong_sum_is_refused_before_anything_is_unpacked(lab: Lab) -> None:
    done = lab("0.5.7", {**lab.archive("0.5.7"), "sha256": "0" * 64})
    assert "wrong checksum" in done["msg"]
    assert lab.versions() == []


def test_an_archive_without_a_sum_needs_leave(lab: Lab) -> None:
    archive = {"url": lab.archive("0.5.7")["url"]}
    assert "no sha256 is known" in lab("0.5.7", archive)["msg"]
    assert lab("0.5.7", archive, allow_unverified=True)["rc"] == 0
    assert lab("0.5.7", archive)["changed"] is False


def test_a_mirror_without_the_version_is_named(lab: Lab) -> None:
    done = lab("0.6.0", {"url": f"{lab.url}/0.6.0.tgz", "sha256": "0" * 64})
    assert "answers 404" in done["msg"]
    assert "mirror" in done["remedy"]


def test_a_file_of_the_host_is_installed_without_a_network(lab: Lab) -> None:
    sum_ = lab.archive("0.5.7")["sha256"]
    done = lab("0.5.7", {"src": str(lab.mirror / "0.5.7.tgz"), "sha256": sum_})
    assert (done["rc"], done["bytes_fetched"]) == (0, 0)


def test_an_add_on_is_unpacked_over_the_release_and_counts_for_it(lab: Lab) -> None:
    release = lab.archive("0.5.7")
    addon = lab.archive("0.5.7-rocm", {"lib/ollama/rocm/libhip.so": b"library"})
    lab("0.5.7", release)
    assert lab("0.5.7", release, addon)["changed"] is True
    assert (lab.root / "0.5.7/lib/ollama/rocm/libhip.so").read_bytes() == b"library"
    assert (lab.root / "0.5.7/bin/ollama").is_file()
    assert lab("0.5.7", release, addon)["changed"] is False


def test_a_directory_that_nobody_vouches_for_is_replaced(lab: Lab) -> None:
    lab("0.5.7", lab.archive("0.5.7"))
    os.unlink(lab.environment["GGUF_FLEET_LEDGER"])
    (lab.root / "0.5.7/bin/ollama").write_text("#!/bin/sh\necho client version is 0.5.7 # not ours\n")
    assert lab("0.5.7", lab.archive("0.5.7"))["changed"] is True
    assert "not ours" not in lab.command.read_text()


def test_removing_takes_the_versions_and_our_commands_only(lab: Lab) -> None:
    lab("0.5.7", lab.archive("0.5.7"))
    other = lab.command.with_name("llama")
    other.write_text("another's")
    links = {str(lab.command): "bin/ollama", str(other): "bin/llama"}
    absent = {"engine": "ollama", "root": str(lab.root), "state": "absent", "links": links}
    assert lab.run("engine_release", absent, lab.environment, True)["changed"] is True
    assert lab.run("engine_release", absent, lab.environment)["changed"] is True
    assert not lab.root.exists()
    assert not lab.command.is_symlink()
    assert other.read_text() == "another's"
    assert lab.run("engine_release", absent, lab.environment)["changed"] is False


LLAMA_PROGRAM = b"#!/bin/sh\necho 'version: 0.7.0 (build 11669, commit 1a2b3c4)' >&2\n"
# .github/workflows/release.yml of llama.cpp: one directory with the programs and their libraries, as chains of links.
LLAMA_RELEASE: dict[str, Member] = {
    "llama-b11669/": (tarfile.DIRTYPE, ""),
    "llama-b11669/llama-server": LLAMA_PROGRAM,
    "llama-b11669/libllama.so.0.7.0": b"library",
    "llama-b11669/libllama.so.0": (tarfile.SYMTYPE, "libllama.so.0.7.0"),
    "llama-b11669/libllama.so": (tarfile.SYMTYPE, "libllama.so.0"),
    "llama-b11669/libggml-cuda.so": b"library",
}
CUDART: dict[str, Member] = {
    "libcudart.so.12": b"cudart",
    "libcublas.so.12": (tarfile.SYMTYPE, "libcublas.so.12.8"),
    "libcublas.so.12.8": b"cublas",
}


def test_a_release_of_llama_cpp_is_installed_with_the_cuda_libraries_beside_its_programs(lab: Lab) -> None:
    names = ("llama-b11669-bin-ubuntu-cuda-12.8-x64.tar.gz", "cudart-llama-b11669-bin-ubuntu-cuda-12.8-x64.tar.gz")
    archives = []
    for name, members in zip(names, (LLAMA_RELEASE, CUDART)):
        path = tgz(lab.mirror / name, members)
        archives.append({"url": f"{lab.url}/{name}", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    given: dict[str, Any] = {"engine": "llama_cpp", "links": {str(lab.command): "bin/llama-server"}}
    assert lab("b11669", *archives, check=True, **given)["changed"] is True
    assert lab("b11669", *archives, **given)["current"] == "b11669"
    programs = lab.root / "b11669/bin"
    assert lab.command.read_bytes() == LLAMA_PROGRAM
    assert (programs / "libllama.so").read_bytes() == b"library"
    assert (programs / "libcudart.so.12").read_bytes() == b"cudart"
    assert (programs / "libcublas.so.12").read_bytes() == b"cublas"
    assert lab("b11669", *archives, **given)["changed"] is False


def test_a_check_tells_of_an_adoption_what_the_run_does(lab: Lab, tmp_path: Path) -> None:
    prefix = tmp_path / "usr/local"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/ollama").write_bytes(ollama_program("0.5.7"))
    (prefix / "bin/ollama").chmod(0o755)
    archive = lab.archive("0.5.8")
    for options in ({"activate": False}, {"activate": True}):
        foretold = lab("0.5.8", archive, check=True, adopt=str(prefix), **options)
        assert not lab.root.exists()
        done = lab("0.5.8", archive, adopt=str(prefix), **options)
        for name in ("actions", "current", "previous", "sha256", "diff"):
            assert foretold[name] == done[name], (options, name)
        assert done["current"] == ("0.5.8" if options["activate"] else "0.5.7")
        assert os.readlink(lab.root / "current") == done["current"]
        lab.run("engine_release", {"engine": "ollama", "root": str(lab.root), "state": "absent"}, lab.environment)
