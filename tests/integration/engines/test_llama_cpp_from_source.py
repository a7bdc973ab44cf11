# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""llama.cpp from its source: built, switched, put back, gone on with after a kill, and rolled back, by the role."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.builders import llama_source
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, changed, container, message

pytestmark = pytest.mark.docker
SERVER = {"name": "r1", "alias": "deepseek-r1", "model": "/srv/smollm2.gguf", "port": 8080}


@pytest.fixture
def host(request: Any, smollm2: SmolLM2, builder_image: str, tmp_path: Path, monkeypatch: Any) -> Iterator[Host]:
    # Where the controller keeps sources and builds.
    monkeypatch.setenv("GGUF_FLEET_CACHE", str(tmp_path / "cache"))
    more = ("--network=none", *getattr(request, "param", ()))
    yield from container("supervisord", "llama_cpp", smollm2.merged, tmp_path, *more, image=builder_image)


def built(version: str, **given: Any) -> dict[str, Any]:
    """The variables that build and serve a version."""
    return {
        "llama_cpp_source": "source",
        "llama_cpp_version": version,
        "llama_cpp_servers": [SERVER],
        "llama_cpp_build_packages": [],
        **given,
    }


def from_archive(folder: Path, version: str, **project: Any) -> dict[str, Any]:
    path = folder / f"{version}.tar.gz"
    sha256 = llama_source.archive(path, llama_source.files(**project))
    return built(version, llama_cpp_source_archive=str(path), llama_cpp_source_sha256=sha256)


def packed(host: Host, program: str) -> str:
    """Moves a program of the host into a package that its distribution has to offer; the package's name."""
    name = f"{program}-of-the-distribution"
    fields = {"Package": name, "Version": "1", "Architecture": "all", "Maintainer": "test", "Description": "test"}
    # The program counts as another package's still.
    control = "".join(f"{field}: {value}\\n" for field, value in {**fields, "Replaces": program}.items())
    host.sh(
        f"mkdir -p /root/new/DEBIAN /root/new/usr/bin /srv/packages && mv /usr/bin/{program} /root/new/usr/bin/ && "
        f"printf '{control}' >/root/new/DEBIAN/control && dpkg-deb --build /root/new /srv/packages/{name}.deb && "
        f"cd /srv/packages && {{ cat /root/new/DEBIAN/control; echo Filename: ./{name}.deb; "
        f'echo "SHA256: $(sha256sum {name}.deb | cut -c1-64)"; echo "Size: $(stat -c %s {name}.deb)"; }} >Packages && '
        "echo 'deb [trusted=yes] file:/srv/packages ./' >/etc/apt/sources.list"
    )
    return name


def serving(host: Host) -> str:
    """The number of the build that serves."""
    host.sh("curl -fsS http://127.0.0.1:8080/health")
    command = host.sh("pgrep -af -u llama-cpp llama-server")
    found = re.search(r"/opt/llama\.cpp/(b\d+)-[0-9a-f]{8}/bin/llama-server", command)
    assert found, command
    return found[1]


def test_a_source_is_built_switched_put_back_and_rolled_back(host: Host, tmp_path: Path) -> None:
    first = {**from_archive(tmp_path, "b11500"), "llama_cpp_build_packages": [packed(host, "cmake")]}
    foretold = host.play("", "--check", **first)
    assert foretold.returncode == 0, foretold.stdout + foretold.stderr
    assert re.search(r"build b11500-[0-9a-f]{8} for hosts of this kind \(amd64, glibc 2\.36, no CUDA", foretold.stdout)
    assert "install cmake\n" in foretold.stdout
    assert host.sh("ls /opt /var/lib/gguf-build 2>/dev/null", check=False).split() == ["/opt:"]
    done = host.play(**first)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"llama\.cpp b11500-[0-9a-f]{8}: build \d+ %", done.stdout)
    assert serving(host) == "b11500"
    assert "build 11500" in host.sh("/usr/local/bin/llama-server --version 2>&1")
    # Only what was asked for, a library with its links, nothing of it another user's or writable.
    programs = "/opt/llama.cpp/current/bin"
    names = ["ggml-rpc-server", "libllama.so", "libllama.so.0", "libllama.so.0.0.11500"]
    names += ["llama-fit-params", "llama-gguf-split", "llama-server"]
    assert host.sh(f"ls {programs}").split() == names
    assert host.sh(f"find {programs}/ ! -user root -o ! -type l -perm /7022").split() == []
    # The source and the objects are gone, and so is everything of the controller.
    assert host.sh("ls /var/lib/gguf-build /var/lib/gguf-fleet").split().count("b11500") == 0
    assert host.converge(**first) == 0

    # From a repository, whose tag is pinned beside the inventory.
    repository = llama_source.Repository(tmp_path / "llama.cpp.git")
    commit = repository.tag("b11501", llama_source.files())
    second = built("b11501", llama_cpp_source_url=repository.url)
    host.converge(**second)
    assert serving(host) == "b11501"
    assert (tmp_path / "llama-cpp-sources.txt").read_text() == f"{commit}  b11501  11501  {repository.url}\n"

    # One that compiles and does not generate, and one that does not even compile.
    text = message(host.play(**from_archive(tmp_path, "b11502", generates=False)))
    assert "no kernel image" in text and "put back" in text
    assert serving(host) == "b11501"
    text = message(host.play(**from_archive(tmp_path, "b11503", compiles=False)))
    assert re.search(r"b11503-[0-9a-f]{8} was not built: cmake ended with \d in its build", text)
    assert "gone" in text and "undeclared" in text
    assert serving(host) == "b11501"

    # A build that is killed at half goes on there, and nobody builds beside it.
    slow = from_archive(tmp_path, "b11504", seconds=600)
    host.sh("rm -f /var/lib/gguf-build/steps")
    with ThreadPoolExecutor() as beside:
        running = beside.submit(host.play, **slow)
        host.sh("until grep -qs second /var/lib/gguf-build/steps; do sleep 0.1; done")
        assert "another run has been changing /var/lib/gguf-fleet/builds" in message(host.play(**slow))
        host.sh("pkill -KILL -f '[e]ngine_build'")
        message(running.result())
    assert serving(host) == "b11501"
    # What it waited for comes at once now.
    host.sh("printf '#!/bin/sh\\n' >/usr/local/bin/sleep; chmod 755 /usr/local/bin/sleep")
    host.converge(**slow)
    assert serving(host) == "b11504"
    assert host.sh("cat /var/lib/gguf-build/steps").split() == ["first", "second", "second"]
    assert host.sh("readlink /opt/llama.cpp/previous").startswith("b11501-")

    # Back: it is on the host still. A version that is not comes from the controller, and nothing is built.
    host.converge(**second)
    assert serving(host) == "b11501"
    again = host.play(**first)
    assert again.returncode == 0, again.stdout + again.stderr
    assert changed(again) and "build b11500" not in again.stdout
    assert serving(host) == "b11500"

    # Compilers stay.
    gone = host.play("uninstall.yml", "-e", "uninstall_files=true", **first)
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert (
        host.sh("ls -d /opt/llama.cpp /var/lib/gguf-build /var/lib/gguf-fleet /usr/local/bin/llama*", check=False) == ""
    )
    assert "gguf-build" not in host.sh("cat /etc/passwd /etc/group")
    assert host.sh("dpkg-query --show --showformat '${Status}' cmake-of-the-distribution") == "install ok installed"


@pytest.mark.long
def test_one_of_two_hosts_of_a_kind_builds_for_both(
    host: Host, smollm2: SmolLM2, builder_image: str, tmp_path: Path
) -> None:
    another = contextmanager(container)
    options = ("--network=none",)
    with another("supervisord", "llama_cpp", smollm2.merged, tmp_path, *options, image=builder_image) as other:
        host.beside = (other.name,)
        wanted = from_archive(tmp_path, "b11500")
        done = host.play(**wanted)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(re.findall(r"built b11500-[0-9a-f]{8} in", done.stdout)) == 1
        assert "build b11500" in done.stdout and "for hosts of this kind" in done.stdout
        programs = "cd /opt/llama.cpp/current && find . -type f -exec sha256sum {} + | sort"
        assert host.sh(programs) == other.sh(programs) != ""
        assert serving(host) == serving(other) == "b11500"
        # Only the first of them has compiled anything.
        compiled = [one.sh("ls -d /var/lib/gguf-build/ccache", check=False) != "" for one in (host, other)]
        assert compiled == [True, False]
        again = host.play(**wanted)
        assert again.returncode == 0 and not re.search("changed=[1-9]", again.stdout), again.stdout


@pytest.mark.parametrize("host", [("--tmpfs=/var/lib/gguf-build:size=1g,mode=0755",)], indirect=True)
def test_what_stands_in_the_way_of_a_build_is_told_before_anything_changes(host: Host, tmp_path: Path) -> None:
    wanted = from_archive(tmp_path, "b11500")
    repository = llama_source.Repository(tmp_path / "llama.cpp.git")
    repository.tag("b11501", llama_source.files())
    wrong = {"llama_cpp_source_sha256": "0" * 64}
    refused = {
        "has the wrong checksum": {**wanted, **wrong},
        "has no tag b11502": built("b11502", llama_cpp_source_url=repository.url),
    }
    for words, variables in refused.items():
        assert words in message(host.play(**variables))
    told = message(host.play(**wanted))
    assert "a build of llama.cpp may take 2.0 GiB, and /var/lib/gguf-build has 1.0 GiB free" in told
    host.sh("mv /usr/bin/cmake /usr/bin/cmake.gone")
    assert "cannot build llama.cpp: it lacks cmake" in message(host.play(**wanted))
    assert host.sh("ls /opt").split() == []
