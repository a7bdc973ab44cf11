# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-gateway`: what the way through a gateway and a door adds to a stream, beside nginx and the engine itself.

The gateway and the door are made by our role, with TLS on both hops. The engine streams 20 tokens a second and writes
into each event when it was sent; client, proxies and engine share this machine's clock. Each stream has a warm
connection of its own. What a proxy adds is the paired difference to the same stream that goes straight to the engine.

    python tests/bench/gateway.py [--streams 50] [--tokens 100] [--rounds 2] [--idle 500]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401 -- makes the checkout importable as the collection

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.names import door_name, instance_sni
from ansible_collections.gguf.fleet.tests.bench.quiet import Quiet
from ansible_collections.gguf.fleet.tests.integration.gateway.entrance import (
    GATEWAY,
    Entrance,
    Machine,
    entrance,
    instances,
)

ROOT = Path(__file__).resolve().parents[2]
MODEL, HOST = "slow", "gpu-a"
PACE = 0.05
LATE = 0.020
# Of what is added, in milliseconds: medians of the first token and of those after it.
FIRST_BAR, NEXT_BAR = 2.0, 1.0
NGINX = """
worker_processes auto;
error_log /var/log/nginx/bench.log;
pid /run/nginx.pid;
events { worker_connections 4000; }
http {
    access_log off;
    upstream door { server ADDRESS:8443; keepalive 64; }
    server {
        listen 8444 ssl;
        ssl_certificate /etc/gguf-fleet/gateway/tls/server.pem;
        ssl_certificate_key /etc/gguf-fleet/gateway/tls/server.pem;
        location / {
            proxy_pass https://door;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 1h;
            proxy_ssl_certificate /etc/gguf-fleet/gateway/tls/client.pem;
            proxy_ssl_certificate_key /etc/gguf-fleet/gateway/tls/client.pem;
            proxy_ssl_trusted_certificate /etc/gguf-fleet/gateway/tls/ca.pem;
            proxy_ssl_verify on;
            proxy_ssl_server_name on;
            proxy_ssl_name SNI;
        }
    }
}
"""


@dataclass(frozen=True)
class Way:
    """How a request goes: straight to the engine, or by a proxy in front of it."""

    name: str
    host: str
    port: int
    tls: Optional[ssl.SSLContext] = None
    key: str = ""


@dataclass
class Stream:
    """first: seconds from the request to its first event. late: seconds from engine to client, of each event."""

    first: float = 0.0
    late: list[float] = field(default_factory=list)
    together: int = 0


def message(way: Way, **body: Any) -> bytes:
    data = json.dumps({"model": MODEL, "messages": [], "stream": True, **body}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {way.host}\r\nContent-Length: {len(data)}\r\n"
    head += f"Authorization: Bearer {way.key}\r\n" if way.key else ""
    return head.encode() + b"\r\n" + data


async def request(way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, **body: Any) -> Stream:
    """One stream to its end. Its events are taken as they come: those that one read gives came together."""
    begun = time.monotonic_ns()
    writer.write(message(way, **body))
    await writer.drain()
    found, rest = Stream(), b""
    while True:
        part = await reader.read(65536)
        now = time.monotonic_ns()
        if not part:
            raise ConnectionError(f"{way.name}: the stream was cut: {rest[:300]!r}")
        *whole, rest = (rest + part).split(b"\n\n")
        events = [json.loads(one.partition(b"data: ")[2]) for one in whole if b'"sent"' in one]
        if events and not found.late:
            found.first = (now - begun) / 1e9
        found.late += [(now - event["sent"]) / 1e9 for event in events]
        found.together += max(0, len(events) - 1)
        if b"0\r\n\r\n" in rest or any(b"0\r\n\r\n" in one for one in whole):
            return found
        if not found.late and b"HTTP/1.1 " in rest and b" 200 " not in rest.split(b"\r\n")[0]:
            raise ConnectionError(f"{way.name}: {rest[:300]!r}")


async def connect(way: Way) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(way.host, way.port, ssl=way.tls, server_hostname=way.host if way.tls else None)


async def stream_round(way: Way, streams: int, tokens: int) -> list[Stream]:
    """So many streams at once, each on a connection that was used before, begun at different moments."""

    async def one(number: int) -> Stream:
        reader, writer = await connect(way)
        await request(way, reader, writer, max_tokens=1, pace=0)
        # No two in step.
        await asyncio.sleep(1 + number * (2 + PACE) / streams)
        told = await request(way, reader, writer, max_tokens=tokens, pace=PACE)
        writer.close()
        return told

    return list(await asyncio.gather(*(one(number) for number in range(streams))))


async def idle(way: Way, count: int, memory: Callable[[], list[float]]) -> list[float]:
    """What memory() tells with so many streams that wait for their second token."""
    writers = []
    for _number in range(count):
        reader, writer = await connect(way)
        writer.write(message(way, max_tokens=2, pace=60))
        # One after the other: what a request takes before its first token is not what is asked for here.
        await reader.readuntil(b'"sent"')
        writers.append(writer)
    found = memory()
    for writer in writers:
        writer.close()
    return found


def memory_of(fleet: Entrance, host: str, program: str) -> float:
    """MiB that all processes of this program have beside their files."""
    lines = fleet.sh(host, f"for p in $(pgrep -x {program}); do grep RssAnon /proc/$p/status; done").splitlines()
    return sum(int(line.split()[1]) for line in lines) / 1024


def processor_seconds(fleet: Entrance) -> float:
    """Of all that runs in the containers, by version 1 or 2 of the kernel's control groups."""
    script = "cat /sys/fs/cgroup/cpuacct/cpuacct.usage_user 2>/dev/null || grep user_usec /sys/fs/cgroup/cpu.stat"
    told = [fleet.sh(host, script).split() for host in fleet.hosts]
    return sum(int(words[-1]) / (1e6 if len(words) > 1 else 1e9) for words in told)


def start_nginx(fleet: Entrance) -> None:
    text = NGINX.replace("ADDRESS", fleet.addresses[HOST]).replace("SNI", instance_sni(HOST, f"llama-cpp-{MODEL}"))
    fleet.sh(GATEWAY, f"cat > /etc/nginx/bench.conf <<'END'\n{text}\nEND\nnginx -c /etc/nginx/bench.conf")


def added(ours: Sequence[Stream], straight: Sequence[Stream]) -> tuple[list[float], list[float]]:
    """Milliseconds that the first event, and each one after it, came later than in the stream beside it."""
    first = [(mine.first - other.first) * 1e3 for mine, other in zip(ours, straight)]
    later = [
        (mine - other) * 1e3 for one, two in zip(ours, straight) for mine, other in zip(one.late[1:], two.late[1:])
    ]
    return first, later


def at(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def measure(ways: Sequence[Way], streams: int, tokens: int, rounds: int) -> dict[str, list[Stream]]:
    found: dict[str, list[Stream]] = {way.name: [] for way in ways}
    for _round in range(rounds):
        for way in ways:
            found[way.name] += asyncio.run(stream_round(way, streams, tokens))
    return found


def tell(found: dict[str, list[Stream]], quiet: Quiet) -> None:
    straight = found["engine"]
    for name, streams in found.items():
        events = [late for stream in streams for late in stream.late]
        buffered = sum(stream.together for stream in streams) + sum(late > LATE for late in events)
        print(f"{name}: {len(streams)} streams, {len(events)} events; first token after {_ms(streams)} ms (median)")
        print(f"  events that came with a later one or over {LATE * 1e3:.0f} ms late: {buffered}")
        if streams is straight:
            continue
        first, later = added(streams, straight)
        for what, values in (("the first token", first), ("each next one", later)):
            middle = f"median {statistics.median(values):.2f}, p95 {at(values, 0.95):.2f}, p99 {at(values, 0.99):.2f}"
            print(f"  added to {what}, ms: {middle}")
        if name == "gateway":
            quiet.compare("median added to the first token, ms", statistics.median(first), FIRST_BAR)
            quiet.compare("median added to each next one, ms", statistics.median(later), NEXT_BAR)
            quiet.compare("events held back", buffered, 0)


def _ms(streams: Sequence[Stream]) -> str:
    return f"{statistics.median(stream.first for stream in streams) * 1e3:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--idle", type=int, default=500)
    options = parser.parse_args()
    subprocess.run([ROOT / "tests/images/build.sh", "gateway", "bench"], check=True)
    quiet = Quiet()
    machines = {
        GATEWAY: Machine("gguf-fleet-bench"),
        HOST: Machine("gguf-fleet-gateway", variables=instances(MODEL, slots=2 * options.idle)),
    }
    settings = {"gateway_clients": [{"name": "bench"}]}
    with tempfile.TemporaryDirectory() as place, entrance(Path(place), machines, settings) as fleet:
        quiet.leave_out(lambda: processor_seconds(fleet))
        # The engine's own way in, for the comparison alone.
        command = f"python3 /srv/engine.py --host 0.0.0.0 --port 8081 --model {MODEL}"
        fleet.start(HOST, command)
        fleet.sh(HOST, "until curl -sf -o /dev/null http://127.0.0.1:8081/health; do sleep 0.1; done")
        fleet.converge()
        fleet.wait_until_up()
        start_nginx(fleet)
        tls = ssl.create_default_context(cafile=str(fleet.trust))
        tls.set_alpn_protocols(["http/1.1"])
        entry = fleet.addresses[GATEWAY]
        gateway = Way("gateway", entry, 443, tls, fleet.key("bench"))
        nginx = Way("nginx", entry, 8444, tls)
        straight = Way("engine", fleet.addresses[HOST], 8081)
        print(f"HAProxy {fleet.sh(GATEWAY, 'haproxy -v').split()[2]}, {fleet.sh(GATEWAY, 'nginx -v 2>&1').strip()}")
        print(f"{options.streams} streams at once, {1 / PACE:.0f} tokens a second each, door {door_name(HOST)}")
        tell(measure([straight, gateway, nginx], options.streams, options.tokens, options.rounds), quiet)
        for way, program in ((gateway, "haproxy"), (nginx, "nginx")):

            def memory(program: str = program) -> list[float]:
                return [memory_of(fleet, GATEWAY, program), memory_of(fleet, HOST, "haproxy")]

            before, after = memory(), asyncio.run(idle(way, options.idle, memory))
            print(f"{way.name}: {before[0]:.1f} MiB, with {options.idle} idle streams {after[0]:.1f} MiB")
            print(f"  the door: {before[1]:.1f} MiB, then {after[1]:.1f} MiB")
        quiet.describe()
        print(f"load now: {os.getloadavg()[0]:.2f} over {os.cpu_count()} cores, proxies, engine and client included")


if __name__ == "__main__":
    main()
