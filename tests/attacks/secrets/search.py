# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where planted secrets can be read: on a host while plays run over it, on it afterwards, and in the plays' output."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from ansible_collections.gguf.fleet.tests.attacks.conftest import ATTACKER
from ansible_collections.gguf.fleet.tests.integration.bare_host import BareHost

# Several times a second every process's command line and the environment that the user may read. What was seen is
# kept in memory and written at the end: a file would be found by the search.
SAMPLER = """
import glob, os, signal, sys, time
seen, running = set(), [True]
signal.signal(signal.SIGTERM, lambda *_: running.clear())
while running:
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as stream:
                seen.add(stream.read().replace(b"\\0", b" "))
        except OSError:
            pass
    time.sleep(0.02)
sys.stdout.buffer.write(b"\\n".join(seen))
"""

# Ansible's modules log their arguments; where nothing else takes them, this does.
SYSLOG = """
import os, signal, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("/dev/log")
os.chmod("/dev/log", 0o666)
signal.signal(signal.SIGTERM, lambda *_: listener.close())
logged = []
try:
    while True:
        logged.append(listener.recv(1 << 20))
except OSError:
    pass
sys.stdout.buffer.write(b"\\n".join(logged))
"""

# Every file that the user can read, and the secrets in it. They come by stdin: an argument would be seen.
FILES = """
import json, os, stat, sys
secrets = json.load(sys.stdin)
found = {}
for top in ("/etc", "/run", "/var", "/opt", "/usr/local", "/tmp", "/root", "/home", "/dev/shm"):
    for folder, _folders, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                status = os.lstat(path)
                if not stat.S_ISREG(status.st_mode) or status.st_size > 1 << 26:
                    continue
                with open(path, "rb") as stream:
                    content = stream.read()
            except OSError:
                continue
            kinds = [kind for kind, secret in secrets.items() if secret.encode() in content]
            if kinds:
                found[path] = {"kinds": kinds, "mode": "%04o" % stat.S_IMODE(status.st_mode), "uid": status.st_uid}
print(json.dumps(found))
"""


class Watch:
    """A program in a container that gathers until it is asked for what it has."""

    def __init__(self, host: BareHost, code: str, user: int) -> None:
        # docker's own client would not hand a signal on to the program.
        shell = 'python3 -c "$0" & echo $! >&2; wait'
        command = ["docker", "exec", "--interactive", f"--user={user}", host.name, "sh", "-c", shell, code]
        self._host = host
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._process.stderr is not None
        self._pid = int(self._process.stderr.readline())

    def gathered(self) -> str:
        self._host.sh(f"kill {self._pid}")
        return self._process.communicate(timeout=60)[0].decode(errors="replace")


def kinds_in(text: str, secrets: Mapping[str, str]) -> list[str]:
    return sorted(kind for kind, secret in secrets.items() if secret in text)


def lines_with(text: str, secrets: Mapping[str, str]) -> str:
    """For a failure's message: where it was."""
    return "\n".join(line[:400] for line in text.split("\n") if kinds_in(line, secrets))[:4000]


def files_with(host: BareHost, secrets: Mapping[str, str], user: int = ATTACKER) -> dict[str, dict[str, Any]]:
    command = ["docker", "exec", "--interactive", f"--user={user}", host.name, "python3", "-c", FILES]
    done = subprocess.run(command, input=json.dumps(dict(secrets)), text=True, capture_output=True, check=True)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found
