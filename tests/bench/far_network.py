# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network namespace that is far away: its packets come late, and some never. Needs root.

The kernel's netem makes it where there is one, a link of our own (far_link.c, two TUN devices) elsewhere. Both delay
what leaves the namespace, so the round trip takes the delay once.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import subprocess
import time
from pathlib import Path
from typing import Iterator, List

NAMESPACE, OUTSIDE, INSIDE = "gguf-bench", "10.231.77.1", "10.231.77.2"
NEAR, FAR = "gf-near", "gf-far"
SEED = 4
# What most servers run. A namespace would take over this machine's choice otherwise.
CONGESTION_CONTROL = "cubic"
_CEILING_SECONDS = 3.0
_CEILING_PORT = 18089


class NotHere(Exception):
    """This machine cannot make the condition."""


@contextlib.contextmanager
def far_network(place: Path, delay_ms: float, loss_percent: float) -> Iterator[List[str]]:
    """Yields the prefix that runs a command in the namespace. It is reached at INSIDE."""
    prefix = ["ip", "netns", "exec", NAMESPACE]
    with contextlib.ExitStack() as stack:
        stack.callback(subprocess.run, ["ip", "netns", "del", NAMESPACE], check=False, stderr=subprocess.DEVNULL)
        _run(f"ip netns add {NAMESPACE}")
        if _has_netem():
            stack.callback(subprocess.run, ["ip", "link", "del", NEAR], check=False, stderr=subprocess.DEVNULL)
            _run(f"ip link add {NEAR} type veth peer name {FAR}")
        else:
            stack.enter_context(_link(place, delay_ms, loss_percent))
        _run(f"ip link set {FAR} netns {NAMESPACE}")
        for at, device, address in ((["-n", NAMESPACE], FAR, INSIDE), ([], NEAR, OUTSIDE)):
            _run(" ".join(["ip", *at, "addr", "add", f"{address}/24", "dev", device]))
            _run(" ".join(["ip", *at, "link", "set", device, "up", "mtu", "1500", "txqueuelen", "10000"]))
        if _has_netem():
            queue = f"netem delay {delay_ms:g}ms loss {loss_percent:g}% limit 100000"
            _run(" ".join([*prefix, f"tc qdisc add dev {FAR} root {queue}"]))
        # By route: a namespace may not choose every congestion control as its default.
        _run(f"ip -n {NAMESPACE} route replace {OUTSIDE}/32 dev {FAR} congctl {CONGESTION_CONTROL}")
        yield prefix


def made_by() -> str:
    return "netem" if _has_netem() else "far_link.c"


def ceiling(place: Path) -> float:
    """Bytes a second that one plain TCP stream gets through the same link without delay and loss."""
    sender = (
        "import socket; server = socket.create_server(('', {port})); stream = server.accept()[0];\n"
        "try:\n    while True: stream.sendall(bytes(1 << 18))\nexcept OSError: pass"
    )
    with far_network(place, 0, 0) as prefix:
        server = subprocess.Popen([*prefix, "python3", "-c", sender.format(port=_CEILING_PORT)])
        try:
            time.sleep(0.5)
            with socket.create_connection((INSIDE, _CEILING_PORT)) as stream:
                began, received, buffer = time.monotonic(), 0, bytearray(1 << 18)
                while time.monotonic() - began < _CEILING_SECONDS:
                    received += stream.recv_into(buffer)
                return received / (time.monotonic() - began)
        finally:
            server.kill()
            server.wait()


@contextlib.contextmanager
def _link(place: Path, delay_ms: float, loss_percent: float) -> Iterator[None]:
    binary = place / "far_link"
    _run(f"gcc -O2 -o {binary} {Path(__file__).with_name('far_link.c')}")
    command = [str(binary), NEAR, FAR, f"{delay_ms:g}", f"{loss_percent:g}", str(SEED)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise NotHere("far_link could not make its devices")
        yield
    finally:
        process.kill()
        process.communicate()


@functools.cache
def _has_netem() -> bool:
    """Ask on a device of its own: only the attempt tells whether the kernel has it."""
    setup = "ip link add gf-probe type dummy && tc qdisc add dev gf-probe root netem delay 1ms"
    done = subprocess.run(["sh", "-c", setup], check=False, capture_output=True)
    subprocess.run(["ip", "link", "del", "gf-probe"], check=False, capture_output=True)
    return done.returncode == 0


def _run(command: str) -> None:
    try:
        done = subprocess.run(command.split(), check=False, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NotHere(f"{command}: {error}") from error
    if done.returncode:
        raise NotHere(f"{command}: {done.stderr.strip()}")
