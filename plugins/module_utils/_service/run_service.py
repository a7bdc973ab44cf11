# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What supervisord starts for a service of gguf.fleet: reads its settings as root, then becomes it.

    run-service NAME          become the service NAME, after what is left of an earlier start was ended
    run-service --end NAME    only end what an earlier start left

It does what supervisord cannot: a pause that grows from crash to crash, limits, no new privileges, an environment from
a file that only root can read, and processes that left the service's group. This file stands alone: hosts get it as it
is, as /usr/local/lib/gguf-fleet/run-service.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import grp
import json
import os
import pwd
import re
import resource
import signal
import subprocess
import sys
import time
import unicodedata
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

PROGRAMS = os.environ.get("GGUF_FLEET_PROGRAMS", "/etc/gguf-fleet/programs")
RUN = os.environ.get("GGUF_FLEET_RUN", "/run/gguf-fleet")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}\Z")
# In the environment of a service's processes: by it they are found, whatever session or parent they have.
MARK = "GGUF_FLEET_SERVICE"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BLANKS = " \t"
END_SECONDS = 10.0
BEFORE_SECONDS = 60.0
PAUSE_MAX_SECONDS = 60.0
# A service that ran this long was healthy: its next start does not wait.
HEALTHY_SECONDS = 60.0
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
LIMITS = {"nofile": resource.RLIMIT_NOFILE, "memlock": resource.RLIMIT_MEMLOCK, "core": resource.RLIMIT_CORE}

Account = Tuple[pwd.struct_passwd, int]


class StartProblem(Exception):
    """Said in the service's log as it is."""


def say(text: str) -> None:
    # A log that cannot be written costs lines, never the service.
    with contextlib.suppress(OSError):
        os.write(2, "{} gguf-fleet: {}\n".format(time.strftime("%Y-%m-%dT%H:%M:%S%z"), text).encode("utf-8", "replace"))


def read_text(path: str) -> str:
    """Of a file that ends its lines at line feeds only: what ends or hides a line for another reader is refused."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        text = stream.read()
    if not text.isascii() or not text.replace("\n", "").replace("\t", "").isprintable():
        for number, line in enumerate(text.split("\n"), 1):
            for character in line:
                if character != "\t" and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs"):
                    raise StartProblem(f"line {number} of {path} holds the character U+{ord(character):04X}: remove it")
    return text


def read_settings(name: str) -> Dict[str, Any]:
    path = os.path.join(PROGRAMS, f"{name}.json")
    try:
        told = json.loads(read_text(path))
        told["command"][0]
        return dict(told)
    except FileNotFoundError:
        raise StartProblem(f"there is no service {name}: {path} is missing") from None
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise StartProblem(f"{path} cannot be read: {error}") from None


def account_of(settings: Dict[str, Any]) -> Account:
    """The user, and the number of the group."""
    try:
        return pwd.getpwnam(settings["user"]), grp.getgrnam(settings["group"]).gr_gid
    except KeyError as error:
        raise StartProblem(f"the service's user or group does not exist: {error}") from None


def environment_file(path: str) -> Dict[str, str]:
    """NAME="value" lines as systemd reads them; in quotes, a backslash stands before a quote or backslash."""
    found: Dict[str, str] = {}
    try:
        lines = read_text(path).split("\n")
    except FileNotFoundError:
        raise StartProblem(f"the environment file {path} is missing") from None
    for line in (line.strip(BLANKS) for line in lines):
        if line and line[0] not in "#;" and "=" in line:
            name, value = line.split("=", 1)
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = re.sub(r'\\(["\\$`])', r"\1", value[1:-1])
            found[name.strip(BLANKS)] = value
    return found


def environment_of(name: str, settings: Dict[str, Any], user: pwd.struct_passwd) -> Dict[str, str]:
    """All of it: nothing of supervisord's own environment goes on."""
    own = {"PATH": PATH, "HOME": settings["home"], "USER": user.pw_name, "LOGNAME": user.pw_name}
    return {**own, **environment_file(settings["environment_file"]), MARK: mark_of(name)}


def mark_of(name: str) -> str:
    # As the script of earlier versions marked them, so that each finds what the other left.
    return os.path.join(RUN, f"{name}.json")


# --- processes


def status_fields(pid: int) -> List[str]:
    """What /proc/PID/stat tells after the name: the state, the parent, …; nothing for a process that is no more."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []
    return [] if fields[0] in "ZX" else fields


def processes() -> Iterator[int]:
    return map(int, filter(str.isdigit, os.listdir("/proc")))


def become(user: pwd.struct_passwd, group: int) -> None:
    if os.geteuid() == 0:
        os.initgroups(user.pw_name, group)
        os.setgid(group)
        os.setuid(user.pw_uid)


def marked(name: str, account: Optional[Account]) -> Tuple[Set[int], Set[int]]:
    """The processes with this service's mark in their environment, and those with another service's.

    Another process looks, as the service's user: without CAP_SYS_PTRACE root may not read what belongs to others. A
    container that shares the host's processes may have a service of the same name, so the mount namespace counts, too.
    """
    reader, writer = os.pipe()
    looking = os.fork()
    if not looking:
        try:
            os.close(reader)
            if account:
                become(*account)
            ours = os.readlink("/proc/self/ns/mnt")
            for pid in processes():
                with contextlib.suppress(OSError):
                    with open(f"/proc/{pid}/environ", "rb") as stream:
                        marks = [entry for entry in stream.read().split(b"\0") if entry.startswith(f"{MARK}=".encode())]
                    if marks and os.readlink(f"/proc/{pid}/ns/mnt") == ours:
                        own = marks[0] == f"{MARK}={mark_of(name)}".encode()
                        os.write(writer, f"{'own' if own else 'other'} {pid}\n".encode())
        finally:
            os._exit(0)
    os.close(writer)
    found: Dict[str, Set[int]] = {"own": set(), "other": set()}
    with os.fdopen(reader, encoding="ascii") as stream:
        for line in stream:
            whose, number = line.split()
            found[whose].add(int(number))
    os.waitpid(looking, 0)
    return found["own"], found["other"]


def supervisord() -> int:
    """The process number of the supervisord that runs us, or of the one that runs; 0 when there is none."""
    for pid in (os.getppid(), noted_supervisord()):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as stream:
            if b"supervisord" in stream.read():
                return pid
    return 0


def noted_supervisord() -> int:
    try:
        with open(os.path.join(RUN, "supervisord.pid"), encoding="ascii") as stream:
            return int(stream.read())
    except (OSError, ValueError):
        return 0


def orphans(account: Optional[Account]) -> Set[int]:
    """Processes of the service's user that lost their parent, which makes them supervisord's own children.

    Root's are left out: what supervisord starts is root's until it has become a service.
    """
    parent = supervisord()
    if not parent or not account or account[0].pw_uid == 0:
        return set()
    found = set()
    for pid in processes():
        fields = status_fields(pid)
        with contextlib.suppress(OSError):
            if fields and int(fields[1]) == parent and os.stat(f"/proc/{pid}").st_uid == account[0].pw_uid:
                found.add(pid)
    return found


def others(name: str) -> Set[int]:
    """The processes that other services are, also those whose environment nobody may read."""
    found = set()
    for file in os.listdir(RUN) if os.path.isdir(RUN) else []:
        if file.endswith(".start") and file != f"{name}.start":
            path = os.path.join(RUN, file)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError), open(path, encoding="ascii") as stream:
                found.add(int(json.load(stream)["pid"]))
    return found


def end_leftovers(name: str, account: Optional[Account]) -> Set[int]:
    """Kill what the service started and left behind; what could not be ended in time.

    An orphan without any mark is the service's, too: it removed the mark from its environment.
    """
    end = time.monotonic() + END_SECONDS
    while True:
        own, other = marked(name, account)
        found = {pid for pid in (own | orphans(account) - other - others(name)) - {os.getpid()} if status_fields(pid)}
        if not found or time.monotonic() >= end:
            return found
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


# --- the pause after a crash


def record_path(name: str) -> str:
    return os.path.join(RUN, f"{name}.start")


def read_record(name: str) -> Dict[str, Any]:
    """The start before this one; nothing for the first one, and after a start or stop by Ansible."""
    try:
        with open(record_path(name), encoding="ascii") as stream:
            told = json.load(stream)
        return {key: float(told[key]) for key in ("starts", "pause", "since", "runs")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_record(name: str, **told: float) -> bool:
    """What `status` and the next start go by; whether there was room for it."""
    fields = status_fields(os.getpid())
    record = {**told, "since": time.monotonic(), "pid": os.getpid(), "pid_start": int(fields[19]) if fields else 0}
    new = f"{record_path(name)}.new"
    try:
        os.makedirs(RUN, 0o755, exist_ok=True)
        with open(new, "w", encoding="ascii") as stream:
            json.dump(record, stream)
        os.replace(new, record_path(name))
    except OSError as error:
        say(f"cannot write {record_path(name)}: {error}")
        return False
    return True


def pause_after(before: Dict[str, Any], now: float, base: float) -> float:
    """How long this start has to wait: doubled at each start, nothing after a run that was long enough."""
    if not before or (before["runs"] and now - before["since"] >= HEALTHY_SECONDS):
        return 0.0
    return min(max(before["pause"] * 2, base), max(PAUSE_MAX_SECONDS, base))


def wait(name: str, base: float) -> Tuple[int, float]:
    """Sit out the pause; which start this is, and the pause."""
    before = read_record(name)
    pause, starts = pause_after(before, time.monotonic(), base), int(before.get("starts", 0)) + 1
    if pause:
        lasted = time.monotonic() - before["since"] if before["runs"] else 0.0
        say(f"ended, start again in {pause:g} s")
        write_record(name, starts=starts, pause=pause, runs=0, lasted=lasted)
        time.sleep(pause)
    return starts, pause


# --- the start


def set_limits(limits: Dict[str, Any]) -> None:
    for name, value in limits.items():
        wanted = resource.RLIM_INFINITY if value == "infinity" else int(value)
        try:
            resource.setrlimit(LIMITS[name], (wanted, wanted))
        except (ValueError, OSError):
            # A container may have less: as much as it allows, as systemd does it.
            hard = resource.getrlimit(LIMITS[name])[1]
            resource.setrlimit(LIMITS[name], (hard, hard))


def run_before(commands: List[List[str]]) -> None:
    """Programs as root that may fail."""
    for command in commands:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(command, stdin=subprocess.DEVNULL, timeout=BEFORE_SECONDS, check=False)


def let_load(name: str, environment: Dict[str, str]) -> None:
    """As the service's user, a program that goes on in the background and may fail."""
    try:
        command = json.loads(read_text(os.path.join(PROGRAMS, f"{name}.loads.json")))
        if command:
            subprocess.run(command, stdin=subprocess.DEVNULL, timeout=BEFORE_SECONDS, check=False, env=environment)
    except FileNotFoundError:
        pass
    except (StartProblem, OSError, ValueError, TypeError, subprocess.SubprocessError) as problem:
        say(f"models are not loaded: {problem}")


def wait_for_lock(path: str) -> None:
    """Return when nobody holds the lock; at once where nobody has made its file."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        finally:
            os.close(descriptor)


def prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def start(name: str) -> None:
    parent = os.getppid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        base = float(read_settings(name).get("restart_seconds", 3))
    except (StartProblem, OSError):
        base = 3.0
    starts, pause = wait(name, base)
    # Only now: what was changed meanwhile counts.
    settings = read_settings(name)
    account = account_of(settings)
    left = end_leftovers(name, account)
    if left:
        say("these processes of the service do not end: {}".format(" ".join(map(str, sorted(left)))))
    environment = environment_of(name, settings, account[0])
    run_before(settings["before"])
    if settings["start_lock"]:
        wait_for_lock(settings["start_lock"])
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    set_limits(settings["limits"])
    if not write_record(name, starts=starts, pause=pause, runs=1, lasted=0) and not pause:
        time.sleep(base)  # the next start does not know of this one
    say("start {}".format(" ".join(settings["command"])))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.umask(int(settings["umask"], 8))
    become(*account)
    if settings["no_new_privileges"]:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    # The change of user has cleared it: no service survives its supervisord.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise StartProblem("supervisord has ended")
    try:
        os.chdir(settings["home"])
    except OSError:
        os.chdir("/")
    let_load(name, environment)
    os.execve(settings["command"][0], settings["command"], environment)


def end(name: str) -> None:
    account = None
    # A service whose settings are gone or cannot be read can be ended all the same.
    with contextlib.suppress(StartProblem, OSError):
        account = account_of(read_settings(name))
    if end_leftovers(name, account):
        raise StartProblem(f"processes that {name} left do not end")


def main(arguments: List[str]) -> int:
    act = end if arguments[:1] == ["--end"] else start
    names = arguments[1:] if act is end else arguments
    try:
        if len(names) != 1 or not NAME.match(names[0]):
            raise StartProblem("give the name of one service")
        act(names[0])
    except (StartProblem, OSError, KeyError, ValueError, TypeError) as problem:
        say(f"cannot start: {problem}" if act is start else str(problem))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
