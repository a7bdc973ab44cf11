# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One model over the GPUs of several hosts by llama.cpp's RPC: one runs llama-server, the others lend their GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.engines import LLAMA_CPP
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Model
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import Plan, PlanRequest, make_plan, visible

PORT = 50052
# GGML_SCHED_MAX_BACKENDS is 16, and the host's CPU is one of them (ggml/src/ggml-backend.cpp).
MOST_GPUS = 15

WARNINGS = (
    "RPC has neither authentication nor encryption: whoever reaches the port can run code there. Bind it to a private "
    "network that only these hosts are on.",
    "All hosts need the same build of llama.cpp, b8492 or newer (older ones run foreign code, CVE-2026-34159).",
    "The weights go from the head to the workers over the network at every load, and layers compute one host after "
    "the other.",
)


@dataclass(frozen=True)
class Member:
    """A host that may take part. The first one is the head, which has the files."""

    name: str
    address: str
    devices: Sequence[Device]


def plan_across(
    candidates: Sequence[tuple[str, Model]], members: Sequence[Member], request: PlanRequest
) -> dict[str, Any]:
    """The first quant that the hosts hold together, as few of them as are enough; else why even all of them do not."""
    own = replace(request, full_only=True, num_gpu=None, host_experts=None, split=None)
    if request.engine != LLAMA_CPP:
        own = replace(own, engine=LLAMA_CPP, engine_version=None)
    failed: Optional[dict[str, Any]] = None
    for quant, model in candidates:
        for count in range(2, len(members) + 1):
            chosen = members[:count]
            # llama.cpp lists the devices of its RPC servers before its own, and -ts follows that order.
            devices = [
                replace(device, host=member.name) for member in (*chosen[1:], chosen[0]) for device in member.devices
            ]
            if len(devices) > MOST_GPUS:
                break
            plan = make_plan(model, devices, own)
            failed = _facts(quant, plan, chosen)
            if plan.fits:
                return failed
    return failed or {
        "fits": False,
        "reason": f"llama.cpp takes at most {MOST_GPUS} GPUs, and the first two hosts have more.",
    }


def _facts(quant: str, plan: Plan, members: Sequence[Member]) -> dict[str, Any]:
    facts = plan.as_facts()
    head, workers = members[0], members[1:]
    servers = ",".join(f"{worker.address}:{PORT}" for worker in workers)
    parameters = {**facts["llama_cpp"]["parameters"], "rpc": servers}
    arguments = [text for name, value in parameters.items() for text in (f"--{name}", str(value))]
    return {
        **facts,
        "quant": quant,
        "warnings": [*facts["warnings"], *WARNINGS],
        "llama_cpp": {
            "head": {
                "host": head.name,
                "program": "llama-server",
                "parameters": parameters,
                "arguments": arguments,
                "environment": visible(plan, head.name),
            },
            "workers": [_worker(plan, worker) for worker in workers],
        },
    }


def _worker(plan: Plan, worker: Member) -> Mapping[str, Any]:
    return {
        "host": worker.name,
        "program": "ggml-rpc-server",
        "arguments": ["--host", worker.address, "--port", str(PORT)],
        "environment": visible(plan, worker.name),
    }
