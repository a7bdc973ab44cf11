# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a fuzz target without atheris: over its corpus, and over some random inputs, always the same ones.

    python tests/fuzz/replay.py SUBJECT

It looks for no new faults; it keeps the targets themselves in order, and what was found once from coming back.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RANDOM_INPUTS = 200
MAX_SECONDS = 3.0


class FuzzedDataProvider:
    """The part of atheris' class of this name that the targets use; it cuts the same kinds out of other bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def remaining_bytes(self) -> int:
        return len(self._data)

    def ConsumeBytes(self, count: int) -> bytes:
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def ConsumeInt(self, count: int) -> int:
        return int.from_bytes(self.ConsumeBytes(count), "little", signed=True)

    def ConsumeIntInRange(self, low: int, high: int) -> int:
        return low + int.from_bytes(self.ConsumeBytes(4), "little") % (high - low + 1)

    def ConsumeBool(self) -> bool:
        return bool(self.ConsumeIntInRange(0, 1))

    def ConsumeProbability(self) -> float:
        return self.ConsumeIntInRange(0, 1000) / 1000

    def ConsumeFloat(self) -> float:
        special = [0.0, -1.5, 1e308, float("inf"), float("nan")]
        return special[self.ConsumeIntInRange(0, len(special) - 1)]

    def ConsumeUnicode(self, count: int) -> str:
        raw = self.ConsumeBytes(2 * count)
        return raw.decode("utf-16-le", "surrogatepass") if len(raw) % 2 == 0 and _whole(raw) else raw.decode("latin-1")

    def ConsumeUnicodeNoSurrogates(self, count: int) -> str:
        return self.ConsumeBytes(count).decode("latin-1")

    ConsumeString = ConsumeUnicodeNoSurrogates

    def PickValueInList(self, values: list[Any]) -> Any:
        return values[self.ConsumeIntInRange(0, len(values) - 1)]


def _whole(raw: bytes) -> bool:
    try:
        raw.decode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


@contextlib.contextmanager
def _instrument_imports(**_options: object) -> Iterator[None]:
    yield


def stand_in() -> types.ModuleType:
    module: Any = types.ModuleType("atheris")
    module.FuzzedDataProvider = FuzzedDataProvider
    module.instrument_imports = _instrument_imports
    module.instrument_all = module.Setup = module.Fuzz = lambda *_arguments: None
    return module


def inputs(subject: str) -> Iterator[bytes]:
    seeds = [path.read_bytes() for path in sorted((HERE / "corpus" / subject).glob("*"))]
    yield b""
    yield from seeds
    dice = random.Random(subject)
    for _input in range(RANDOM_INPUTS):
        data = bytearray(dice.choice(seeds) if seeds and dice.random() < 0.7 else dice.randbytes(dice.randrange(400)))
        for _change in range(dice.randrange(4)):
            at = dice.randrange(len(data) + 1)
            data[at : at + dice.randrange(4)] = dice.randbytes(dice.randrange(6))
        yield bytes(data)


def main(subject: str) -> None:
    sys.modules["atheris"] = stand_in()
    sys.path.insert(0, str(HERE))
    target = importlib.import_module(f"fuzz_{subject}")
    count, ends = 0, time.monotonic() + MAX_SECONDS
    for count, data in enumerate(inputs(subject), start=1):
        try:
            target.one_input(data)
        except BaseException:
            print(f"{subject}: this input is not met: {data!r}", file=sys.stderr)
            raise
        if time.monotonic() > ends and count > 20:
            break
    print(f"{subject}: {count} inputs")


if __name__ == "__main__":
    main(sys.argv[1])
