# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose services run by the script of an earlier version (kept in old_script/) moves to supervisord."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.plugins.module_utils._service import environment, systemd
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import MOVED
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import Service
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, changed, container, docker, message

pytestmark = pytest.mark.docker
SCRIPT = Path(__file__).parent / "old_script/service"
CONTROL = "/usr/local/lib/gguf-fleet/supervisorctl"
ENGINE = """#!/usr/bin/python3
import http.server, sys
class Engine(http.server.BaseHTTPRequestHandler):
    def tell(self, told):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(told)
    def do_GET(self):
        self.tell(b'{"status": "ok"}')
    def do_POST(self):
        self.tell(b'data: {"choices": [{"text": "yes"}]}\\n\\ndata: [DONE]\\n\\n')
if "--broken" in sys.argv:
    sys.exit("this version does not serve")
print("serving", *sys.argv[1:], flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Engine).serve_forever()
"""
PORTS = {"demo": 8080, "other": 8081}


def task(name: str, *arguments: str, **more: Any) -> dict[str, Any]:
    values = {
        "name": name,
        "description": name,
        "command": ["/opt/engine", str(PORTS[name]), *arguments],
        "user": "daemon",
        "group": "daemon",
        "home": "/",
        "environment": {"OLLAMA_HOST": "x"},
        "engine": "llama_cpp",
        "url": f"http://127.0.0.1:{PORTS[name]}",
        "models": [name],
        **more,
    }
    return {"gguf.fleet.engine_service": values}


def run(
    host: Host, *tasks: dict[str, Any], options: tuple[str, ...] = (), warnings: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    path = host.folder / "play.yml"
    path.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": list(tasks)}]))
    return host.play(str(path), "--diff", *options, warnings=warnings)


def old(name: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """The files by which the script ran a service: it read systemd's units."""
    service = Service(name, name, ("/opt/engine", str(PORTS[name])), "daemon", "daemon", "/")
    for path, text in (
        (f"/etc/gguf-fleet/services/{name}.service", systemd.stub(service)),
        (f"/etc/gguf-fleet/services/{name}.service.d/gguf-fleet.conf", systemd.drop_in(service)),
        (f"/etc/gguf-fleet/{name}.env", environment.render({"OLLAMA_HOST": "x"})),
    ):
        local = folder / Path(path).name
        local.write_text(text)
        yield local, path


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Two services run by the script."""
    folder = tmp_path_factory.mktemp("old")
    (folder / "engine").write_text(ENGINE)
    (folder / "service").write_text(f"#!/usr/bin/python3\n{SCRIPT.read_text()}")
    for made in container("supervisord", "engine", Path("/dev/null"), folder, "--network=none"):
        made.sh("mkdir -p /usr/local/lib/gguf-fleet")
        for name in PORTS:
            made.sh(f"mkdir -p /etc/gguf-fleet/services/{name}.service.d")
            for local, path in old(name, folder):
                docker("cp", str(local), f"{made.name}:{path}")
        docker("cp", str(folder / "service"), f"{made.name}:/usr/local/lib/gguf-fleet/service")
        docker("cp", str(folder / "engine"), f"{made.name}:/opt/engine")
        made.sh("chown -R root:root /etc/gguf-fleet /usr/local/lib/gguf-fleet && chmod 0755 /opt/engine")
        made.sh("chmod 0755 /usr/local/lib/gguf-fleet/service && chmod 0600 /etc/gguf-fleet/*.env")
        for name in PORTS:
            made.sh(f"/usr/local/lib/gguf-fleet/service start {name}")
        yield made


def by_the_script(host: Host, name: str) -> bool:
    return "running, pid" in host.sh(f"/usr/local/lib/gguf-fleet/service status {name} 2>&1", check=False)


def answers(host: Host, name: str) -> bool:
    return "ok" in host.sh(f"curl -fsS --retry 20 --retry-connrefused --retry-delay 1 127.0.0.1:{PORTS[name]}/health")


def test_a_program_that_does_not_answer_gives_way_to_the_script_again(host: Host) -> None:
    first = host.sh("sha256sum /etc/gguf-fleet/services/*/* /etc/gguf-fleet/*.env /usr/local/lib/gguf-fleet/service")
    text = message(run(host, task("demo", "--broken")))
    assert "this version does not serve" in text
    assert "demo was put back" in text and "serves again" in text
    assert by_the_script(host, "demo") and answers(host, "demo")
    again = host.sh("sha256sum /etc/gguf-fleet/services/*/* /etc/gguf-fleet/*.env /usr/local/lib/gguf-fleet/service")
    assert again == first
    assert host.sh("ls /etc/gguf-fleet/programs /var/lib/gguf-fleet/pending").split() == [
        "/etc/gguf-fleet/programs:",
        "/var/lib/gguf-fleet/pending:",
    ]
    assert host.sh("pgrep -f '[g]guf-fleet/supervisord' || true") == ""


def test_a_move_is_announced_and_left_for_later_when_nothing_may_restart(host: Host) -> None:
    would = run(host, task("demo"), options=("--check",))
    assert f"restart demo: /etc/gguf-fleet/programs/demo.json is new, {MOVED}" in would.stdout
    assert "os.execve" not in would.stdout, "a program of ours is in the diff"
    later = ("demo still runs as before, a restart is due",)
    done = run(host, task("demo", restart="never"), warnings=later)
    assert done.returncode == 0, done.stdout + done.stderr
    assert MOVED in done.stdout + done.stderr
    assert by_the_script(host, "demo") and answers(host, "demo")
    assert changed(run(host, task("demo", restart="never"), warnings=later)) == 0


def test_a_move_takes_one_restart_and_the_script_goes_with_the_last_service(host: Host) -> None:
    done = run(host, task("demo"))
    assert changed(done) == 1, done.stdout
    assert f"{MOVED}\n" in done.stdout
    assert host.sh("grep -c '^serving' /var/log/gguf-fleet/demo.log").strip() == "3", "first, put back, moved"
    assert answers(host, "demo") and by_the_script(host, "other")
    assert changed(run(host, task("demo"), task("other", restart="drain"))) == 1
    assert host.sh("ls /etc/gguf-fleet/services /usr/local/lib/gguf-fleet").split()[1:] == [
        "/usr/local/lib/gguf-fleet:",
        "run-service",
        "supervisor",
        "supervisorctl",
        "supervisord",
    ]
    told = host.sh(f"{CONTROL} status")
    assert [line.split()[:2] for line in told.splitlines()] == [["demo", "RUNNING"], ["other", "RUNNING"]]
    assert changed(run(host, task("demo"), task("other"))) == 0


def test_a_service_that_moved_is_stopped_and_removed(host: Host) -> None:
    assert changed(run(host, task("demo", state="stopped"))) == 1
    assert "STOPPED" in host.sh(f"{CONTROL} status demo", check=False)
    assert changed(run(host, task("demo", state="stopped"))) == 0
    for name in PORTS:
        assert changed(run(host, task(name, state="absent"))) == 1
        assert changed(run(host, task(name, state="absent"))) == 0
    assert host.sh("ls /etc/gguf-fleet/programs; pgrep -u daemon; pgrep -f '[g]guf-fleet/supervisord' || true") == ""
