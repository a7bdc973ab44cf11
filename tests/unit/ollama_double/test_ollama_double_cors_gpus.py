# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who the stand-in lets in, and where it lays a model's layers."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.cors import cors, host_allowed
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.environment import Environment
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.epochs import epochs
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.gguf import Gguf, Tensor
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.gpus import Gpu, visible
from ansible_collections.gguf.fleet.tests.doubles.ollama.ollama_standin.placement import DoesNotFit, place

GIB = 1 << 30


@pytest.mark.parametrize(
    ("origins", "origin", "status", "allowed"),
    [
        ("*", "http://10.1.2.3", 204, "*"),
        ("", "http://localhost:3000", 204, "http://localhost:3000"),
        ("", "vscode-webview://abc", 204, "vscode-webview://abc"),
        ("", "http://10.1.2.3", 403, None),
        ("http://10.1.2.*", "http://10.1.2.3", 204, "http://10.1.2.3"),
        ("https://chat.example", "http://chat.example", 403, None),
        ("", "http://127.0.0.1:11434", None, None),
        ("", "", None, None),
    ],
)
def test_preflights_follow_the_origins(
    origins: str, origin: str, status: Optional[int], allowed: Optional[str]
) -> None:
    env = Environment({"HOME": "/", "OLLAMA_ORIGINS": origins}, epochs("0.5.7"))
    answered, headers = cors(origin, "127.0.0.1:11434", "OPTIONS", env.origins)
    assert (answered, headers.get("Access-Control-Allow-Origin")) == (status, allowed)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost:11434", True),
        ("127.0.0.1", True),
        ("[::1]:11434", True),
        ("192.168.1.5:11434", True),
        ("box.internal", True),
        ("", True),
        ("evil.example", False),
        ("8.8.8.8", False),
    ],
)
def test_only_local_names_and_addresses_are_hosts(host: str, allowed: bool) -> None:
    assert host_allowed(host) is allowed


def gpus(count: int) -> list[Gpu]:
    return [Gpu(number, f"GPU-{number}0", "X", 24 * GIB, 24 * GIB) for number in range(count)]


@pytest.mark.parametrize(
    ("selection", "numbers"),
    [("", [0, 1, 2]), ("2,0", [2, 0]), ("GPU-10", [1]), ("-1", []), ("0,9,1", [0]), ("none", [])],
)
def test_cuda_visible_devices_is_cut_at_the_first_unknown(selection: str, numbers: list[int]) -> None:
    assert [gpu.number for gpu in visible(gpus(3), selection)] == numbers


def model(blocks: int, block_gib: int) -> Gguf:
    kv: dict[str, Any] = {"general.architecture": "llama", "llama.attention.head_count": 1, "llama.embedding_length": 1}
    tensors = [Tensor(f"blk.{number}.w", (block_gib * GIB,), 24, 0) for number in range(blocks)]
    return Gguf(
        kv, [], [*tensors, Tensor("output.weight", (GIB,), 24, 0), Tensor("token_embd.weight", (GIB,), 24, 0)], 0
    )


@pytest.mark.parametrize(
    ("cards", "num_gpu", "layers", "used"),
    [
        ([24, 24], -1, 5, [9, 0]),
        ([6, 6], -1, 5, [5, 4]),
        ([6], -1, 3, [5]),
        ([24], 2, 2, [3]),
        ([24], 99, 5, [9]),
        ([24], 0, 0, [0]),
        ([], -1, 0, []),
    ],
)
def test_layers_go_to_one_gpu_then_to_the_next_then_stay(
    cards: list[int], num_gpu: int, layers: int, used: list[int]
) -> None:
    placed = place(model(4, 2), 16, num_gpu, [card * GIB for card in cards], 0)
    assert placed.layers == layers
    assert [round(amount / GIB) for amount in placed.per_gpu] == used
    assert (placed.size_vram == placed.size) == (layers == 5)


def test_more_layers_than_fit_are_out_of_memory_when_asked_for() -> None:
    with pytest.raises(DoesNotFit, match="cudaMalloc failed: out of memory"):
        place(model(4, 2), 16, 5, [6 * GIB], 0)
