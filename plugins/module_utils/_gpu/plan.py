# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Whether a model fits, how, and with which numbers of the engine: a search over layouts, its result as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.certainty import Certainty, certainty_of, refusal
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.engines import OLLAMA, ROUND_ROBIN, Rules, rules_for
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.memory import CELLS, Load
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Model
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.placement import Layout, Share, lay_out
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import MIB

FULL, EXPERTS_ON_HOST, SOME_LAYERS, NONE = "full", "experts_on_host", "some_layers", "none"


@dataclass(frozen=True)
class PlanRequest:
    """What is wanted of the engine; None means that the plan chooses."""

    engine: str = OLLAMA
    engine_version: Optional[str] = None
    num_ctx: int = 4096
    num_parallel: int = 1
    key_type: str = "f16"
    value_type: str = "f16"
    flash_attention: Optional[bool] = None
    batch: int = 512
    num_gpu: Optional[int] = None
    host_experts: Optional[int] = None
    split: Optional[tuple[int, ...]] = None
    full_only: bool = False
    ram_bytes: Optional[int] = None


@dataclass(frozen=True)
class Plan:
    request: PlanRequest
    rules: Rules
    model: Model
    layout: Layout
    mode: str
    reason: str
    warnings: tuple[str, ...]
    nearest: Optional[str]
    fewest_gpus: Optional[int]
    largest_num_ctx: int
    certainty: Certainty

    @property
    def fits(self) -> bool:
        return self.mode != NONE

    def as_facts(self) -> dict[str, Any]:
        used = [share for share in self.layout.shares if share.layers]
        facts: dict[str, Any] = {
            "fits": self.fits,
            "mode": self.mode,
            "reason": self.reason,
            "nearest": self.nearest,
            "certainty": self.certainty.as_facts(),
            "warnings": list(self.warnings),
            "model": self.model.name,
            "engine": self.request.engine,
            "engine_version": self.request.engine_version,
            "num_ctx": self.request.num_ctx,
            "num_parallel": self.request.num_parallel,
            "layers_total": len(self.model.blocks) + 1,
            "layers_on_gpu": sum(len(share.layers) for share in used),
            "fewest_gpus": self.fewest_gpus,
            "largest_num_ctx": self.largest_num_ctx,
            "per_device": [
                _device_facts(share, share.device, self.model) for share in self.layout.shares if share.device
            ],
            "host": _host_facts(self.layout.host, self.request),
            "ollama": _ollama_facts(self) if self.request.engine == OLLAMA else {},
            "llama_cpp": _llama_cpp_facts(self) if self.request.engine != OLLAMA else {},
        }
        facts["refusal"] = refusal(facts)
        facts["table"] = table(facts)
        return facts


def make_plan(model: Model, devices: Sequence[Device], request: PlanRequest) -> Plan:
    """The best way to run a model: all of it on the GPUs, else its experts or some of its layers on the host."""
    rules = rules_for(request.engine, request.engine_version)
    load = load_of(request, rules)
    mode, layout = _search(model, devices, request, rules, load)
    fits = mode != NONE
    return Plan(
        request=request,
        rules=rules,
        model=model,
        layout=layout,
        mode=mode,
        reason=_reason(model, layout, mode, request),
        warnings=tuple(_warnings(model, devices, request, rules, load)),
        nearest=None if fits else _nearest(model, devices, request, rules),
        fewest_gpus=_fewest(model, devices, request, rules, load),
        largest_num_ctx=_largest_context(model, devices, request, rules, layout) if fits else 0,
        certainty=certainty_of(model, rules, cuda=any(share.layers for share in layout.shares)),
    )


def mode_of(model: Model, devices: Sequence[Device], request: PlanRequest) -> str:
    """How a model can run, without the rest of a plan."""
    rules = rules_for(request.engine, request.engine_version)
    return _search(model, devices, request, rules, load_of(request, rules))[0]


def choose(
    candidates: Sequence[tuple[str, Model]], hosts: Mapping[str, tuple[Sequence[Device], PlanRequest]]
) -> tuple[str, dict[str, Plan]]:
    """The first quant that every host is known to hold wholly on GPUs; else the smallest with what is possible.

    A host is its GPUs and what is wanted of it. One name is one quant: hosts of a group never get different ones. A
    quant that only seems to fit is passed over for one that is known to, and the plans say so.
    """
    passed: list[str] = []
    if len(candidates) > 1:
        for quant, model in candidates:
            found = {
                host: make_plan(
                    model, devices, replace(request, full_only=True, num_gpu=None, host_experts=None, split=None)
                )
                for host, (devices, request) in hosts.items()
            }
            if all(plan.fits and plan.certainty.known for plan in found.values()):
                return quant, _say_passed(found, passed)
            if all(plan.fits for plan in found.values()):
                passed.append(quant)
    quant, model = min(candidates, key=lambda candidate: candidate[1].size_bytes)
    found = {host: make_plan(model, devices, request) for host, (devices, request) in hosts.items()}
    return quant, _say_passed(found, [name for name in passed if name != quant])


def _say_passed(plans: Mapping[str, Plan], passed: Sequence[str]) -> dict[str, Plan]:
    if not passed:
        return dict(plans)
    words = f"Skipped, since it is not known whether it fits: {', '.join(passed)}."
    return {host: replace(plan, warnings=(*plan.warnings, words)) for host, plan in plans.items()}


def load_of(request: PlanRequest, rules: Rules) -> Load:
    return Load(
        num_ctx=request.num_ctx,
        num_parallel=request.num_parallel,
        key_type=request.key_type,
        value_type=request.value_type,
        flash_attention=rules.flash_attention if request.flash_attention is None else request.flash_attention,
        batch=request.batch,
        latent_values=rules.latent_values,
        sliding_cache=rules.sliding_cache,
        unified=rules.unified,
    )


def _search(
    model: Model, devices: Sequence[Device], request: PlanRequest, rules: Rules, load: Load
) -> tuple[str, Layout]:
    last = len(model.blocks)

    def layout(ngl: int, host_experts: int = 0) -> Layout:
        return lay_out(model, devices, load, rules, ngl=ngl, host_experts=host_experts, split=request.split)

    def holds(candidate: Layout) -> bool:
        return candidate.fits and (request.ram_bytes is None or candidate.host.total_bytes <= request.ram_bytes)

    full = layout(last + 1, request.host_experts or 0)
    if request.num_gpu is not None:
        wanted = layout(request.num_gpu, request.host_experts or 0)
        if not holds(wanted) or (request.full_only and wanted.ngl <= last):
            return NONE, wanted
        return (FULL if wanted.ngl > last and not request.host_experts else SOME_LAYERS), wanted
    if devices and holds(full):
        return (EXPERTS_ON_HOST if request.host_experts else FULL), full
    if request.full_only or request.host_experts is not None:
        return NONE, full
    if request.engine != OLLAMA and model.has_experts and devices:
        fewest = _first_true(1, last, lambda number: layout(last + 1, number).fits)
        if fewest is not None and holds(layout(last + 1, fewest)):
            return EXPERTS_ON_HOST, layout(last + 1, fewest)
    # More layers on the host always means more room on the GPUs.
    on_host = _first_true(1, last + 1, lambda number: layout(last + 1 - number).fits)
    some = layout(last + 1 - (last + 1 if on_host is None else on_host))
    return (SOME_LAYERS, some) if holds(some) else (NONE, full if devices else some)


def _first_true(low: int, high: int, holds: Callable[[int], bool]) -> Optional[int]:
    """The smallest number of a range for which a condition holds that, once true, stays true."""
    if not holds(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _reason(model: Model, layout: Layout, mode: str, request: PlanRequest) -> str:
    host = layout.host
    if mode == FULL:
        spare = min((share.spare_bytes for share in layout.shares if share.layers), default=0)
        return f"All {len(model.blocks)} blocks and the output are on GPUs; the fullest has {_mib(spare):,} MiB left."
    if mode == EXPERTS_ON_HOST:
        return (
            f"All layers are on the GPUs but for the experts of the first {layout.host_experts} blocks "
            f"({_mib(host.experts_bytes):,} MiB), which stay in RAM."
        )
    if mode == SOME_LAYERS:
        gpus = f"{layout.ngl} of {len(model.blocks) + 1} layers are on the GPUs"
        return f"{gpus}; {_mib(host.total_bytes):,} MiB stay in RAM."
    over = [share for share in layout.shares if share.spare_bytes < 0]
    if over:
        worst = min(over, key=lambda share: share.spare_bytes)
        term, size = max(_terms(worst).items(), key=lambda item: item[1])
        return (
            f"{worst.device.label if worst.device else '?'} lacks {_mib(-worst.spare_bytes):,} MiB; "
            f"its largest term is {term} with {_mib(size):,} MiB."
        )
    if request.ram_bytes is not None and host.total_bytes > request.ram_bytes:
        return f"The host needs {_mib(host.total_bytes):,} MiB of RAM and has {_mib(request.ram_bytes):,} MiB."
    return "Not all layers fit on the GPUs, and all of them were asked for."


def _terms(share: Share) -> dict[str, int]:
    return {
        "the weights": share.dense_bytes + share.experts_bytes,
        "the KV cache": share.kv_bytes,
        "the working memory": share.compute_bytes + share.copy_bytes,
    }


def _nearest(model: Model, devices: Sequence[Device], request: PlanRequest, rules: Rules) -> Optional[str]:
    """The smallest concession after which everything fits."""
    smaller: list[tuple[str, PlanRequest]] = []
    if request.num_parallel > 1:
        smaller.append(("with num_parallel 1", replace(request, num_parallel=1)))
    context = request.num_ctx // 2
    while context >= 1024:
        rounded = context // CELLS * CELLS
        smaller.append(
            (f"with num_ctx {rounded} and num_parallel 1", replace(request, num_ctx=rounded, num_parallel=1))
        )
        context //= 2
    if request.num_gpu is not None or request.full_only:
        free = replace(request, num_gpu=None, full_only=False, split=None)
        smaller.append(("with a part of the model in RAM", free))
    for words, weaker in smaller:
        mode, layout = _search(model, devices, weaker, rules, load_of(weaker, rules))
        if mode != NONE:
            gpus = sum(len(share.layers) for share in layout.shares)
            return f"It fits {words} ({gpus} of {len(model.blocks) + 1} layers on the GPUs)."
    return None


def _fewest(model: Model, devices: Sequence[Device], request: PlanRequest, rules: Rules, load: Load) -> Optional[int]:
    """How many of these GPUs, taken in order, hold the whole model."""
    if not devices:
        return None
    return _first_true(1, len(devices), lambda count: lay_out(model, devices[:count], load, rules).fits)


def _largest_context(
    model: Model, devices: Sequence[Device], request: PlanRequest, rules: Rules, layout: Layout
) -> int:
    """The largest context for which this very layout still fits."""
    limit = model.context_length or request.num_ctx

    def too_large(steps: int) -> bool:
        bigger = replace(request, num_ctx=steps * CELLS)
        tried = lay_out(
            model,
            devices,
            load_of(bigger, rules),
            rules,
            ngl=layout.ngl,
            host_experts=layout.host_experts,
            split=request.split,
        )
        enough_ram = request.ram_bytes is None or tried.host.total_bytes <= request.ram_bytes
        return not (tried.fits and enough_ram)

    first = _first_true(1, max(limit // CELLS, 1), too_large)
    return limit if first is None else max((first - 1) * CELLS, 0)


def _warnings(model: Model, devices: Sequence[Device], request: PlanRequest, rules: Rules, load: Load) -> list[str]:
    found = []
    if model.guesses:
        found.append(f"Guessed: {'; '.join(model.guesses)}. A lock with the header's facts makes the plan exact.")
    if model.legacy_deepseek:
        kib = 2 * sum(cache.keys + cache.values for block in model.blocks for cache in block.caches) // 1024
        found.append(
            f"This file has no MLA keys: its KV cache takes {kib:,} KiB a token, "
            "and CUDA has no flash attention for it."
        )
    if model.latent and not rules.reads_latent:
        found.append(f"{request.engine} {request.engine_version} is older than MLA files and will refuse this one.")
    if (request.key_type, request.value_type) != ("f16", "f16") and not load.flash_attention:
        found.append("A quantised KV cache needs flash attention, which is off here.")
    if model.context_length and request.num_ctx > model.context_length:
        found.append(
            f"num_ctx {request.num_ctx} is more than the {model.context_length} that the model was trained for."
        )
    found.extend(
        f"{device.label} is partly taken by other programs ({_mib(device.foreign_bytes):,} MiB)."
        for device in devices
        if device.foreign_bytes
    )
    if rules.dealing == ROUND_ROBIN:
        found.append("CUDA's own memory (457 MiB a card) is the engine's estimate, not a measurement.")
    return found


def _device_facts(share: Share, device: Device, model: Model) -> dict[str, Any]:
    last = len(model.blocks)
    return {
        "host": device.host,
        "index": device.index,
        "uuid": device.uuid,
        "name": device.name,
        "layers": len(share.layers),
        "first_layer": share.layers[0] if share.layers else None,
        "output": last in share.layers,
        "dense_mib": _mib(share.dense_bytes),
        "experts_mib": _mib(share.experts_bytes),
        "kv_mib": _mib(share.kv_bytes),
        "compute_mib": _mib(share.compute_bytes),
        "copy_mib": _mib(share.copy_bytes),
        "overhead_mib": _mib(share.overhead_bytes),
        "margin_mib": _mib(share.margin_bytes),
        "total_mib": _mib(share.total_bytes),
        "usable_mib": _mib(device.usable_bytes),
        "spare_mib": _mib(share.spare_bytes),
    }


def _host_facts(share: Share, request: PlanRequest) -> dict[str, Any]:
    return {
        "layers": len(share.layers),
        "dense_mib": _mib(share.dense_bytes),
        "experts_mib": _mib(share.experts_bytes),
        "kv_mib": _mib(share.kv_bytes),
        "compute_mib": _mib(share.compute_bytes),
        "margin_mib": _mib(share.margin_bytes),
        "total_mib": _mib(share.total_bytes),
        "ram_mib": None if request.ram_bytes is None else _mib(request.ram_bytes),
    }


def visible(plan: Plan, host: str = "") -> dict[str, str]:
    """The GPUs by UUID, since indexes change with the order of CUDA; a description without UUIDs gets the bus order."""
    shares = [share for share in plan.layout.shares if share.layers]
    used = [share.device for share in shares if share.device and share.device.host == host]
    if not used:
        return {"CUDA_VISIBLE_DEVICES": "-1"}
    if all(device.uuid for device in used):
        return {"CUDA_VISIBLE_DEVICES": ",".join(str(device.uuid) for device in used)}
    return {
        "CUDA_VISIBLE_DEVICES": ",".join(str(device.index) for device in used),
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }


def _ollama_facts(plan: Plan) -> dict[str, Any]:
    request = plan.request
    environment = {**visible(plan), "OLLAMA_NUM_PARALLEL": str(request.num_parallel)}
    if request.flash_attention is not None:
        environment["OLLAMA_FLASH_ATTENTION"] = "1" if request.flash_attention else "0"
    if request.key_type != "f16":
        environment["OLLAMA_KV_CACHE_TYPE"] = request.key_type
    parameters: dict[str, Any] = {"num_gpu": plan.layout.ngl, "num_ctx": request.num_ctx}
    if sum(1 for share in plan.layout.shares if share.layers) == 1:
        # Among the visible GPUs it is the first.
        parameters["main_gpu"] = 0
    return {"parameters": parameters, "environment": environment}


def _llama_cpp_facts(plan: Plan) -> dict[str, Any]:
    request, layout = plan.request, plan.layout
    used = [share for share in layout.shares if share.layers]
    parameters: dict[str, Any] = {
        "n-gpu-layers": layout.ngl,
        "ctx-size": request.num_ctx * request.num_parallel,
        "parallel": request.num_parallel,
    }
    if len(used) > 1:
        parameters["split-mode"] = "layer"
        parameters["tensor-split"] = ",".join(str(len(share.layers)) for share in used)
    if layout.host_experts:
        parameters["n-cpu-moe"] = layout.host_experts
    for name, kv_type in (("cache-type-k", request.key_type), ("cache-type-v", request.value_type)):
        if kv_type != "f16":
            parameters[name] = kv_type
    if request.flash_attention is not None:
        parameters["flash-attn"] = "on" if request.flash_attention else "off"
    arguments = [text for name, value in parameters.items() for text in (f"--{name}", str(value))]
    return {"parameters": parameters, "arguments": arguments, "environment": visible(plan)}


COLUMNS = (
    ("layers", "layers"),
    ("dense_mib", "dense"),
    ("experts_mib", "experts"),
    ("kv_mib", "KV"),
    ("compute_mib", "compute"),
    ("copy_mib", "copy"),
    ("overhead_mib", "CUDA"),
    ("margin_mib", "margin"),
    ("total_mib", "total"),
    ("usable_mib", "of"),
    ("spare_mib", "spare"),
)


def table(facts: Mapping[str, Any]) -> list[str]:
    """The plan's devices as lines of text, sizes in MiB."""
    rows = [["", *(title for _key, title in COLUMNS)]]
    rows += [[f"{gpu['host']} GPU {gpu['index']} {gpu['name']}".strip(), *_cells(gpu)] for gpu in facts["per_device"]]
    host = {**facts["host"], "usable_mib": facts["host"]["ram_mib"]}
    rows.append(["RAM", *_cells(host)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:])]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return lines


def _cells(values: Mapping[str, Any]) -> list[str]:
    return ["" if values.get(key) is None else f"{values[key]:,}" for key, _title in COLUMNS]


def _mib(size_bytes: int) -> int:
    return round(size_bytes / MIB)
