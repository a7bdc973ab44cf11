# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on an Ollama host, the stand-in as Ollama: what Molecule's scenarios leave out."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import (
    Host,
    changed,
    container,
    docker,
    message,
    sha256,
)

pytestmark = pytest.mark.docker
OLD, NEW = "0.5.7", "0.33.2"
without_systemd = pytest.mark.parametrize("host", ["supervisord"], indirect=True, scope="module")
both_ways = pytest.mark.parametrize("host", ["systemd", "supervisord"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def archive(ollama_archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The variables that install a version from a file of the controller; copies, as caches change."""
    variables = {}
    for version, path in ollama_archives.items():
        copy = Path(shutil.copy(path, tmp_path_factory.mktemp(version)))
        variables[version] = {
            "ollama_version": version,
            "ollama_archive": str(copy),
            "ollama_archive_sha256": sha256(copy),
        }
    return variables


@pytest.fixture(scope="module")
def host(
    request: pytest.FixtureRequest, smollm2: SmolLM2, tmp_path_factory: pytest.TempPathFactory, archive: dict[str, Any]
) -> Iterator[Host]:
    """A host that serves a model by the old version; every test leaves it serving that."""
    for made in container(request.param, "ollama", smollm2.merged, tmp_path_factory.mktemp(request.param)):
        made.converge(**archive[OLD])
        made.sh(
            "printf 'FROM /srv/smollm2.gguf\\nPARAMETER num_ctx 512\\n' > /root/m && ollama create smollm2 -f /root/m"
        )
        assert "Paris" in made.answer()
        yield made


@both_ways
def test_a_server_that_crashed_starts_when_nothing_is_being_added_to_the_store(host: Host) -> None:
    """Its manager starts it by itself, some seconds after the crash; a start prunes what no manifest names yet."""
    version = "curl -fsS -m 5 http://127.0.0.1:11434/api/version"
    lock = "umask 077; exec 9>/var/lib/gguf-fleet/ollama-store.lock; flock 9"
    told = host.sh(f"{lock}; pkill -KILL -u ollama; sleep 8; {version} && echo early; exit 0")
    assert "early" not in told
    assert OLD in host.sh(f"for _ in $(seq 60); do {version} && exit; sleep 0.5; done")


@both_ways
def test_a_server_of_another_version_is_restarted_though_all_files_are_right(
    host: Host, archive: dict[str, Any], tmp_path: Path
) -> None:
    """As after a later run of install.sh: the command leads elsewhere, and that is what runs."""
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", archive[NEW]["ollama_archive"], "-C", str(other)], check=True)
    docker("cp", str(other), f"{host.name}:/opt/other")
    host.sh("chmod -R a+rX /opt/other && ln -sfn /opt/other/bin/ollama /usr/local/bin/ollama; pkill -KILL -u ollama")
    asked = f"curl -fsS -m 5 http://127.0.0.1:11434/api/version | grep -qF {NEW}"
    host.sh(f"for _ in $(seq 100); do {asked} && exit; sleep 0.3; done; exit 1")
    checked = host.play("", "--check", "--diff", **archive[OLD])
    assert f"the server that runs is version {NEW}, not {OLD}" in checked.stdout, checked.stdout
    assert "/usr/local/bin/ollama did not lead to it" in checked.stdout
    assert host.converge(**archive[OLD]) > 0
    assert host.version() == OLD
    # The link alone is right again: what runs is still looked at.
    assert host.converge(**archive[OLD]) == 0


@both_ways
def test_settings_that_do_not_serve_are_put_back_too(host: Host, archive: dict[str, Any]) -> None:
    before = host.sh("cat /etc/gguf-fleet/ollama.env")
    # TEST-NET-1: no host has this address, so nothing can listen there.
    text = message(host.play(**archive[OLD], ollama_host="192.0.2.1:11434", ollama_answer_seconds=8))
    assert "put back" in text
    assert host.sh("cat /etc/gguf-fleet/ollama.env") == before
    assert host.version() == OLD


@without_systemd
def test_a_port_that_closes_is_said_with_what_clients_use_instead(host: Host, archive: dict[str, Any]) -> None:
    opened = host.play(**archive[OLD], ollama_host="0.0.0.0:11434")
    assert opened.returncode == 0, opened.stdout + opened.stderr
    closed = " ".join(host.play(**archive[OLD]).stdout.split())
    assert "0.0.0.0:11434 closes for other machines: Ollama listens on 127.0.0.1:11434 now" in closed
    assert "Clients use the gateway's address and a key" in closed
    again = host.play(**archive[OLD])
    assert (changed(again), "closes for other machines" in again.stdout) == (0, False)


# What else can be wrong with an archive is in test_engine_release.py, and with a declaration in the units of _fleet.
def bad_inputs(tmp_path: Path, archive: dict[str, Any]) -> dict[str, tuple[dict[str, Any], str]]:
    page = tmp_path / "page.tgz"
    page.write_text("<html>moved</html>")

    def file(path: Path, version: str = "0.5.9") -> dict[str, str]:
        return {"ollama_version": version, "ollama_archive": str(path), "ollama_archive_sha256": sha256(path)}

    return {
        "a web page": (file(page), "is not a release archive"),
        "another version": ({**archive[OLD], "ollama_version": "0.5.10"}, "0.5.10 was asked for"),
    }


@without_systemd
def test_bad_input_is_said_and_nothing_that_serves_is_touched(
    host: Host, archive: dict[str, Any], tmp_path: Path
) -> None:
    running = host.sh("pgrep -o -u ollama")
    for name, (variables, expected) in bad_inputs(tmp_path, archive).items():
        text = message(host.play(**variables))
        assert expected in text, name
        assert host.name in text, name
    assert host.sh("pgrep -o -u ollama") == running
    assert host.sh("ls -Ad /var/lib/gguf-fleet/archives /var/tmp/gguf-fleet* 2>/dev/null; true") == ""
    assert host.converge(**archive[OLD]) == 0


@both_ways
def test_a_port_that_something_else_holds_is_named_with_its_holder(host: Host, archive: dict[str, Any]) -> None:
    host.sh("python3 -m http.server 11555 >/dev/null 2>&1 & echo $! > /tmp/holder; sleep 1")
    try:
        text = message(host.play(**archive[OLD], ollama_host="127.0.0.1:11555"))
        assert "port 11555" in text
        assert "http.server" in text
    finally:
        host.sh("kill $(cat /tmp/holder)")
    assert host.version() == OLD


@without_systemd
def test_it_is_the_entry_point_of_a_container(host: Host) -> None:
    image = host.name
    entry = ["/usr/local/lib/gguf-fleet/supervisord", "-n", "-c", "/etc/gguf-fleet/supervisord.conf"]
    docker("commit", "--change", f"ENTRYPOINT {json.dumps(entry)}", "--change", "CMD []", host.name, image)
    served = Host(f"{host.name}-served", host.folder, host.role)
    try:
        # As on a machine: what lies in /run is gone after each start.
        docker("run", "--detach", "--name", served.name, "--tmpfs=/run", image)
        served.sh("curl --silent --fail --retry 30 --retry-connrefused --retry-delay 1 127.0.0.1:11434/api/version")
        assert served.sh("cat /proc/1/cmdline").split("\0")[2:6] == entry
        assert served.version() == OLD
        first = served.sh("pgrep -o -u ollama")
        served.sh("/usr/local/lib/gguf-fleet/supervisorctl restart ollama")
        # By hand, and within a minute of the start before: it waits 3 s.
        served.sh("curl --silent --fail --retry 30 --retry-connrefused --retry-delay 1 127.0.0.1:11434/api/version")
        assert served.sh("pgrep -o -u ollama") != first
        assert "entered RUNNING state" in docker("logs", served.name)
        docker("restart", "--time", "60", served.name)
        served.sh("curl --silent --fail --retry 30 --retry-connrefused --retry-delay 1 127.0.0.1:11434/api/version")
        assert served.version() == OLD
        docker("stop", "--time", "60", served.name)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", served.name).strip() == "0"
    finally:
        docker("rm", "--force", "--volumes", served.name, check=False)
        docker("rmi", image, check=False)


@without_systemd
def test_uninstalling_takes_the_models_only_when_they_are_to_go(host: Host) -> None:
    store = "/var/lib/ollama/models"
    done = host.play("uninstall.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "manifests" in host.sh(f"ls {store}")
    assert changed(host.play("uninstall.yml")) == 0
    assert host.play("uninstall.yml", ollama_remove_models=True).returncode == 0
    assert host.sh(f"ls -d {store} 2>/dev/null; id ollama 2>/dev/null; true") == ""


# --- on a host that has nothing yet


@pytest.fixture
def fresh(request: pytest.FixtureRequest, smollm2: SmolLM2, tmp_path: Path) -> Iterator[Host]:
    yield from container("supervisord", "ollama", smollm2.merged, tmp_path, *getattr(request, "param", ()))


SERVED = {"name": "smollm2", "source": {"hub": "path", "path": "/srv/smollm2.gguf"}}
MISREAD: dict[str, Any] = {
    "ollama_environment": {"OLLAMA_FLASH_ATENTION": "1", "OLLAMA_GPU_OVERHEAD": "1GiB"},
    "ollama_origins": ["example.org"],
}


def test_settings_that_the_server_would_misread_are_refused_before_anything_changes(fresh: Host) -> None:
    done = fresh.play("site.yml", models_serve=[SERVED], ollama_archive_sha256="0" * 64, **MISREAD)
    said = message(done)
    assert [
        name for name in ("OLLAMA_FLASH_ATTENTION", "OLLAMA_GPU_OVERHEAD", "OLLAMA_ORIGINS") if name not in said
    ] == []
    assert changed(done) == 0
    assert fresh.sh("ls -d /opt/* /srv/gguf-fleet /etc/gguf-fleet /usr/local/lib/gguf-fleet 2>/dev/null; true") == ""


@pytest.mark.parametrize("fresh", [["--tmpfs=/opt:exec,size=100m"]], ids=["100 MB for /opt"], indirect=True)
def test_a_full_disk_is_said_and_the_next_run_succeeds_when_there_is_room(fresh: Host, archive: dict[str, Any]) -> None:
    fresh.sh("head -c 90M /dev/zero > /opt/filler")
    text = message(fresh.play(**archive[OLD]))
    assert "No space left on device" in text
    assert "nothing that serves was changed" in text
    assert fresh.sh("find /opt -mindepth 1 -not -name ollama") == "/opt/filler\n"
    fresh.sh("rm /opt/filler")
    fresh.converge(**archive[OLD])
    assert fresh.version() == OLD


@pytest.mark.parametrize("fresh", [["--tmpfs=/opt:noexec"]], ids=["/opt without programs"], indirect=True)
def test_a_file_system_that_runs_no_programs_is_named(fresh: Host, archive: dict[str, Any]) -> None:
    assert "file system is mounted noexec" in message(fresh.play(**archive[OLD]))


@pytest.mark.parametrize("fresh", [["--tmpfs=/data:ro"]], ids=["/data read-only"], indirect=True)
def test_a_read_only_store_is_named_and_nothing_is_started(fresh: Host, archive: dict[str, Any]) -> None:
    text = message(fresh.play(**archive[OLD], ollama_models_dir="/data/models"))
    assert "Read-only file system" in text
    assert "/data/models" in text
    assert fresh.sh("pgrep -u ollama; ls /etc/gguf-fleet 2>/dev/null; true") == ""


def test_a_store_that_root_left_is_given_to_the_service_s_user(fresh: Host, archive: dict[str, Any]) -> None:
    fresh.sh("mkdir -p /data/models/blobs /data/models/manifests && chmod -R 0700 /data/models")
    fresh.converge(**archive[OLD], ollama_models_dir="/data/models")
    fresh.sh("printf 'FROM /srv/smollm2.gguf\nPARAMETER num_ctx 512\n' > /root/m && ollama create smollm2 -f /root/m")
    assert "Paris" in fresh.answer()


def test_a_server_that_root_started_by_hand_is_taken_over_with_its_models(fresh: Host, archive: dict[str, Any]) -> None:
    docker("cp", archive[OLD]["ollama_archive"], f"{fresh.name}:/root/ollama.tgz")
    fresh.sh("tar -C /usr -xzf /root/ollama.tgz && (HOME=/root setsid ollama serve >/root/log 2>&1 &) && sleep 3")
    fresh.sh("printf 'FROM /srv/smollm2.gguf\nPARAMETER num_ctx 512\n' > /root/m && ollama create smollm2 -f /root/m")
    assert "port 11434 of 127.0.0.1 is in use by" in message(fresh.play(**archive[NEW]))
    fresh.sh("kill $(pgrep -o -f 'ollama serve') && sleep 2")
    fresh.converge(**archive[NEW])
    assert fresh.version() == NEW
    assert "Paris" in fresh.answer()
    assert fresh.sh("readlink /opt/ollama/previous").strip() == OLD
    assert fresh.converge(**archive[NEW]) == 0
