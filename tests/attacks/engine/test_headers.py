# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A header of a hub or a mirror is hostile: small numbers in it that ask for much work, or much of everything."""

from __future__ import annotations

import json
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import parse_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.info import describe
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import make_plan
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.settings import request_of
from ansible_collections.gguf.fleet.tests.builders.gguf import (
    Tensor,
    gguf,
    header,
    pair,
    string,
)

# An honest header of a large vocabulary takes a tenth of a second and 60 MiB; the bug was 50 s and 351 MiB.
SECONDS = 20.0
MEMORY_BYTES = 320 * 2**20
MIB = 2**20

LOOK = """
import json, sys
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.inspect import inspect
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
try:
    inspect(sys.argv[1])
    print("read")
except Problem as error:
    print("refused:", error)
"""


def look(path: Path) -> str:
    """What gguf_info says of the file, with a limit of memory and of time."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))

    root = Path(__file__).resolve().parents[3] / ".collections"
    ended = subprocess.run(
        [sys.executable, "-c", LOOK, str(path)],
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        preexec_fn=limit,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-500:]
    return ended.stdout


def tiny_keys(count: int) -> bytes:
    return b"".join(struct.pack("<QIiB", 4, number, 7, 0) for number in range(0x41414141, 0x41414141 + count))


HEADERS = {
    "32 MiB of tiny keys": lambda: header(tiny_keys(32 * MIB // 17), kv_count=32 * MIB // 17),
    "as many keys as may be, each long": lambda: header(
        b"".join(pair(f"{number:016d}" * 700, "bool", 1) for number in range(4096)), kv_count=4096
    ),
    "a key of 40 MiB": lambda: header(pair(b"k" * (40 * MIB), "bool", 1), kv_count=1),
    "millions of empty words": lambda: header(
        string("w") + struct.pack("<iiQ", 9, 8, 4 * MIB) + bytes(32 * MIB), kv_count=1
    ),
    "60 MiB of bytes in one list": lambda: header(
        string("w") + struct.pack("<iiQ", 9, 0, 60 * MIB) + bytes(60 * MIB), kv_count=1
    ),
    "300,000 tensors without elements": lambda: header({}, [Tensor(f"{number}", (0,)) for number in range(300_000)]),
    "60,000 tensors without elements": lambda: (
        header({}, [Tensor(f"{number}", (0,)) for number in range(60_000)]) + bytes(64)
    ),
    "shard 1 of 65,535": lambda: header({"split.no": ("u16", 0), "split.count": ("u16", 65535)}),
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_no_header_takes_long_or_much(tmp_path: Path, content: object) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(content())  # type: ignore[operator]
    assert look(file).split(":")[0].strip() in ("read", "refused")


def llama(blocks: Sequence[int], **keys: tuple[str, object]) -> bytes:
    kv: dict[object, tuple[str, object]] = {
        "general.architecture": ("str", "llama"),
        "llama.block_count": ("u32", 2),
        "llama.context_length": ("u32", 4096),
        "llama.embedding_length": ("u32", 64),
        "llama.feed_forward_length": ("u32", 128),
        "llama.attention.head_count": ("u32", 8),
        "llama.attention.head_count_kv": ("u32", 8),
        **{f"llama.{name.replace('__', '.')}": value for name, value in keys.items()},
    }
    tensors = [Tensor(f"blk.{block}.attn_q.weight", (64, 64)) for block in blocks]
    return gguf(kv, [Tensor("token_embd.weight", (64, 8)), *tensors, Tensor("output.weight", (64, 8))])


LIES = {
    "2^31 blocks": llama([0, 1], block_count=("u32", 2**31)),
    "65,536 blocks": llama([0, 1], block_count=("u32", 65536)),
    "2^63 blocks": llama([0, 1], block_count=("u64", 2**63)),
    "a block of a high number": llama([0, 1, 9999]),
    "2^31 experts": llama([0, 1], expert_count=("u32", 2**31), expert_used_count=("u32", 2**31)),
    "2^31 heads": llama([0, 1], attention__head_count=("u32", 2**31), attention__head_count_kv=("u32", 1)),
    "heads in a long list": llama([0, 1], attention__head_count=("[u32]", [8] * 100_000)),
    "a context of 2^63": llama([0, 1], context_length=("u64", 2**63)),
    "a window of 2^32": llama([0, 1], attention__sliding_window=("u32", 2**32 - 1)),
    "more dense blocks than there are": llama([0, 1], leading_dense_block_count=("u32", 2**32 - 1)),
    "negative numbers": llama([0, 1], block_count=("i32", -1), embedding_length=("i32", -1)),
}


@pytest.mark.parametrize("content", LIES.values(), ids=LIES)
@pytest.mark.parametrize("engine", ["ollama", "llama_cpp"])
def test_no_number_of_a_header_sizes_the_work_of_a_plan(content: bytes, engine: str) -> None:
    started = time.monotonic()
    facts = describe([parse_header(content, size_bytes=len(content))])
    assert len(json.dumps(facts)) < 10 * MIB
    gpus = [{"index": index, "memory_total_bytes": 24 * 2**30, "memory_free_bytes": 24 * 2**30} for index in range(8)]
    try:
        model = model_from_facts(facts)
        plan = make_plan(model, devices_from_facts(gpus), request_of(engine, None, {}, {}, {"ram_bytes": 2**36}))
        assert len(json.dumps(plan.as_facts(), default=str)) < 10 * MIB
    except GpuError:
        pass
    assert time.monotonic() - started < SECONDS


def test_a_header_of_the_shape_of_deepseek_r1_is_read_as_before() -> None:
    words = [f"word{number}" for number in range(129_280)]
    content = header(
        {
            **{f"deepseek2.key{number}": ("u32", number) for number in range(40)},
            "general.architecture": ("str", "deepseek2"),
            "deepseek2.block_count": ("u32", 61),
            "tokenizer.ggml.tokens": ("[str]", words),
            "tokenizer.ggml.merges": ("[str]", words),
            "tokenizer.ggml.token_type": ("[i32]", [1] * len(words)),
        },
        [
            Tensor(f"blk.{block}.{kind}.weight", (256, 8), "Q2_K")
            for block in range(61)
            for kind in (*(f"part{number}" for number in range(14)), "ffn_up_exps", "ffn_down_exps", "ffn_gate_exps")
        ],
    )
    parsed = parse_header(content)
    facts = describe([parsed])
    assert (facts["block_count"], facts["tensors"], facts["vocab_size"]) == (61, 1037, len(words))
    assert len(facts["tensor_bytes"]["blocks"]) == 61
