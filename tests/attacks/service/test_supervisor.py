# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on services without systemd: forged settings, supervisord's socket, a full disk, processes that hide."""

from __future__ import annotations

import json
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import environment, supervisord
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import Service as Values
from ansible_collections.gguf.fleet.tests.attacks.conftest import AsUser
from ansible_collections.gguf.fleet.tests.integration.engines.supervised import SERVE, Service, alive

# Each ends a line for some reader (Python's splitlines, a text file opened as such, systemd) or hides one.
LINE_ENDS = ["\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\u202e", "\u200b", "\x00"]
HIDDEN = "setsid sleep 300 & echo $! > {child}.new && mv {child}.new {child}; wait"
HOSTILE = [
    "%(ENV_PATH)s %(here)s %%",
    'a"b\\"c\'',
    "x ; user=root",
    "[program:forged]",
    "=/bin/touch",
    "#; ;#",
]


@pytest.fixture
def service(reachable: Path) -> Iterator[Service]:
    made = Service(reachable)
    yield made
    made.end()


def started(service: Service) -> dict[str, Any]:
    assert service.daemon().returncode == 0
    service.until(lambda: service.status()["active"])
    return service.status()


# --- values


PARSE = """import json, sys
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(["-c", sys.argv[1]])
groups = options.configroot.supervisord.process_group_configs
told = [(p.name, p.command, p.uid, p.environment, p.directory) for group in groups for p in group.process_configs]
servers = [(server["family"].name, oct(server.get("chmod", 0))) for server in options.server_configs]
json.dump([told, servers], sys.stdout)
"""


@pytest.mark.parametrize("word", HOSTILE)
def test_no_value_becomes_configuration_of_supervisord(service: Service, word: str) -> None:
    service.unit(SERVE, {"GREETING": word, "TOKEN": word}, (word,))
    for folder in ("run", "log"):
        (service.folder / folder).mkdir()
    parse = [sys.executable, "-c", PARSE, str(service.folder / "supervisord.conf")]
    programs, servers = json.loads(subprocess.run(parse, check=True, capture_output=True, text=True).stdout)
    assert programs == [["demo", f"{service.folder}/run-service demo", None, {}, None]]
    assert servers == [["AF_UNIX", "0o600"]]


@pytest.mark.parametrize("field", ["description", "command", "user", "group", "home", "name"])
@pytest.mark.parametrize("end", ["\n", *LINE_ENDS], ids=ascii)
def test_no_character_of_a_value_makes_a_line(field: str, end: str) -> None:
    forged = f"x{end}[program:forged]"
    values: dict[str, Any] = dict.fromkeys(("name", "description", "user", "group", "home"), "demo")
    values["command"] = ("/bin/true",)
    values[field] = (forged,) if field == "command" else forged
    service = Values(**values)
    with pytest.raises(ServiceProblem):
        supervisord.settings(service)
        supervisord.program(service)


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
def test_no_character_of_a_file_makes_a_variable_or_a_setting(service: Service, end: str) -> None:
    service.unit(SERVE)
    (service.folder / "env").write_bytes(f'GREETING="x{end}GREETING=forged{end}"\n'.encode())
    done = service.run("run-service", "demo")
    assert done.returncode == 1
    assert f"holds the character U+{ord(end[0]):04X}" in done.stderr
    (service.folder / "env").write_text(environment.render({"GREETING": "x"}))
    settings = service.programs / "demo.json"
    settings.write_text(settings.read_text().replace("Demo", f"Demo{end}"), newline="")
    assert f"holds the character U+{ord(end[0]):04X}" in service.run("run-service", "demo").stderr


# --- what the service's user can reach


REACH = """import os, socket, sys
got = []
for path in sys.argv[2:]:
    for flags in (os.O_WRONLY, os.O_RDWR | os.O_CREAT):
        try:
            os.close(os.open(path, flags)); got.append(path)
        except OSError:
            pass
    try:
        os.rename(path, path + ".moved"); got.append(path)
    except OSError:
        pass
try:
    peer = socket.socket(socket.AF_UNIX); peer.connect(sys.argv[1]); got.append(sys.argv[1])
except OSError:
    pass
print(got)
"""


def test_the_service_s_user_reaches_neither_socket_nor_configuration(service: Service, as_user: AsUser) -> None:
    service.unit(SERVE)
    started(service)
    sock = service.folder / "run/supervisor.sock"
    service.until(sock.exists)
    status = sock.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o600, 0, 0)
    files = [path for path in service.folder.rglob("*") if path.is_file()]
    assert {"demo.conf", "demo.json", "supervisord.conf", "run-service"} <= {path.name for path in files}
    tried = as_user(REACH, sock, *files)
    assert tried.communicate(timeout=30)[0].strip() == "[]"
    pid = service.supervisor()
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=False).stdout
    assert f"pid={pid}," not in listening


def test_the_environment_of_a_service_is_in_no_file_that_others_can_read(service: Service, as_user: AsUser) -> None:
    service.unit(SERVE, {"TOKEN": "planted-secret"})
    (service.folder / "env").chmod(environment.MODE)
    started(service)
    read = "import sys\nfor p in sys.argv[1:]:\n  try: print(open(p, errors='replace').read())\n  except OSError: pass"
    tried = as_user(read, *[path for path in service.folder.rglob("*") if path.is_file()])
    assert "planted-secret" not in tried.communicate(timeout=30)[0]


# --- logs and full disks


def test_the_log_of_a_flooding_engine_has_a_bound(service: Service) -> None:
    service.unit(
        "yes a line of some length, again and again | head -c 30000000; " + SERVE, log_bytes=20_000, log_files=3
    )
    started(service)
    service.until(lambda: "serving" in service.log())
    logs = sorted(path.name for path in (service.folder / "log").glob("demo.*"))
    assert logs == ["demo.log", "demo.log.1", "demo.log.2"]
    # supervisord reads at most 128 KiB before it looks at the size.
    assert sum(path.stat().st_size for path in (service.folder / "log").glob("demo.*")) <= 3 * (20_000 + 2**17)


@pytest.fixture
def full(service: Service) -> Iterator[Path]:
    """A small file system for state and logs, filled to the last byte by `fill`."""
    small = service.folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=12", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets root mount nothing")
    for name in ("run", "log"):
        (small / name).mkdir()
        (service.folder / name).symlink_to(small / name)
    yield small
    service.end()
    subprocess.run(["umount", "--lazy", str(small)], check=True)
    for name in ("run", "log"):
        (service.folder / name).unlink()


def fill(small: Path) -> None:
    with (small / "filler").open("ab", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(1024))
        except OSError:
            pass
    for number in range(100):
        try:
            (small / f"inode-{number}").touch()
        except OSError:
            return


# 15,000 bytes, then, on a sign, more lines than a pipe holds, one by one, then a sign of life, again and again.
WRITER = """import os, time
os.write(1, bytes(15_000))
while not os.path.exists("{go}"):
    time.sleep(0.05)
while True:
    for line in range(2000):
        os.write(1, b"a line of some length, again and again, until the pipe would be full\\n")
        time.sleep(0.0005)
    open("{beat}", "w").write(str(os.getpid()))
"""


def test_a_full_disk_ends_neither_the_service_nor_supervisord(service: Service, full: Path) -> None:
    beat, go = service.folder / "beat", service.folder / "go"
    (service.folder / "writer").write_text(WRITER.format(beat=beat, go=go))
    service.unit(f"exec /usr/bin/python3 {service.folder}/writer", log_bytes=20_000)
    started(service)
    supervisor = service.supervisor()
    service.until(lambda: (full / "log/demo.log").stat().st_size >= 15_000)
    # What is still in memory is soon enough for a rotation, which cannot be: there is room for no file.
    fill(full)
    go.touch()
    service.until(lambda: beat.exists() and beat.read_text())
    # It comes back when its process is killed.
    first = child_of(supervisor)
    os.kill(first, signal.SIGKILL)
    service.until(partial(beats_with_another, beat, first), 40)
    assert alive(supervisor)
    for path in full.glob("inode-*"):
        path.unlink()
    (full / "filler").unlink()
    size = len(service.log())
    service.until(lambda: len(service.log()) != size)


def child_of(supervisor: int) -> int:
    told = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return int(told[0]) if told else 0


def beats_with_another(beat: Path, first: int) -> bool:
    told = beat.read_text().strip() if beat.exists() else ""
    return bool(told) and int(told) != first


# --- what a service leaves


def nobody(service: Service) -> dict[str, Any]:
    """The settings of a service that runs as another user, which may write below its folder."""
    (service.folder / "own").mkdir(exist_ok=True)
    os.chown(service.folder / "own", pwd.getpwnam("nobody").pw_uid, -1)
    return {"user": "nobody"}


def start_hiding(service: Service, hidden: str = HIDDEN) -> int:
    own = nobody(service)
    child = service.folder / "own/child"
    service.unit(hidden.format(child=child), **own)
    started(service)
    service.until(child.exists)
    return int(child.read_text())


@pytest.mark.parametrize("capable", [True, False], ids=["with CAP_SYS_PTRACE", "without"])
@pytest.mark.parametrize("verb", ["start", "stop"])
def test_what_a_killed_supervisord_left_is_ended(service: Service, capable: bool, verb: str) -> None:
    if not capable:
        # Root may not look into processes of other users, as in most containers.
        service.within = ("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", "--")
    hidden, pid = start_hiding(service), service.status()["pid"]
    os.kill(service.supervisor(), signal.SIGKILL)
    service.until(lambda: not alive(pid))
    assert alive(hidden), "the hidden process has a session of its own"
    if verb == "start":
        (service.folder / "run/demo.start").unlink()
        started(service)
    else:
        assert service.run("run-service", "--end", "demo").returncode == 0
    assert not alive(hidden)


def test_what_a_killed_service_left_is_ended_before_it_starts_again(service: Service) -> None:
    hidden, pid = start_hiding(service), service.status()["pid"]
    os.kill(pid, signal.SIGKILL)
    service.until(lambda: service.status()["active"] and service.status()["pid"] != pid)
    assert not alive(hidden)


def test_a_process_that_hides_its_environment_is_ended_with_the_service(service: Service) -> None:
    hidden = start_hiding(service, HIDDEN.replace("setsid", "setsid env -i"))
    assert service.control("stop", "demo").returncode == 0
    assert alive(hidden)
    assert service.run("run-service", "--end", "demo").returncode == 0
    assert not alive(hidden)


def test_a_sibling_of_the_same_user_is_not_ended_even_if_its_environment_cannot_be_read(service: Service) -> None:
    service.unit(SERVE, **nobody(service))
    # A program that its user cannot read: the kernel then hides its environment from that user.
    sibling = service.folder / "sibling"
    sibling.write_bytes(Path("/usr/bin/sleep").read_bytes())
    sibling.chmod(0o711)
    told = json.loads((service.programs / "demo.json").read_text())
    (service.programs / "other.json").write_text(json.dumps({**told, "command": [str(sibling), "300"]}))
    section = (service.programs / "demo.conf").read_text()
    (service.programs / "other.conf").write_text(section.replace("demo", "other"))
    started(service)
    other = service.folder / "run/other.start"
    service.until(lambda: other.exists() and json.loads(other.read_text())["runs"])
    pid = json.loads(other.read_text())["pid"]
    service.until(lambda: "sibling" in Path(f"/proc/{pid}/cmdline").read_text())
    assert service.run("run-service", "--end", "demo").returncode == 0
    assert alive(pid)


def test_only_the_service_s_own_processes_are_ended(service: Service) -> None:
    mark = service.folder / "run/demo.json"
    others = [
        subprocess.Popen(["sleep", "300"], env={"GGUF_FLEET_SERVICE": f"{mark}2"}),
        # Of another container, seen through a shared table of processes.
        subprocess.Popen(["unshare", "--mount", "sleep", "300"], env={"GGUF_FLEET_SERVICE": str(mark)}),
        subprocess.Popen(["sleep", "300"], user="nobody", env={}),
    ]
    try:
        hidden = start_hiding(service)
        assert service.control("stop", "demo").returncode == 0
        assert service.run("run-service", "--end", "demo").returncode == 0
        assert not alive(hidden)
        assert [other.poll() for other in others] == [None, None, None]
    finally:
        for other in others:
            other.kill()
            other.wait()
