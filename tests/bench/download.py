#!/usr/bin/env python3
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-download`: gguf_download beside curl, aria2c, the SDKs and openssl, from a server on this machine.

Rounds interleave the contenders; what is compared are medians of one run. Everything is synced inside its time.
Conditions: `free` (loopback), `limited` (25 MB/s a connection), `far` (50 ms delay and 0.1 % loss, in a network
namespace; needs root). curl, aria2c and gguf_download read from one nginx; the SDKs need a hub's protocol, so they and
`gguf_download hub` read from the hub double.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401 -- makes the checkout importable as the collection

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import read_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble
from ansible_collections.gguf.fleet.tests.unit.plugins.module_utils._gguf.builders import (
    MODEL_KV,
    Tensor,
    header,
    pad,
    shard_name,
    split_kv,
)

MIB = 1 << 20
SHARDS = 4
REPO = "lab/Bench-GGUF"
LIMIT_BYTES_PER_SECOND = 25_000_000
PROCESS = Path(__file__).parent / "download_process.py"
NAMESPACE, OUTSIDE, INSIDE = "gguf-bench", "10.231.77.1", "10.231.77.2"
NEEDED = {"curl": "curl", "aria2c": "aria2", "nginx": "nginx-light", "openssl": "openssl"}


@dataclass(frozen=True)
class Sample:
    wall: float
    cpu: float
    rss_mib: float


class NotHere(Exception):
    """This machine cannot make the condition."""


Contender = Callable[[Path], List[Sequence[str]]]


def make_shards(folder: Path, total_bytes: int) -> List[Path]:
    folder.mkdir(parents=True)
    paths = []
    for index in range(SHARDS):
        size = total_bytes // SHARDS
        tensor = Tensor(f"blk.{index}.weight", (size,), "I8", data=b"")
        kv = {**(MODEL_KV if index == 0 else {}), **split_kv(index, SHARDS, SHARDS)}
        path = folder / shard_name(index, SHARDS, "bench")
        with path.open("wb") as file:
            file.write(pad(header(kv, [tensor])))
            for _mib in range(size // MIB):
                file.write(os.urandom(MIB))
        paths.append(path)
    return paths


def make_lock(paths: Sequence[Path], urls: Sequence[str]) -> Dict[str, object]:
    headers = [read_header(str(path)) for path in paths]
    sums = subprocess.run(["sha256sum", *map(str, paths)], capture_output=True, text=True, check=True).stdout
    files = [
        {
            "path": path.name,
            "size_bytes": path.stat().st_size,
            "sha256": line.split()[0],
            "url": url,
            "header_bytes": head.header_bytes,
        }
        for path, url, head, line in zip(paths, urls, headers, sums.splitlines())
    ]
    merged = {"size_bytes": merge_layout(headers).size_bytes, "sha256": None, "tail_padding_bytes": 0}
    return {"lock_version": 1, "repo": None, "files": files, "merged": merged}


@contextlib.contextmanager
def nginx(folder: Path, state: Path, prefix: Sequence[str] = ()) -> Iterator[None]:
    """Port 18081 as quick as it can, port 18082 with a limit for each connection."""
    state.mkdir()
    config = state / "nginx.conf"
    server = "server {{ listen {port}; root {root}; {limit} }}"
    config.write_text(
        f"daemon off; user root; pid {state}/pid; error_log {state}/log; worker_processes 1;\n"
        "events { worker_connections 512; }\n"
        f"http {{ access_log off; sendfile on; keepalive_requests 100000; client_body_temp_path {state};\n"
        f"proxy_temp_path {state}; fastcgi_temp_path {state}; uwsgi_temp_path {state}; scgi_temp_path {state};\n"
        + server.format(port=18081, root=folder, limit="")
        + "\n"
        + server.format(port=18082, root=folder, limit=f"limit_rate {LIMIT_BYTES_PER_SECOND};")
        + "\n}\n",
        encoding="ascii",
    )
    process = subprocess.Popen([*prefix, "nginx", "-c", str(config)])
    try:
        time.sleep(1)
        if process.poll() is not None:
            sys.exit(f"nginx did not start: {(state / 'log').read_text()}")
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def far_network() -> Iterator[List[str]]:
    """A namespace that is 50 ms away and loses a packet in a thousand; yields the prefix that runs something in it."""
    commands = [
        f"ip netns add {NAMESPACE}",
        f"ip link add gf-out type veth peer name gf-in netns {NAMESPACE}",
        f"ip addr add {OUTSIDE}/24 dev gf-out",
        "ip link set gf-out up",
        f"ip -n {NAMESPACE} addr add {INSIDE}/24 dev gf-in",
        f"ip -n {NAMESPACE} link set gf-in up",
        f"ip netns exec {NAMESPACE} tc qdisc add dev gf-in root netem delay 50ms loss 0.1% limit 100000",
    ]
    try:
        for command in commands:
            done = subprocess.run(command.split(), check=False, capture_output=True, text=True)
            if done.returncode:
                raise NotHere(f"{command}: {done.stderr.strip()}")
        yield ["ip", "netns", "exec", NAMESPACE]
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", "gf-out"], check=False, stderr=subprocess.DEVNULL)


def measure(commands: Sequence[Sequence[str]], folder: Path) -> Sample:
    """Run commands one after the other (those that begin with & side by side), then sync the folder's file system."""
    folder.mkdir(parents=True)
    began, cpu, rss, quiet = time.monotonic(), 0.0, 0.0, subprocess.DEVNULL
    for command in [*commands, ["sync", "-f", str(folder)]]:
        parts = [part.split(" ") for part in command[1:]] if command[0] == "&" else [command]
        children = [subprocess.Popen(part, stdout=quiet, stderr=quiet, cwd=folder) for part in parts]
        for child in children:
            _pid, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise SystemExit(f"{command[0]} failed with {child.returncode}")
            cpu += usage.ru_utime + usage.ru_stime
            rss = max(rss, usage.ru_maxrss / 1024)
    wall = time.monotonic() - began
    shutil.rmtree(folder)
    return Sample(wall, cpu, rss)


def ours(lock: Path, connections: str = "auto") -> Contender:
    return lambda folder: [[sys.executable, str(PROCESS), str(lock), str(folder / "merged.gguf"), connections]]


def curl(urls: Sequence[str]) -> Contender:
    return lambda folder: [["curl", "-sf", "--remote-name-all", *urls]]


def aria2(urls: Sequence[str]) -> Contender:
    options = ["-q", "-x8", "-s8", "-j1", "-k1M", "--file-allocation=falloc", "--allow-overwrite=true"]
    return lambda folder: [["aria2c", *options, "-Z", *urls]]


def two_sums(paths: Sequence[Path]) -> Contender:
    command = " ".join(["openssl", "dgst", "-sha256", *map(str, paths)])
    return lambda folder: [["&", command, command]]


def merge_and_sum(folder: Path, where: str) -> List[Sequence[str]]:
    """What the manual way does after the download."""
    first = shard_name(0, SHARDS, "bench")
    return [
        ["docker", "run", "--rm", "-v", f"{folder}:{folder}", "gguf-fleet-forky", "llama-gguf-split", "--merge",
         f"{folder}/{where}{first}", f"{folder}/merged.gguf"],
        ["sha256sum", "merged.gguf"],
    ]  # fmt: skip


def modelscope(hub: HubDouble, workers: int, merge: bool) -> Contender:
    code = (
        "import os; os.environ.update(MODELSCOPE_ENDPOINT={url!r}, MODELSCOPE_DOWNLOAD_PARALLEL_WORKERS={workers!r},"
        "MODELSCOPE_DOWNLOAD_PARALLEL_THRESHOLD_MB='64', MODELSCOPE_DOWNLOAD_PART_SIZE_MB='32',"
        "MODELSCOPE_DOWNLOAD_INTRA_CLOUD='false', MODELSCOPE_CACHE={cache!r});"
        "from modelscope import snapshot_download; snapshot_download({repo!r}, local_dir={folder!r})"
    )

    def commands(folder: Path) -> List[Sequence[str]]:
        text = code.format(
            url=hub.url, workers=str(workers), cache=str(folder / "cache"), repo=REPO, folder=str(folder)
        )
        return [[sys.executable, "-c", text], *(merge_and_sum(folder, "") if merge else [])]

    return commands


def hugging_face(hub: HubDouble) -> Contender:
    def commands(folder: Path) -> List[Sequence[str]]:
        binary = str(Path(sys.executable).with_name("hf"))
        environment = ["env", f"HF_ENDPOINT={hub.url}", f"HF_HOME={folder}/home", "HF_HUB_DISABLE_XET=1"]
        return [[*environment, binary, "download", REPO, "--local-dir", str(folder)]]

    return commands


def run_rounds(contenders: Dict[str, Contender], place: Path, rounds: int) -> Dict[str, List[Sample]]:
    samples: Dict[str, List[Sample]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, contender in contenders.items():
            folder = place / f"run-{number}"
            samples[name].append(measure(contender(folder), folder))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return samples


def median(samples: Dict[str, List[Sample]], name: str, field: str = "wall") -> float:
    return statistics.median(getattr(sample, field) for sample in samples[name])


def report(condition: str, samples: Dict[str, List[Sample]]) -> None:
    print(f"\n{condition}: medians of {len(next(iter(samples.values())))} (lowest to highest)")
    for name, taken in samples.items():
        walls = sorted(sample.wall for sample in taken)
        print(
            f"  {name:34} {median(samples, name):7.2f} s ({walls[0]:.2f} to {walls[-1]:.2f})"
            f"   CPU {median(samples, name, 'cpu'):6.2f} s   RSS {median(samples, name, 'rss_mib'):5.0f} MiB"
        )
    for text, value, wanted, at_most in bars(samples):
        verdict = "kept" if (value <= wanted) == at_most else "MISSED"
        print(f"  {text}: {value:.2f} (bar {wanted:g}) {verdict}")


def bars(samples: Dict[str, List[Sample]]) -> Iterator[tuple[str, float, float, bool]]:
    mine = "gguf_download"
    if "two openssl passes" in samples:
        slowest = max(median(samples, "curl"), median(samples, "two openssl passes"))
        yield "merged and verified / slowest of curl and two SHA-256", median(samples, mine) / slowest, 1.15, True
        cpu = median(samples, "curl", "cpu") + median(samples, "two openssl passes", "cpu")
        yield "CPU / CPU of curl and two SHA-256", median(samples, mine, "cpu") / cpu, 1.3, True
    if "gguf_download, 16 connections" in samples:
        yield "RSS at 16 connections, MiB", median(samples, "gguf_download, 16 connections", "rss_mib"), 120, True
    if "aria2c -x8 (unverified)" in samples:
        yield "time / aria2c -x8", median(samples, mine) / median(samples, "aria2c -x8 (unverified)"), 1.1, True
    for name in ("SDK 1 + merge + sha256", "SDK 8 + merge + sha256"):
        if name in samples:
            quicker = median(samples, name) / median(samples, "gguf_download, from the hub double")
            yield f"{name} / gguf_download", quicker, 2.5, False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--conditions", default="free,limited,far")
    parser.add_argument("--only", help="contenders by name, with ; between")
    parser.add_argument("--place", type=Path, default=None, help="a directory with three times the size free")
    options = parser.parse_args()
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if missing:
        sys.exit(f"The bench needs programs that are not here. Install them: apt-get install {' '.join(missing)}")
    place = Path(tempfile.mkdtemp(prefix="gguf-bench-", dir=options.place))
    try:
        bench(place, options)
    finally:
        shutil.rmtree(place)


def bench(place: Path, options: argparse.Namespace) -> None:
    paths = make_shards(place / "hub" / REPO, options.size_mib * MIB)
    sdks = subprocess.run(["docker", "image", "inspect", "gguf-fleet-forky"], capture_output=True, check=False)
    if sdks.returncode:
        print("The image gguf-fleet-forky is not here: the manual way is measured without its merge.", file=sys.stderr)
    for condition in options.conditions.split(","):
        try:
            bench_condition(condition, place, paths, options, merge=sdks.returncode == 0)
        except NotHere as reason:
            print(f"\n{condition}: not measured, this machine cannot make it ({reason})")


def bench_condition(
    condition: str, place: Path, paths: Sequence[Path], options: argparse.Namespace, *, merge: bool
) -> None:
    port = 18082 if condition == "limited" else 18081
    host = INSIDE if condition == "far" else "127.0.0.1"
    urls = [f"http://{host}:{port}/{path.name}" for path in paths]
    lock = place / f"{condition}.json"
    lock.write_text(json.dumps(make_lock(paths, urls)), encoding="utf-8")
    faults = [Fault("slow", bytes_per_second=LIMIT_BYTES_PER_SECOND)] if condition == "limited" else []
    contenders: Dict[str, Contender] = {
        "gguf_download": ours(lock),
        "gguf_download, 16 connections": ours(lock, "16"),
        "curl": curl(urls),
        "aria2c -x8 (unverified)": aria2(urls),
    }
    with contextlib.ExitStack() as stack:
        prefix = stack.enter_context(far_network()) if condition == "far" else []
        stack.enter_context(nginx(place / "hub" / REPO, place / f"nginx-{condition}", prefix))
        if condition != "far":
            hub = stack.enter_context(HubDouble(place / "hub", faults=faults))
            hub.catalog.index()
            hub_lock = place / f"{condition}-hub.json"
            hub_lock.write_text(
                json.dumps(make_lock(paths, [hub.file_url(REPO, path.name) for path in paths])), encoding="utf-8"
            )
            contenders["gguf_download, from the hub double"] = ours(hub_lock)
            contenders["SDK 1 + merge + sha256"] = modelscope(hub, 1, merge)
            contenders["SDK 8 + merge + sha256"] = modelscope(hub, 8, merge)
            contenders["hf download (unverified)"] = hugging_face(hub)
        if condition == "free":
            contenders["two openssl passes"] = two_sums(paths)
        if options.only:
            contenders = {name: contenders[name] for name in options.only.split(";")}
        report(condition, run_rounds(contenders, place, options.rounds))


if __name__ == "__main__":
    main()
