# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release is made of, and how its server reads the environment."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.environment import (
    EnvironmentProblem,
    check_environment,
)
from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_server import Release, Server, new_server


def _text(release: Release) -> str:
    return ".".join(str(part) for part in release.version)


def test_the_program_lies_in_bin_beside_the_libraries_in_lib_ollama(release: Release) -> None:
    assert release.binary.name == "ollama"
    if release.can_generate:
        assert (release.binary.resolve().parent.parent / "lib" / "ollama").is_dir()


def _said_version(program: Path, server: Server) -> str:
    environment = {"HOME": str(server.home), "OLLAMA_HOST": f"127.0.0.1:{server.port}", "PATH": os.environ["PATH"]}
    said = subprocess.run([str(program), "--version"], env=environment, text=True, capture_output=True, check=True)
    return said.stdout + said.stderr


def test_the_program_tells_its_version_without_a_server(release: Release, own_server: Server) -> None:
    assert "version is" in _said_version(release.binary, own_server)


def test_the_program_runs_through_a_link(release: Release, own_server: Server) -> None:
    link = own_server.home / "ollama"
    link.symlink_to(release.binary.resolve())
    assert "version is" in _said_version(link, own_server)


def test_a_server_without_a_home_ends_at_once(release: Release) -> None:
    with new_server(release, {"HOME": ""}) as server:
        server.start(wait=False)
        assert server.process is not None
        assert server.process.wait(timeout=20) != 0


# Each value with what the server makes of it, as its first log line shows it.
MISREAD = [
    ("OLLAMA_FLASH_ATTENTION", "maybe", "OLLAMA_FLASH_ATTENTION:true"),
    ("OLLAMA_NOPRUNE", "off", "OLLAMA_NOPRUNE:true"),
    ("OLLAMA_NUM_PARALLEL", "many", "OLLAMA_NUM_PARALLEL:"),
    ("OLLAMA_KEEP_ALIVE", "forever", "OLLAMA_KEEP_ALIVE:5m0s"),
    ("OLLAMA_GPU_OVERHEAD", "2GiB", "OLLAMA_GPU_OVERHEAD:0"),
]


@pytest.mark.parametrize(("name", "value", "effect"), MISREAD)
def test_what_the_server_would_misread_is_what_we_refuse(release: Release, name: str, value: str, effect: str) -> None:
    with new_server(release, {name: value}) as server:
        server.start()
        assert effect in server.log
    with pytest.raises(EnvironmentProblem):
        check_environment({name: value}, _text(release))


READ = [
    ("OLLAMA_FLASH_ATTENTION", "0", "OLLAMA_FLASH_ATTENTION:false"),
    ("OLLAMA_NOPRUNE", "true", "OLLAMA_NOPRUNE:true"),
    ("OLLAMA_NUM_PARALLEL", "3", "OLLAMA_NUM_PARALLEL:3"),
    ("OLLAMA_KEEP_ALIVE", "90", "OLLAMA_KEEP_ALIVE:1m30s"),
    ("OLLAMA_GPU_OVERHEAD", "2147483648", "OLLAMA_GPU_OVERHEAD:2147483648"),
    ("OLLAMA_ORIGINS", "https://intranet.example,app://*", "https://intranet.example app://*"),
    ("OLLAMA_MAX_QUEUE", "7", "OLLAMA_MAX_QUEUE:7"),
]


def test_what_the_server_reads_as_it_is_meant_is_what_we_let_pass(release: Release) -> None:
    environment = {name: value for name, value, _effect in READ}
    assert check_environment(environment, _text(release)) == environment
    with new_server(release, environment) as server:
        server.start()
        log = server.log
    for _name, _value, effect in READ:
        assert effect in log


def test_an_origin_without_a_scheme_ends_the_server_and_is_refused(release: Release) -> None:
    with new_server(release, {"OLLAMA_ORIGINS": "intranet.example"}) as server:
        server.start(wait=False)
        assert server.process is not None
        assert server.process.wait(timeout=20) != 0
        assert "bad origin" in server.log
    with pytest.raises(EnvironmentProblem):
        check_environment({"OLLAMA_ORIGINS": "intranet.example"}, _text(release))


def test_a_port_that_is_taken_ends_the_server(release: Release, server: Server) -> None:
    with new_server(release, {"OLLAMA_HOST": f"127.0.0.1:{server.port}"}) as second:
        second.start(wait=False)
        assert second.process is not None
        assert second.process.wait(timeout=20) != 0
        assert "address already in use" in second.log


def test_a_foreign_host_name_is_turned_away_on_loopback(server: Server) -> None:
    answer = server.call("GET", "/api/version", headers={"Host": "models.example:11434"})
    assert answer.status == 403
    assert server.call("GET", "/api/version", headers={"Host": "localhost"}).status == 200


def test_the_server_makes_its_models_directory_and_keeps_running_without_models(own_server: Server) -> None:
    own_server.models.rmdir()
    own_server.start()
    assert own_server.names() == []
    deadline = time.monotonic() + 5
    while not own_server.blobs.is_dir() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert own_server.blobs.is_dir()
