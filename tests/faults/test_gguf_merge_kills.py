# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A merge that is killed, at every step and at any moment, ends in the right bytes and loses nothing on the way."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.builders.gguf import (
    MODEL_KV,
    Tensor,
    gguf,
    pad,
    split_set,
    tensors,
    write_shards,
)

PROCESS = Path(__file__).parent / "gguf_merge_process.py"
GROUPS = [
    [Tensor("token_embd.weight", (80_001,), "I8")],
    tensors(3, prefix="a", items=20_000),
    [],
    [Tensor("odd.weight", (9_999,), "I8"), *tensors(2, prefix="b", items=30_000)],
]
SHARDS = split_set(GROUPS)
SUMS = [hashlib.sha256(shard).hexdigest() for shard in SHARDS]
WHOLE = pad(
    gguf(
        {**MODEL_KV, "split.no": ("u16", 0), "split.tensors.count": ("i32", 7), "split.count": ("u16", 0)},
        [tensor for group in GROUPS for tensor in group],
    )
)
SUM = hashlib.sha256(WHOLE).hexdigest()


class Scene:
    """A set of shards, and merges of it in processes that may die."""

    def __init__(self, directory: Path, consume: bool) -> None:
        directory.mkdir()
        self.paths = [Path(path) for path in write_shards(directory, SHARDS)]
        (directory / "digests").write_text("".join(f"{path.name} {sum}\n" for path, sum in zip(self.paths, SUMS)))
        self.dest = directory / "merged.gguf"
        self.directory = directory
        self.consume = consume

    def command(self, kill_at: int = 0) -> list[str]:
        consume = "consume" if self.consume else "keep"
        ledger = str(self.directory / "ledger.json")
        start = [sys.executable, "-I", "-S", str(PROCESS), str(self.paths[0]), str(self.dest), ledger]
        return [*start, consume, str(kill_at)]

    def check_nothing_is_lost(self) -> None:
        assert not self.dest.exists() or self.dest.read_bytes() == WHOLE
        for path, content in zip(self.paths, SHARDS):
            if path.exists():
                assert path.read_bytes() == content
            else:
                assert self.consume
        temporary = self.directory / ".merged.gguf.merging"
        missing = [index for index, path in enumerate(self.paths) if not path.exists()]
        if missing and not self.dest.exists():
            # what is gone is whole in the unfinished file
            content = temporary.read_bytes()
            for tensor in (tensor for index in missing for tensor in GROUPS[index]):
                assert tensor.content in content

    def finish(self) -> int:
        run = subprocess.run(self.command(), capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        assert self.dest.read_bytes() == WHOLE
        assert [path.exists() for path in self.paths] == [not self.consume] * 4
        digest, resumed = run.stdout.split()[1:]
        assert digest == SUM
        rest = {path.name for path in self.directory.iterdir()} - {path.name for path in self.paths}
        assert rest <= {"merged.gguf", "ledger.json", "ledger.json.lock", "ledger.json.new", "digests"}
        return int(resumed)


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"])
@pytest.mark.parametrize("consume", [False, True], ids=["keep", "consume"])
def test_killed_before_any_of_its_steps_it_ends_right(consume: bool, stride: int, tmp_path: Path) -> None:
    step = 1 - stride
    kills = resumed = 0
    while True:
        step += stride
        scene = Scene(tmp_path / str(step), consume)
        run = subprocess.run(scene.command(step), capture_output=True, text=True, check=False)
        if run.returncode == 0:
            break
        assert run.returncode == -9, run.stderr
        kills += 1
        scene.check_nothing_is_lost()
        resumed += scene.finish() > 0
    assert kills >= 25 // stride
    assert resumed >= 10 // stride


def killed_after(scene: Scene, seconds: float) -> bool:
    """Start a merge and kill it so long after it began; whether it died."""
    with subprocess.Popen(scene.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        time.sleep(seconds)
        process.kill()
        return process.wait() == -9


@pytest.mark.parametrize("wanted", [8, pytest.param(50, marks=pytest.mark.long)])
@pytest.mark.parametrize("consume", [False, True], ids=["keep", "consume"])
def test_killed_at_random_it_ends_right(consume: bool, wanted: int, tmp_path: Path) -> None:
    # a seed that is printed on failure, another one in every run
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    kills = number = 0
    while kills < wanted:
        number += 1
        scene = Scene(tmp_path / str(number), consume)
        for _again in range(5):
            died = killed_after(scene, chance.uniform(0, 0.03))
            scene.check_nothing_is_lost()
            kills += died
            if not died:
                break
        scene.finish()


def test_killed_twice_at_the_same_place_it_ends_right(tmp_path: Path) -> None:
    for step in range(5, 40, 5):
        scene = Scene(tmp_path / str(step), True)
        for again in (step, 3):
            subprocess.run(scene.command(again), capture_output=True, check=False)
            scene.check_nothing_is_lost()
        scene.finish()
