# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which device gets which blocks, and how much memory that takes there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.certainty import Certainty, certainty_of
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.compute import Part, compute_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.engines import (
    BY_MEMORY,
    ROUND_ROBIN,
    Rules,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.memory import Load, kv_bytes, largest_matrix_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Block, Model
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.ollama_estimate import deal


@dataclass(frozen=True)
class Share:
    """What one device holds. The host is the one without a device."""

    device: Optional[Device]
    layers: tuple[int, ...]  # blocks by number; the output layer is the number after the last block
    dense_bytes: int
    experts_bytes: int
    kv_bytes: int
    compute_bytes: int
    copy_bytes: int  # room for one of the host's matrices while a batch is computed
    overhead_bytes: int
    margin_bytes: int = 0  # for what is estimated only

    @property
    def total_bytes(self) -> int:
        held = self.dense_bytes + self.experts_bytes + self.kv_bytes
        return held + self.compute_bytes + self.copy_bytes + self.overhead_bytes + self.margin_bytes

    @property
    def spare_bytes(self) -> int:
        """What is left on the GPU; negative when it does not fit."""
        return 0 if self.device is None else self.device.usable_bytes - self.total_bytes


@dataclass(frozen=True)
class Layout:
    """One way to run a model: C(ngl) layers on GPUs, the experts of the first C(host_experts) blocks on the host."""

    ngl: int
    host_experts: int
    split: tuple[int, ...]  # layers for each device, as -ts takes it
    shares: tuple[Share, ...]
    host: Share

    @property
    def fits(self) -> bool:
        return all(share.spare_bytes >= 0 for share in self.shares)


def lay_out(
    model: Model,
    devices: Sequence[Device],
    load: Load,
    rules: Rules,
    *,
    ngl: Optional[int] = None,
    host_experts: int = 0,
    split: Optional[Sequence[int]] = None,
    cuda: bool = True,
) -> Layout:
    """Lays a model out as the engine does. Without C(ngl), every layer goes to the GPUs.

    :param split: proportions for the devices, as for llama.cpp's -ts; without them the rules' own way is followed.
    :param cuda: false for backends that neither fetch the host's matrices for a batch nor need a context.
    """
    last = len(model.blocks)  # the number of the output layer
    ngl = last + 1 if ngl is None else max(0, min(ngl, last + 1))
    if not devices:
        ngl = 0
    on_gpu = layers_on_gpu(last, ngl, rules.output_counts)
    parts = _parts(
        on_gpu,
        devices,
        split
        if split
        else _split(model, devices, load, rules=rules, ngl=ngl, on_gpu=on_gpu, host_experts=host_experts),
    )
    pipelined = len(devices) > 1 and ngl > last and host_experts == 0
    on_host = [number for number in range(last + 1) if number not in set(on_gpu)]
    fetched = _fetched(model, on_host, host_experts) if cuda and on_gpu else 0
    certainty = certainty_of(model, rules, cuda=cuda and bool(on_gpu))
    context = replace(load, flash_attention=load.flash_attention and (model.flash_attention_on_cuda or not cuda))
    host_blocks = tuple(model.blocks[number] for number in on_host if number < last)
    shares: list[Share] = []
    for device, layers in zip(devices, parts):
        part = Part(
            first=not any(share.layers for share in shares),
            output=last in layers,
            entry=bool(layers) and not host_blocks and not any(share.layers for share in shares),
            blocks=tuple(model.blocks[number] for number in layers if number < last),
            some_elsewhere=any(number < host_experts for number in layers if number < last),
            experts_elsewhere=all(number < host_experts for number in layers if number < last),
            pipelined=pipelined,
            whole=len(devices) == 1 and ngl > last,
        )
        share = _share(model, device, layers, context, part=part, host_experts=host_experts)
        # An unused GPU costs nothing; the first used one does the work for the host's matrices.
        first_used = not any(other.layers for other in shares)
        shares.append(
            replace(
                share,
                margin_bytes=_margin(share, certainty),
                copy_bytes=fetched if layers and first_used else 0,
                overhead_bytes=rules.overhead_bytes if layers and cuda else 0,
            )
        )
    host_part = Part(
        output=last in on_host,
        blocks=host_blocks,
        host=True,
        whole=len(devices) == 1 and ngl > last,
        experts_only=host_experts > 0 and not host_blocks,
        pipelined=pipelined,
    )
    host = _share(model, None, tuple(on_host), context, part=host_part, host_experts=host_experts)
    stranded = sum(
        block.experts_bytes for number, block in enumerate(model.blocks) if number in on_gpu and number < host_experts
    )
    host = replace(
        host,
        experts_bytes=host.experts_bytes + stranded,
        dense_bytes=host.dense_bytes + model.embedding_bytes + model.input_bytes,
    )
    host = replace(host, margin_bytes=_margin(host, certainty))
    return Layout(ngl, host_experts, tuple(len(layers) for layers in parts), tuple(shares), host)


def _margin(share: Share, certainty: Certainty) -> int:
    return certainty.margin_bytes(share.dense_bytes + share.experts_bytes, share.kv_bytes, share.compute_bytes)


def layers_on_gpu(last: int, ngl: int, output_counts: bool) -> list[int]:
    """The layers that -ngl N moves: the last N. Whether the output layer is one of them changed with time."""
    if output_counts:
        return list(range(last + 1 - ngl, last + 1))
    start = max(last - ngl, 0)
    return list(range(start, min(start + ngl, last + 1)))


def _parts(layers: Sequence[int], devices: Sequence[Device], split: Sequence[int]) -> list[tuple[int, ...]]:
    """llama.cpp's rule: layer number i of those on GPUs goes where i / count falls among the summed proportions."""
    parts: list[list[int]] = [[] for _device in devices]
    total = sum(split)
    if not layers or not total:
        return [tuple(part) for part in parts]
    borders = []
    summed = 0
    for share in split:
        summed += share
        borders.append(summed / total)
    for position, number in enumerate(layers):
        parts[min(bisect_right(borders, position / len(layers)), len(devices) - 1)].append(number)
    return [tuple(part) for part in parts]


def _split(
    model: Model,
    devices: Sequence[Device],
    load: Load,
    *,
    rules: Rules,
    ngl: int,
    on_gpu: Sequence[int],
    host_experts: int,
) -> Sequence[int]:
    if rules.dealing == BY_MEMORY:
        return [max(device.usable_bytes, 1) for device in devices]
    if rules.dealing == ROUND_ROBIN:
        dealt = deal(model, devices, load, ngl)
        return dealt if sum(dealt) else [max(device.usable_bytes, 1) for device in devices]
    return _balanced(model, devices, load, on_gpu, host_experts)


def _balanced(
    model: Model, devices: Sequence[Device], load: Load, on_gpu: Sequence[int], host_experts: int
) -> list[int]:
    """The contiguous split whose fullest GPU is the least full, in proportion to what each can hold."""
    last = len(model.blocks)
    sizes = [_layer_bytes(model, number, load, host_experts, last) for number in on_gpu]

    def filled(level: float) -> Optional[list[int]]:
        counts = [0] * len(devices)
        position = 0
        for number, device in enumerate(devices):
            room = level * device.usable_bytes
            while position < len(sizes) and sizes[position] <= room:
                room -= sizes[position]
                counts[number] += 1
                position += 1
        return counts if position == len(sizes) else None

    low, high = 0.0, 1.0
    while filled(high) is None:
        low, high = high, high * 2
    for _step in range(20):
        middle = (low + high) / 2
        low, high = (low, middle) if filled(middle) is not None else (middle, high)
    return filled(high) or [0] * len(devices)


def _layer_bytes(model: Model, number: int, load: Load, host_experts: int, last: int) -> int:
    if number == last:
        return model.gpu_output_bytes
    block = model.blocks[number]
    experts = 0 if number < host_experts else block.experts_bytes
    return block.dense_bytes + experts + kv_bytes(model, block, load)


def _share(
    model: Model, device: Optional[Device], layers: Sequence[int], load: Load, *, part: Part, host_experts: int
) -> Share:
    last = len(model.blocks)
    blocks = [(number, model.blocks[number]) for number in layers if number < last]
    on_host = device is None
    output = 0 if last not in layers else model.host_output_bytes if on_host else model.gpu_output_bytes
    return Share(
        device=device,
        layers=tuple(layers),
        dense_bytes=sum(block.dense_bytes for _n, block in blocks) + output,
        experts_bytes=sum(block.experts_bytes for number, block in blocks if on_host or number >= host_experts),
        kv_bytes=sum(kv_bytes(model, block, load) for _n, block in blocks),
        compute_bytes=compute_bytes(model, load, part) if layers or on_host else 0,
        copy_bytes=0,
        overhead_bytes=0,
    )


def _fetched(model: Model, on_host: Sequence[int], host_experts: int) -> int:
    last = len(model.blocks)
    blocks: list[Block] = [model.blocks[number] for number in on_host if number < last]
    blocks += [block for number, block in enumerate(model.blocks) if number < host_experts]
    return largest_matrix_bytes(model, blocks)
