# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store in the attacker's own directory, a model, and what an attacker does to names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import parse_name
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import store_directories, store_removal
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.apply import Made, apply, make_present
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import Settings
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.plan import Wanted, ours, plan_absent
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import parse_version, rules_for
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.weights import weights_of
from ansible_collections.gguf.fleet.tests.attacks.conftest import ATTACKER, AsUser
from ansible_collections.gguf.fleet.tests.builders import gguf as builders

MODEL = builders.gguf(builders.MODEL_KV, builders.tensors(2))
RULES = rules_for(parse_version("0.33.2"))

# Exchanges two names as often as it can: swap.py FIRST SECOND [FIRST SECOND ...]; says when it begins.
SWAP = """
import ctypes, itertools, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pairs = [(a.encode(), b.encode()) for a, b in zip(sys.argv[1::2], sys.argv[2::2])]
print("begins", flush=True)
for first, second in itertools.cycle(pairs):
    libc.renameat2(-100, first, -100, second, 2)
"""


def swap(as_user: AsUser, *names: object) -> None:
    """The attacker exchanges these pairs of names from now on."""
    process = as_user(SWAP, *names)
    assert process.stdout is not None and process.stdout.readline() == "begins\n"


def seconds(limit: float) -> Iterator[int]:
    """Counts until the time is over."""
    end, count = time.monotonic() + limit, 0
    while time.monotonic() < end:
        yield count
        count += 1


def give(path: Path) -> Path:
    """To the attacker, with all that is below."""
    for found in (path, *path.rglob("*")):
        os.lchown(found, ATTACKER, ATTACKER)
    return path


@dataclass(frozen=True)
class Host:
    """What root does with a store."""

    models: Path
    ledger: Ledger

    def make(self) -> store_directories.Outcome:
        return store_directories.present(str(self.models), (ATTACKER, ATTACKER), self.ledger)

    def bring(self, file: Path, name: str = "model") -> Made:
        with self.opened() as store, weights_of(str(file), self.ledger, note=True, protect=True) as weights:
            made = make_present(store, Wanted(parse_name(name), Settings(system="x"), weights), RULES, self.ledger)
            self.warnings[:] = [*made.plan.warnings, *store.warnings]
            return made

    def prune(self) -> None:
        with self.opened() as store:
            apply(store, plan_absent(store, ours(store, self.ledger), self.ledger).actions, self.ledger)

    def uninstall(self) -> store_directories.Outcome:
        return store_removal.absent(str(self.models), self.ledger)

    @contextmanager
    def opened(self) -> Iterator[Store]:
        with Store(str(self.models), locks=self.ledger.directory) as store:
            yield store

    @property
    def warnings(self) -> list[str]:
        return _WARNINGS

    @property
    def blobs(self) -> Path:
        return self.models / "blobs"

    @property
    def manifests(self) -> Path:
        return self.models / "manifests"


_WARNINGS: list[str] = []


@pytest.fixture
def host(attackers: Path, reachable: Path) -> Host:
    """The store is not there yet; it is to be in the attacker's home."""
    return Host(attackers / "models", Ledger(str(reachable / "of-ledger" / "ledger.json")))


@pytest.fixture
def model(reachable: Path) -> Path:
    """A verified file of root's."""
    folder = reachable / "verified"
    folder.mkdir(mode=0o755)
    file = folder / "model.gguf"
    file.write_bytes(MODEL)
    file.chmod(0o444)
    return file
