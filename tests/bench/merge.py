# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-merge`: gguf_merge beside llama-gguf-split, cat, cp and openssl, on shards with a header like R1's.

Also how long it takes to prove the shards by a seal, and to make one.

Every contender's output is synced inside its time. Rounds take the contenders in an order drawn anew, once with warm
and once with cold page cache (dropping it takes root). Needs three times the size on disk; all of it is removed at the
end.

OLLAMA_TEST_BINARY=/path/to/bin/ollama adds the articles' way with a real server, `ollama create`; without it only the
floor of that way is measured: merge, hash, copy.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import mmap
import os
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import conftest  # makes the checkout importable as the collection

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import parse_header, read_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.tests.bench import merge_ollama
from ansible_collections.gguf.fleet.tests.bench.quiet import Quiet, spread
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    Tensor,
    header,
    pad,
    shard_name,
    split_kv,
)

PROCESS = Path(conftest.__file__).parent / "bench" / "merge_process.py"
SEAL_PROCESS = PROCESS.with_name("seal_process.py")
SHARDS = 6
MIB = 1 << 20
STORE_IMPORT = "gguf_merge + store import"
VERIFY, SEAL = "sealed shards verified", "gguf_seal of the shards"
CREATE = "gguf-split + ollama create"


@dataclass(frozen=True)
class Sample:
    wall: float
    cpu: float
    rss_mib: float
    read_mib: float  # from the disk, not from the page cache
    disk_mib: float


# --- input -----------------------------------------------------------------------------------------------------------


def r1_like_tensors(total_bytes: int) -> list[Tensor]:
    """1,025 tensors in R1's proportions: 58 layers of experts hold nearly everything."""
    experts = 58 * 3
    row = 256 * 256
    count = total_bytes // experts // (row // 256 * 50)
    tensors = [Tensor("token_embd.weight", (256, 40_000), "Q4_K"), Tensor("output.weight", (256, 40_000), "Q6_K")]
    for block in range(3, 61):
        tensors += [
            Tensor(f"blk.{block}.ffn_{part}_exps.weight", (256, 256, count), "IQ1_S") for part in ("gate", "down", "up")
        ]
        tensors += [Tensor(f"blk.{block}.attn_{number}.weight", (256, 64), "Q4_K") for number in range(10)]
        tensors += [Tensor(f"blk.{block}.norm_{number}.weight", (7168,), "F32") for number in range(4)]
    left = 1025 - len(tensors)
    return tensors + [Tensor(f"blk.{number % 3}.dense_{number}.weight", (256, 64), "Q6_K") for number in range(left)]


# What a program wants to know of an R1 before it takes a file for one.
R1_SHAPE: dict[str, tuple[str, Any]] = {
    "block_count": ("u32", 61),
    "context_length": ("u32", 163_840),
    "embedding_length": ("u32", 7168),
    "feed_forward_length": ("u32", 18_432),
    "attention.head_count": ("u32", 128),
    "attention.head_count_kv": ("u32", 128),
    "attention.q_lora_rank": ("u32", 1536),
    "attention.kv_lora_rank": ("u32", 512),
    "attention.key_length": ("u32", 192),
    "attention.value_length": ("u32", 128),
    "attention.layer_norm_rms_epsilon": ("f32", 1e-6),
    "leading_dense_block_count": ("u32", 3),
    "expert_count": ("u32", 256),
    "expert_used_count": ("u32", 8),
    "expert_shared_count": ("u32", 1),
    "expert_feed_forward_length": ("u32", 2048),
    "expert_weights_scale": ("f32", 2.5),
    "expert_weights_norm": ("bool", True),
    "expert_gating_func": ("u32", 2),
    "vocab_size": ("u32", 129_280),
    "rope.dimension_count": ("u32", 64),
    "rope.freq_base": ("f32", 10_000.0),
}


def r1_like_kv() -> dict[str, tuple[str, Any]]:
    words = random.Random(1)
    token = [f"{words.randrange(1 << 32):x}" for _word in range(129_280)]
    return {
        "general.architecture": ("str", "deepseek2"),
        "general.name": ("str", "R1-like"),
        "general.file_type": ("u32", 24),
        **{f"deepseek2.{name}": value for name, value in R1_SHAPE.items()},
        "tokenizer.ggml.model": ("str", "gpt2"),
        "tokenizer.ggml.tokens": ("[str]", token),
        "tokenizer.ggml.token_type": ("[i32]", [1] * len(token)),
        "tokenizer.ggml.merges": ("[str]", [f"{one} {two}" for one, two in zip(token[:127_741], token[1:])]),
    }


def write_input(folder: Path, total_bytes: int) -> list[Path]:
    tensors = r1_like_tensors(total_bytes)
    groups: list[list[Tensor]] = [[] for _shard in range(SHARDS)]
    share = sum(tensor.nbytes for tensor in tensors) / SHARDS
    done = 0
    for tensor in tensors:
        groups[min(SHARDS - 1, int(done / share))].append(tensor)
        done += tensor.nbytes
    # Without that bit no two bytes are a float that is none: programs that look at the numbers shall take the file.
    block = random.Random(2).randbytes(16 * MIB).translate(bytes(byte & ~0x40 for byte in range(256)))
    paths = []
    for index, group in enumerate(groups):
        kv = {**(r1_like_kv() if index == 0 else {}), **split_kv(index, SHARDS, len(tensors))}
        path = folder / shard_name(index, SHARDS)
        with path.open("wb") as file:
            file.write(pad(header(kv, group)))
            for tensor in group:
                left = -(-tensor.nbytes // 32) * 32
                while left:
                    left -= file.write(block[: min(left, len(block))])
        paths.append(path)
    os.sync()
    return paths


# --- measuring -------------------------------------------------------------------------------------------------------


def used_mib(folder: Path) -> float:
    """Disk that the folder takes; a file with several names counts once."""
    blocks = {}
    for root, _folders, files in os.walk(folder):
        for name in files:
            try:
                status = os.stat(os.path.join(root, name))
            except FileNotFoundError:
                continue
            blocks[status.st_ino] = status.st_blocks
    return sum(blocks.values()) * 512 / MIB


# Starts the command from a small process: a process inherits the peak memory of the one that starts it.
LAUNCHER = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=2)
_pid, status, usage = os.wait4(process.pid, 0)
wall, cpu = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
print(json.dumps([status, wall, cpu, usage.ru_maxrss / 1024, usage.ru_inblock / 2048]))
"""


def measure(command: list[str], folder: Path) -> Sample:
    """Run a command and watch it. The folder holds all input and output."""
    done = threading.Event()
    peak = [used_mib(folder)]

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], used_mib(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    launched = subprocess.run(launch, capture_output=True, text=True, check=True)
    done.set()
    watcher.join()
    status, wall, cpu, rss_mib, read_mib = json.loads(launched.stdout)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{launched.stderr}")
    return Sample(wall, cpu, rss_mib, read_mib, peak[0])


def warm(paths: list[Path]) -> None:
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.read(8 * MIB):
                pass


def settle(size_bytes: int) -> None:
    """Take and free memory: a virtual machine gives freed pages back to its host, and who takes them next pays a fault
    for each, whichever contender that is."""
    size_bytes = min(size_bytes, os.sysconf("SC_AVPHYS_PAGES") * mmap.PAGESIZE)
    with mmap.mmap(-1, size_bytes, mmap.MAP_PRIVATE) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        for offset in range(0, size_bytes, MIB):
            memory[offset] = 1


def cold(paths: list[Path]) -> None:
    os.sync()
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")
    except OSError:
        for path in paths:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# --- contenders ------------------------------------------------------------------------------------------------------


def native_gguf_split(folder: Path) -> list[str]:
    """Debian's llama-gguf-split with its libraries, taken out of the image so that no container is in its time."""
    copy = (
        "set -e; binary=$(command -v llama-gguf-split); cp -L $binary /out/;"
        " ldd $binary | awk '$3 ~ /^\\// {print $3} $1 ~ /^\\// {print $1}' | xargs -I{} cp -L {} /out/"
    )
    folder.mkdir()
    docker = ["docker", "run", "--rm", "--network=none", f"--volume={folder}:/out", "gguf-fleet-forky"]
    subprocess.run([*docker, "sh", "-c", copy], check=True)
    return [str(folder / "ld-linux-x86-64.so.2"), "--library-path", str(folder), str(folder / "llama-gguf-split")]


def shell(script: str) -> list[str]:
    return ["sh", "-ec", script]


class Bench:
    def __init__(self, folder: Path, total_bytes: int) -> None:
        self.tools = folder / "tools"
        self.gguf_split = " ".join(native_gguf_split(self.tools))
        self.folder = folder / "data"
        self.folder.mkdir()
        self.paths = write_input(self.folder, total_bytes)
        self.model_bytes = sum(path.stat().st_size for path in self.paths)
        self.lock = self.tools / "lock.json"
        subprocess.run(self.seal("write"), check=True)
        self.out = self.folder / "merged"
        self.store = self.folder / "store"
        self.ollama = merge_ollama.real_ollama(self.folder, self.store)

    def ours(self, *store: str, **options: Any) -> list[str]:
        arguments = [str(self.paths[0]), str(self.out), str(self.folder / "ledger.json"), json.dumps(options), *store]
        return [sys.executable, "-I", "-S", str(PROCESS), *arguments]

    def seal(self, what: str) -> list[str]:
        return [sys.executable, "-I", "-S", str(SEAL_PROCESS), what, str(self.lock), str(self.folder)]

    @property
    def contenders(self) -> dict[str, list[str]]:
        shards = " ".join(str(path) for path in self.paths)
        upstream = f"{self.gguf_split} --merge {self.paths[0]} {self.out} && sync {self.out}"
        imported = self.ours(str(self.store))
        contenders = {
            "gguf_merge": self.ours(get_sha256=False),
            "gguf_merge + sha256": self.ours(),
            "llama-gguf-split": shell(upstream),
            "cat": shell(f"cat {shards} >{self.out} && sync {self.out}"),
            "cp": shell(f"mkdir {self.out}.d && cp {shards} {self.out}.d && sync {self.out}.d/*"),
            "openssl dgst -sha256": shell(f"openssl dgst -sha256 {shards}"),
            VERIFY: self.seal("verify"),
            SEAL: self.seal("measure"),
            STORE_IMPORT: imported,
            "floor: merge + dgst + cp": shell(
                f"{upstream}; openssl dgst -sha256 {self.out}; cp {self.out} {self.out}.blob; sync {self.out}.blob"
            ),
        }
        if self.ollama is not None:
            ready = self.ollama.when_up()
            contenders[STORE_IMPORT] = shell(self.ollama.around(f"{ready}; {shlex.join(imported)}"))
            contenders[CREATE] = shell(self.ollama.around(f"{ready}; {upstream}; {self.ollama.create(self.out)}"))
        return contenders

    def clean(self) -> None:
        for path in self.folder.iterdir():
            if path in self.paths:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        os.sync()

    def run(self, rounds: int, prepare: Callable[[list[Path]], None], files: int) -> dict[str, list[Sample]]:
        """files: how many of the model's size come into the page cache."""
        samples: dict[str, list[Sample]] = {name: [] for name in self.contenders}
        order = random.Random(3)
        for number in range(rounds):
            for name in order.sample(list(samples), len(samples)):
                self.store.mkdir()
                prepare(self.paths)
                settle(files * self.model_bytes)
                sample = measure(self.contenders[name], self.folder)
                samples[name].append(sample)
                print(f"  {number + 1}/{rounds} {name:28} {sample.wall:7.2f} s {sample.cpu:6.2f} s CPU", flush=True)
                self.clean()
        return samples

    def consume(self) -> Sample:
        """Last of all, since it takes the shards away."""
        digests = {}
        for path in self.paths:
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while chunk := file.read(MIB):
                    digest.update(chunk)
            digests[path.name] = digest.hexdigest()
        return measure(self.ours(consume=True, shard_sha256=digests), self.folder)


# --- report ----------------------------------------------------------------------------------------------------------


def middle(samples: list[Sample]) -> Sample:
    def median(part: str) -> float:
        return statistics.median(getattr(sample, part) for sample in samples)

    return Sample(median("wall"), median("cpu"), median("rss_mib"), median("read_mib"), median("disk_mib"))


def report(title: str, samples: dict[str, list[Sample]], model_mib: float, quiet: Quiet, hash_bar: float) -> None:
    middles = {name: middle(of) for name, of in samples.items()}
    print(f"\n{title}: medians of {len(samples['cat'])}, model {model_mib:,.0f} MiB")
    print(f"{'':28}{'wall s':>9}{'spread':>9}{'CPU s':>9}{'RSS MiB':>9}{'read, models':>14}{'disk, models':>14}")
    for name, of in middles.items():
        print(
            f"{name:28}{of.wall:>9.2f}{spread([sample.wall for sample in samples[name]]):>9.0%}"
            f"{of.cpu:>9.2f}{of.rss_mib:>9.0f}"
            f"{of.read_mib / model_mib:>14.2f}{of.disk_mib / model_mib:>14.2f}"
        )
    ours, hashed = middles["gguf_merge"], middles["gguf_merge + sha256"]
    upstream, cat = middles["llama-gguf-split"], middles["cat"]
    openssl = middles["openssl dgst -sha256"]
    compare = quiet.compare
    compare("wall / llama-gguf-split", ours.wall / upstream.wall, 0.6)
    compare("wall / cat", ours.wall / cat.wall, 0.77)
    compare("CPU / llama-gguf-split", ours.cpu / upstream.cpu, 0.7)
    compare("wall with sha256 / slower of cat and openssl", hashed.wall / max(cat.wall, openssl.wall), hash_bar)
    compare("CPU with sha256 / gguf_merge and openssl", hashed.cpu / (ours.cpu + openssl.cpu), 1.05)
    compare("sealed shards verified / openssl", middles[VERIFY].wall / openssl.wall, 0.6)
    compare("RSS in MiB", max(ours.rss_mib, hashed.rss_mib), 64)
    floor = middles["floor: merge + dgst + cp"]
    listed = middles[STORE_IMPORT].wall
    compare("shards to listed model / its floor", listed / floor.wall, 0.5)
    if CREATE in middles:
        compare(f"shards to listed model / {CREATE}", listed / middles[CREATE].wall, 0.15)
    else:
        print(f"  skipped: {CREATE} ({merge_ollama.BINARY} names no real server)")


def header_speed(paths: list[Path], quiet: Quiet) -> None:
    whole = merge_layout([read_header(str(path)) for path in paths]).header
    seconds = []
    for _again in range(7):
        gc.collect()
        started = time.perf_counter()
        parsed = parse_header(whole)
        seconds.append(time.perf_counter() - started)
    print(f"\nheader of {len(whole) / MIB:.1f} MiB, {len(parsed.kv)} metadata entries, {len(parsed.tensors)} tensors")
    quiet.compare("parsed in seconds, median", statistics.median(seconds), 0.2)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--gigabytes", type=float, default=6.4)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--dir", help="where the files go (default: a folder of the cache)")
    given = arguments.parse_args()
    base: Optional[str] = given.dir
    if base is None:
        base = os.path.join(os.environ.get("GGUF_FLEET_CACHE") or os.path.expanduser("~/.cache/gguf-fleet"), "bench")
        os.makedirs(base, exist_ok=True)
    quiet = Quiet()
    with tempfile.TemporaryDirectory(prefix="merge-", dir=base) as folder:
        bench = Bench(Path(folder), int(given.gigabytes * 1e9))
        model_mib = bench.model_bytes / MIB
        largest_mib = max(path.stat().st_size for path in bench.paths) / MIB
        header_speed(bench.paths, quiet)
        for title, prepare, files, most in (("warm page cache", warm, 1, 1.08), ("cold page cache", cold, 2, 1.12)):
            print(f"\n{title}")
            report(title, bench.run(given.rounds, prepare, files), model_mib, quiet, most)
        consumed = bench.consume()
        print(f"\nconsume: {consumed.wall:.2f} s wall, {consumed.cpu:.2f} s CPU")
        quiet.compare("peak disk in models", consumed.disk_mib / model_mib, round(1.005 + largest_mib / model_mib, 3))
        quiet.describe()


if __name__ == "__main__":
    main()
