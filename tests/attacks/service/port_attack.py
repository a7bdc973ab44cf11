# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run as root on a host: python3 port_attack.py. A local user takes the service's port before we ask the service.

Prints one JSON object: for each scene what we made of it, and what the other end was sent.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Callable

sys.path.insert(0, str(Path(__file__).absolute().parents[6]))

from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service import health, peer

SERVICE, ATTACKER = 65534, 61234
KEY = "sk-planted-secret"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
started: list[int] = []


def as_user(uid: int, work: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            # As a program that was started is: its user may look into it.
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
            work()
        finally:
            os._exit(0)
    started.append(pid)
    return pid


class Port:
    """A port that somebody of this user serves, or a process below theirs; what it is sent is kept."""

    def __init__(self, uid: int, port: int = 0, below: bool = False, only_accept: bool = False) -> None:
        told, telling = os.pipe()
        self.sent, sending = os.pipe()

        def serve() -> None:
            if below and os.fork():
                time.sleep(60)
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
            with socket.socket() as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(("127.0.0.1", port))
                server.listen()
                os.write(telling, str(server.getsockname()[1]).encode())
                client = server.accept()[0]
            with client:
                if only_accept:
                    os.write(telling, b"accepted")
                data = client.recv(65536)
                os.write(sending, data)
                os.close(sending)
                client.sendall(ANSWER)
            time.sleep(60)

        self.pid = as_user(uid, serve)
        os.close(telling)
        os.close(sending)
        self.number = int(os.read(told, 16))
        self.told = told

    def was_sent(self) -> str:
        return os.read(self.sent, 65536).decode()


def ask(port: int, pid: int) -> str:
    wanted = health.Wanted("llama_cpp", f"http://127.0.0.1:{port}", None, (), False, 10, 10, api_key=KEY)
    try:
        return str(health.endpoint_of(wanted, lambda: pid).ask("POST", "/v1/completions", {}).status)
    except peer.NotTheService as error:
        return error.problem
    except EngineProblem as error:
        return f"failed: {error.problem}"


def idle() -> int:
    return as_user(SERVICE, lambda: time.sleep(60))


def main() -> None:
    scenes = {}
    service = Port(SERVICE)
    scenes["the service"] = [ask(service.number, service.pid), service.was_sent()]
    worker = Port(SERVICE, below=True)
    scenes["a process below it"] = [ask(worker.number, worker.pid), worker.was_sent()]
    thief = Port(ATTACKER)
    scenes["another user"] = [ask(thief.number, idle()), thief.was_sent()]
    sibling = Port(SERVICE)
    scenes["another process of the same user"] = [ask(sibling.number, idle()), sibling.was_sent()]
    stopped = Port(ATTACKER)
    scenes["no service"] = [ask(stopped.number, 0), stopped.was_sent()]
    # The thief takes the connection and leaves the port to the service, before we look.
    quick = Port(ATTACKER, only_accept=True)
    with socket.create_connection(("127.0.0.1", quick.number)) as sock:
        os.read(quick.told, 16)
        late = Port(SERVICE, port=quick.number)
        try:
            peer.prove(sock, lambda: late.pid, seconds=5)
            scenes["one who left the port to the service"] = ["proven", ""]
        except peer.NotTheService as error:
            scenes["one who left the port to the service"] = [error.problem, ""]
    print(json.dumps(scenes))


if __name__ == "__main__":
    try:
        main()
    finally:
        for number in started:
            os.kill(number, signal.SIGKILL)
