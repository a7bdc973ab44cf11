#!/usr/bin/env python3
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-download`: gguf_download beside curl, aria2c, the SDKs and openssl, from a server on this machine.

Rounds interleave the contenders; what is compared are medians of one run. Everything is synced inside its time.
Conditions: `free` (loopback), `limited` (25 MB/s a connection), `far` (a round trip of 50 ms, one packet in a thousand
lost on the way to us, the server's TCP is cubic; in a network namespace, which needs root). curl, aria2c and
gguf_download read from one nginx; the SDKs need a hub's protocol, so they and `gguf_download, from the hub double` read
from the hub double, which is a program of its own.
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
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # noqa: F401 -- makes the checkout importable as the collection

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import read_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.tests.bench.far_network import INSIDE, NotHere, ceiling, far_network, made_by
from ansible_collections.gguf.fleet.tests.bench.quiet import Quiet, spread
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    MODEL_KV,
    Tensor,
    header,
    pad,
    shard_name,
    split_kv,
)

MINE = "gguf_download"
MIB = 1 << 20
SHARDS = 4
REPO = "lab/Bench-GGUF"
LIMIT_BYTES_PER_SECOND = 25_000_000
PROCESS = Path(__file__).parent / "download_process.py"
SERVE = Path(__file__).resolve().parents[1] / "doubles" / "hub" / "serve.py"
HUB_PORT = 18083
FAR_DELAY_MS, FAR_LOSS_PERCENT = 50, 0.1
NEEDED = {"curl": "curl", "aria2c": "aria2", "nginx": "nginx-light", "openssl": "openssl"}


@dataclass(frozen=True)
class Sample:
    wall: float
    cpu: float
    rss_mib: float
    disk_mib: float


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
    digests = subprocess.run(["sha256sum", *map(str, paths)], capture_output=True, text=True, check=True).stdout
    files = [
        {
            "path": path.name,
            "size_bytes": path.stat().st_size,
            "sha256": line.split()[0],
            "url": url,
            "header_bytes": head.header_bytes,
        }
        for path, url, head, line in zip(paths, urls, headers, digests.splitlines())
    ]
    merged = {"size_bytes": merge_layout(headers).size_bytes, "sha256": None}
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
def hub(folder: Path, host: str, slow: bool, prefix: Sequence[str]) -> Iterator[str]:
    """The hub double as a program of its own, so that nobody shares an interpreter with it; yields its address."""
    command = [*prefix, sys.executable, str(SERVE), "--root", str(folder), "--host", "0.0.0.0", "--port", str(HUB_PORT)]
    if slow:
        faults = folder.with_name("faults.json")
        faults.write_text(json.dumps([{"kind": "slow", "bytes_per_second": LIMIT_BYTES_PER_SECOND}]), encoding="ascii")
        command += ["--faults", str(faults)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or "listening" not in process.stdout.readline():
            sys.exit("The hub double did not start.")
        yield f"http://{host}:{HUB_PORT}"
    finally:
        process.terminate()
        process.communicate()


class DiskWatch(threading.Thread):
    """The most that a folder took from the disk while something ran."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder = folder
        self._over = threading.Event()
        self._peak_bytes = 0

    def run(self) -> None:
        while not self._over.wait(0.2):
            taken = 0
            for path in self._folder.rglob("*"):
                with contextlib.suppress(FileNotFoundError):
                    taken += path.lstat().st_blocks * 512
            self._peak_bytes = max(self._peak_bytes, taken)

    def peak_mib(self) -> float:
        self._over.set()
        self.join()
        return self._peak_bytes / MIB


def measure(commands: Sequence[Sequence[str]], folder: Path) -> Sample:
    """Run commands one after the other (those that begin with & side by side), then sync the folder's file system."""
    folder.mkdir(parents=True)
    disk = DiskWatch(folder)
    disk.start()
    began, cpu, rss, nowhere = time.monotonic(), 0.0, 0.0, subprocess.DEVNULL
    for command in [*commands, ["sync", "-f", str(folder)]]:
        parts = [part.split(" ") for part in command[1:]] if command[0] == "&" else [command]
        children = [subprocess.Popen(part, stdout=nowhere, stderr=nowhere, cwd=folder) for part in parts]
        for child in children:
            _pid, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise SystemExit(f"{command[0]} failed with {child.returncode}")
            cpu += usage.ru_utime + usage.ru_stime
            rss = max(rss, usage.ru_maxrss / 1024)
    wall = time.monotonic() - began
    peak = disk.peak_mib()
    shutil.rmtree(folder)
    return Sample(wall, cpu, rss, peak)


def ours(lock: Path, connections: str = "auto") -> Contender:
    return lambda folder: [[sys.executable, str(PROCESS), str(lock), str(folder / "merged.gguf"), connections]]


def curl(urls: Sequence[str]) -> Contender:
    return lambda folder: [["curl", "-sf", "--remote-name-all", *urls]]


def aria2(urls: Sequence[str]) -> Contender:
    options = ["-q", "-x8", "-s8", "-j1", "-k1M", "--file-allocation=falloc", "--allow-overwrite=true"]
    return lambda folder: [["aria2c", *options, "-Z", *urls]]


def two_digests(paths: Sequence[Path]) -> Contender:
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


def modelscope(url: str, workers: int, shard_mib: int, merge: bool) -> Contender:
    code = (
        "import os; os.environ.update(MODELSCOPE_ENDPOINT={url!r}, MODELSCOPE_DOWNLOAD_PARALLEL_WORKERS={workers!r},"
        "MODELSCOPE_DOWNLOAD_PARALLEL_THRESHOLD_MB='1', MODELSCOPE_DOWNLOAD_PART_SIZE_MB={part!r},"
        "MODELSCOPE_DOWNLOAD_INTRA_CLOUD='false', MODELSCOPE_CACHE={cache!r});"
        "from modelscope import snapshot_download; snapshot_download({repo!r}, local_dir={folder!r})"
    )
    # The quickest that it has: 32 MB parts where the shards are large, and enough parts for its workers.
    part = str(max(1, min(32, shard_mib // 8)))

    def commands(folder: Path) -> List[Sequence[str]]:
        text = code.format(
            url=url, workers=str(workers), part=part, cache=str(folder / "cache"), repo=REPO, folder=str(folder)
        )
        return [[sys.executable, "-c", text], *(merge_and_sum(folder, "") if merge else [])]

    return commands


def hugging_face(url: str) -> Contender:
    def commands(folder: Path) -> List[Sequence[str]]:
        binary = str(Path(sys.executable).with_name("hf"))
        environment = ["env", f"HF_ENDPOINT={url}", f"HF_HOME={folder}/home", "HF_HUB_DISABLE_XET=1"]
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


def report(condition: str, samples: Dict[str, List[Sample]], size_mib: float, quiet: Quiet) -> None:
    print(f"\n{condition}, {size_mib:.0f} MiB: medians of {len(next(iter(samples.values())))}")
    for name, taken in samples.items():
        print(
            f"  {name:34} {median(samples, name):7.2f} s (spread {spread([sample.wall for sample in taken]):.0%})"
            f"   CPU {median(samples, name, 'cpu'):6.2f} s   RSS {median(samples, name, 'rss_mib'):5.0f} MiB"
            f"   disk {median(samples, name, 'disk_mib'):6.0f} MiB"
        )
    for text, value, wanted, at_most in bars(condition, samples, size_mib):
        quiet.compare(text, value, wanted, at_most=at_most)


def bars(condition: str, samples: Dict[str, List[Sample]], size_mib: float) -> Iterator[tuple[str, float, float, bool]]:
    yield "disk beyond the model's size, MiB", median(samples, MINE, "disk_mib") - size_mib, 64, True
    if "two openssl passes" in samples:
        slowest = max(median(samples, "curl"), median(samples, "two openssl passes"))
        yield "merged and verified / slowest of curl and two SHA-256", median(samples, MINE) / slowest, 1.05, True
        cpu = median(samples, "curl", "cpu") + median(samples, "two openssl passes", "cpu")
        yield "CPU / CPU of curl and two SHA-256", median(samples, MINE, "cpu") / cpu, 1.3, True
    if "gguf_download, 16 connections" in samples:
        yield "RSS at 16 connections, MiB", median(samples, "gguf_download, 16 connections", "rss_mib"), 120, True
    if condition != "free" and "aria2c -x8 (unverified)" in samples:
        yield "time / aria2c -x8", median(samples, MINE) / median(samples, "aria2c -x8 (unverified)"), 1.1, True
    for name in ("SDK 1 + merge + sha256", "SDK 8 + merge + sha256"):
        if name in samples and "gguf_download, from the hub double" in samples:
            quicker = median(samples, name) / median(samples, "gguf_download, from the hub double")
            yield f"{name} / gguf_download", quicker, 2.5, False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--far-size-mib", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--conditions", default="free,limited,far")
    parser.add_argument("--only", help="contenders beside gguf_download by name, with ; between")
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
    forky = subprocess.run(["docker", "image", "inspect", "gguf-fleet-forky"], capture_output=True, check=False)
    if forky.returncode:
        print("The image gguf-fleet-forky is not here: the manual way is measured without its merge.", file=sys.stderr)
    quiet = Quiet()
    for condition in options.conditions.split(","):
        root = place / condition
        size_mib = options.far_size_mib if condition == "far" else options.size_mib
        paths = make_shards(root / "hub" / REPO, size_mib * MIB)
        try:
            samples = bench_condition(condition, root, paths, options, merge=forky.returncode == 0)
            report(condition, samples, sum(path.stat().st_size for path in paths) / MIB, quiet)
        except NotHere as reason:
            print(f"\n{condition}: not measured, this machine cannot make it ({reason})")
        shutil.rmtree(root)
    quiet.describe()


def bench_condition(
    condition: str, root: Path, paths: Sequence[Path], options: argparse.Namespace, *, merge: bool
) -> Dict[str, List[Sample]]:
    far, limited = condition == "far", condition == "limited"
    host = INSIDE if far else "127.0.0.1"
    urls = [f"http://{host}:{18082 if limited else 18081}/{path.name}" for path in paths]
    lock = root / "nginx.json"
    lock.write_text(json.dumps(make_lock(paths, urls)), encoding="utf-8")
    with contextlib.ExitStack() as stack:
        prefix: List[str] = []
        if far:
            print(
                f"\nfar: made by {made_by()}; one plain TCP stream gets {ceiling(root) / MIB:.0f} MiB/s through it "
                "without delay and loss"
            )
            prefix = stack.enter_context(far_network(root, FAR_DELAY_MS, FAR_LOSS_PERCENT))
        stack.enter_context(nginx(root / "hub" / REPO, root / "nginx", prefix))
        address = stack.enter_context(hub(root / "hub", host, limited, prefix))
        hub_lock = root / "hub.json"
        hub_urls = [f"{address}/models/{REPO}/resolve/master/{path.name}" for path in paths]
        hub_lock.write_text(json.dumps(make_lock(paths, hub_urls)), encoding="utf-8")
        shard_mib = paths[0].stat().st_size // MIB
        contenders: Dict[str, Contender] = {
            MINE: ours(lock),
            "gguf_download, 16 connections": ours(lock, "16"),
            "curl": curl(urls),
            "aria2c -x8 (unverified)": aria2(urls),
            "gguf_download, from the hub double": ours(hub_lock),
            "SDK 1 + merge + sha256": modelscope(address, 1, shard_mib, merge),
            "SDK 8 + merge + sha256": modelscope(address, 8, shard_mib, merge),
            "hf download (unverified)": hugging_face(address),
        }
        if condition == "free":
            contenders["two openssl passes"] = two_digests(paths)
        if options.only:
            contenders = {name: contenders[name] for name in [MINE, *options.only.split(";")]}
        return run_rounds(contenders, root, options.rounds)


if __name__ == "__main__":
    main()
