#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_plan
short_description: Compute how a GGUF model fits on GPUs before it is downloaded
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Says whether a quant with a context fits on given GPUs, and with which numbers of the engine, wholly on the GPUs,
    with the experts in RAM, or with some layers in RAM.
  - Needs the facts of the model's header only, which a lock holds, and descriptions of GPUs. It touches no host, no
    GPU and no network, and takes milliseconds.
  - Weights and KV cache are exact; working memory is within 15 % of what C(llama-fit-params) computes
    for each device, RAM among them; what CUDA takes for itself is a margin for each card that stands in the result
    (RV(plan.per_device[].overhead_mib)).
  - When nothing fits, RV(plan.reason) names the term that is too big and RV(plan.nearest) the nearest plan that fits.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  gguf:
    description: Facts of the model, as RV(gguf.fleet.gguf_info#module:gguf) or a lock's C(gguf).
    type: dict
  lock:
    description: A lock of M(gguf.fleet.gguf_resolve). Its C(gguf) is used.
    type: dict
  candidates:
    description:
      - Several quants of one model, the preferred first. The first one that every host holds wholly on its GPUs is
        taken, so that one name is one quant in the whole group; when none fits so, the smallest one.
      - Exactly one of O(gguf), O(lock), O(candidates) and O(models) is needed.
    type: list
    elements: dict
    suboptions:
      quant:
        description: Name of the quant.
        type: str
        required: true
      gguf:
        description: Facts of this quant.
        type: dict
        required: true
  gpus:
    description:
      - The GPUs of one host, as RV(gguf.fleet.gpu_info#module:gpus), or a description of each with C(name),
        C(memory_total_mib) (or C(memory_total_bytes)) and C(count).
      - Memory that other programs hold is left out; memory that an engine holds is not, so that a host that already
        serves gets the same plan again.
    type: list
    elements: dict
  hosts:
    description: Several hosts that are to serve the same quant, instead of O(gpus). What an entry tells goes over the
      option of the same name.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the host in RV(plans).
        type: str
        required: true
      address:
        description: The address by which other hosts reach it, for O(across_hosts). Defaults to its name.
        type: str
      gpus:
        description: As O(gpus).
        type: list
        elements: dict
        required: true
      only:
        description: As O(only).
        type: list
        elements: str
      ram_bytes:
        description: As O(ram_bytes).
        type: int
      engine:
        description: As O(engine).
        type: str
        choices: [ollama, llama_cpp]
      engine_version:
        description: As O(engine_version).
        type: str
      parameters:
        description: As O(parameters).
        type: dict
      environment:
        description: As O(environment).
        type: dict
  models:
    description:
      - Several models, each for hosts of its own, planned in one run. P(gguf.fleet.plan_questions#filter) makes them
        from the fleet value. Exactly one of O(gguf), O(lock), O(candidates) and O(models) is needed.
    type: list
    elements: dict
    version_added: 0.2.0
    suboptions:
      name:
        description: Name of the model in RV(results).
        type: str
        required: true
      lock_name:
        description: Name of its lock, which is returned with it.
        type: str
      candidates:
        description: As O(candidates).
        type: list
        elements: dict
        required: true
        suboptions:
          quant:
            description: Name of the quant.
            type: str
            required: true
          gguf:
            description: Facts of this quant.
            type: dict
            required: true
      hosts:
        description: As O(hosts).
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Name of the host in RV(plans).
            type: str
            required: true
          address:
            description: The address by which other hosts reach it, for O(across_hosts). Defaults to its name.
            type: str
          gpus:
            description: As O(gpus).
            type: list
            elements: dict
            required: true
          only:
            description: As O(only).
            type: list
            elements: str
          ram_bytes:
            description: As O(ram_bytes).
            type: int
          engine:
            description: As O(engine).
            type: str
            choices: [ollama, llama_cpp]
          engine_version:
            description: As O(engine_version).
            type: str
          parameters:
            description: As O(parameters).
            type: dict
          environment:
            description: As O(environment).
            type: dict
  only:
    description: Use only the GPUs with these indexes or UUIDs. An empty list means all.
    type: list
    elements: str
  ram_bytes:
    description: RAM in bytes that the engine may use. Without it, RAM is not checked.
    type: int
  engine:
    description: The engine whose rules count.
    type: str
    choices: [ollama, llama_cpp]
    default: ollama
  engine_version:
    description:
      - Its version, for example V(0.5.7) or V(b4610). Versions count layers, deal them to GPUs and keep KV caches
        differently. Without it the newest known rules count.
    type: str
  parameters:
    description:
      - The parameters that the engine will get, in its own words, for example C(num_ctx) and C(num_gpu) for Ollama, or
        C(ctx-size), C(parallel), C(n-gpu-layers), C(tensor-split) and C(cache-type-k) for llama.cpp. What they say
        about memory is planned with; the rest is left alone. The options below go over them.
    type: dict
    default: {}
  environment:
    description: Ollama's environment, of which E(OLLAMA_NUM_PARALLEL), E(OLLAMA_CONTEXT_LENGTH),
      E(OLLAMA_KV_CACHE_TYPE) and E(OLLAMA_FLASH_ATTENTION) are planned with.
    type: dict
    default: {}
  num_ctx:
    description: Context of one slot in tokens. Without any setting 4096.
    type: int
  num_parallel:
    description: Slots. Each has a context of its own. Without any setting one.
    type: int
  kv_type:
    description: Type of the cached keys and values. Without any setting V(f16).
    type: str
    choices: [f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl]
  kv_type_values:
    description: Type of the cached values where it differs from O(kv_type). For llama.cpp only.
    type: str
    choices: [f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, iq4_nl]
  flash_attention:
    description: Switch flash attention on or off. Without it the engine's own default counts.
    type: bool
  batch:
    description: Tokens of a prompt that are computed at a time (C(num_batch), C(-ub)). Without any setting 512.
    type: int
  num_gpu:
    description: Layers on the GPUs (C(num_gpu), C(-ngl)), instead of as many as fit.
    type: int
  n_cpu_moe:
    description: Number of blocks whose experts stay in RAM, instead of as few as possible. For llama.cpp only.
    type: int
  tensor_split:
    description: Proportions of layers for each GPU (C(-ts)), instead of the engine's or the evenest way.
    type: list
    elements: int
  offload:
    description: V(full) accepts only plans with the whole model on GPUs, V(any) also those that use RAM.
    type: str
    choices: [any, full]
    default: any
  across_hosts:
    description:
      - Where none of several O(hosts) holds the whole model on its GPUs, plan it also over the GPUs of several of them
        by llama.cpp's RPC, as RV(across). The first host is the head, which has the files and runs C(llama-server);
        as few of the others as are enough lend their GPUs through C(ggml-rpc-server).
    type: bool
    default: false
seealso:
  - module: gguf.fleet.gpu_info
  - module: gguf.fleet.gguf_info
  - module: gguf.fleet.gguf_resolve
"""

EXAMPLES = r"""
- name: Ask before buying whether the model fits on two RTX 4090
  gguf.fleet.gguf_plan:
    lock: "{{ (lookup('ansible.builtin.file', 'models.lock.txt') | from_yaml).locks['deepseek-r1'] }}"
    gpus:
      - name: RTX 4090
        memory_total_mib: 24564
        count: 2
    ram_bytes: "{{ 238 * 1024 ** 3 }}"
    engine: ollama
    engine_version: 0.5.7
    num_ctx: 2048
  delegate_to: localhost
  register: what_if

- name: Show where it would lie
  ansible.builtin.debug:
    var: what_if.plan.table

- name: Plan for the GPUs that the host has
  gguf.fleet.gguf_plan:
    gguf: "{{ lock.gguf }}"
    gpus: "{{ seen.gpus }}"
    ram_bytes: "{{ seen.memory_bytes }}"
    engine: llama_cpp
    num_ctx: 8192
    offload: full
  delegate_to: localhost
"""

RETURN = r"""
results:
  description:
    - For each of O(models), in their order, C(item) (the model as it was given), and C(plan), C(plans), C(quant) and
      C(across) as below.
  type: list
  elements: dict
  returned: with O(models)
plan:
  description: The plan of the only host; of several hosts the first one's.
  type: dict
  returned: without O(models)
  contains:
    fits:
      description: Whether the model can run like this.
      type: bool
    mode:
      description: V(full), V(experts_on_host), V(some_layers), or V(none) when it does not fit.
      type: str
    reason:
      description: Why, in a sentence.
      type: str
      sample: All 61 blocks and the output are on GPUs; the fullest has 65,120 MiB left.
    nearest:
      description: The nearest plan that fits, when this one does not.
      type: str
    certainty:
      description:
        - How sure the plan is of each part. V(exact) is compared with llama.cpp's own accounting by the collection's
          tests for this family. V(estimated) has a margin added, which RV(plan.certainty.because) and C(margin_mib)
          tell; what CUDA itself takes is always an estimate. V(unknown) means that something of the model's structure
          is not understood.
      type: dict
      contains:
        weights:
          description: V(exact), V(estimated) or V(unknown).
          type: str
        kv:
          description: The same for the KV cache and recurrent states.
          type: str
        compute:
          description: The same for the working memory.
          type: str
        because:
          description: What is not exact, and what is added for it; or what is not understood.
          type: list
          elements: str
        summary:
          description: The three in words.
          type: str
          sample: weights exact, KV cache exact, working memory estimated
    refusal:
      description: Why it should not be run like this, with the ways out; V(null) for a model that is known to fit.
      type: str
    warnings:
      description: What an operator should know, for example what was guessed.
      type: list
      elements: str
    model:
      description: Name of the model in its header.
      type: str
    engine:
      description: The engine.
      type: str
    engine_version:
      description: Its version.
      type: str
    num_ctx:
      description: Context of one slot in tokens.
      type: int
    num_parallel:
      description: Slots.
      type: int
    layers_total:
      description: Blocks and the output layer.
      type: int
    layers_on_gpu:
      description: Layers that are on GPUs.
      type: int
    fewest_gpus:
      description: How many of these GPUs, in their order, hold the whole model; V(null) when all of them do not.
      type: int
    largest_num_ctx:
      description: The largest context of a slot for which the same layout still fits, in tokens.
      type: int
    per_device:
      description: What each GPU holds, in MiB.
      type: list
      elements: dict
      contains:
        host:
          description: Its host, where several are planned as one; else empty.
          type: str
        index:
          description: Index of the GPU.
          type: int
        uuid:
          description: UUID of the GPU, when it is known.
          type: str
        name:
          description: Name of the GPU.
          type: str
        layers:
          description: Number of layers on it.
          type: int
        first_layer:
          description: Number of its first layer.
          type: int
        output:
          description: Whether the output layer is on it.
          type: bool
        dense_mib:
          description: Weights that every token uses.
          type: int
        experts_mib:
          description: Weights of experts.
          type: int
        kv_mib:
          description: KV cache of all slots.
          type: int
        compute_mib:
          description: Working memory.
          type: int
        copy_mib:
          description: Room for one matrix of the layers in RAM, which the first GPU fetches to compute with.
          type: int
        overhead_mib:
          description: Margin for CUDA's own memory.
          type: int
        margin_mib:
          description: Added for what is estimated.
          type: int
        total_mib:
          description: The sum.
          type: int
        usable_mib:
          description: What the GPU has for it.
          type: int
        spare_mib:
          description: What is left; negative when it does not fit.
          type: int
    host:
      description: What stays in RAM, with the same terms and RV(plan.host.ram_mib).
      type: dict
      contains:
        ram_mib:
          description: O(ram_bytes) in MiB.
          type: int
    ollama:
      description: For Ollama, C(parameters) of the model and C(environment) of the server.
      type: dict
      sample:
        parameters: {num_gpu: 62, num_ctx: 2048}
        environment: {OLLAMA_NUM_PARALLEL: "1"}
    llama_cpp:
      description: For llama.cpp, C(parameters) by their long names, the same as C(arguments), and C(environment).
      type: dict
      sample:
        parameters: {n-gpu-layers: 62, ctx-size: 8192, parallel: 1}
    table:
      description: The plan as lines of text, sizes in MiB.
      type: list
      elements: str
plans:
  description: The plans by host name. A single host without a name is V(host).
  type: dict
  returned: always
across:
  description:
    - The plan over the GPUs of several hosts, in the form of RV(plan), the hosts of the GPUs among them.
    - C(llama_cpp) holds the C(head) and the C(workers), each with C(host), C(program), C(arguments) and C(environment).
  type: dict
  returned: when O(across_hosts) and no host holds the model wholly
quant:
  description: The chosen one of O(candidates).
  type: str
  returned: when O(candidates) is given
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.across import Member, plan_across
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device, devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.memory import KV_TYPES
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Model, model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import FULL, Plan, PlanRequest, choose
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.settings import request_of
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import forget


def candidates(params: dict[str, Any]) -> list[tuple[str, Model]]:
    if params["candidates"] is not None:
        found = [(entry["quant"], model_from_facts(entry["gguf"])) for entry in params["candidates"]]
        if not found:
            raise GpuError("The list of candidates is empty.", "Give at least one quant with its facts.")
        return found
    facts = params["gguf"] if params["lock"] is None else params["lock"].get("gguf")
    if not facts:
        raise GpuError(
            "The lock has no gguf facts, so nothing can be planned from it.",
            "Resolve it again with gguf_resolve, which reads the shards' headers, or give gguf.",
        )
    return [("", model_from_facts(facts))]


def hosts(params: dict[str, Any]) -> dict[str, tuple[list[Device], PlanRequest]]:
    """The GPUs and the request of each host; what an entry of hosts tells goes over what holds for all."""
    found = {}
    for entry in params["hosts"] or [{"name": "host", "gpus": params["gpus"]}]:
        own = {**params, **{name: value for name, value in entry.items() if value is not None}}
        found[entry["name"]] = (devices_from_facts(own["gpus"], own["only"]), request(own))
    return found


def request(params: dict[str, Any]) -> PlanRequest:
    given = ("num_ctx", "num_parallel", "flash_attention", "batch", "num_gpu", "ram_bytes")
    options = {name: params[name] for name in given}
    options.update(
        key_type=params["kv_type"],
        value_type=params["kv_type_values"] or params["kv_type"],
        host_experts=params["n_cpu_moe"],
        split=tuple(params["tensor_split"]) if params["tensor_split"] else None,
        full_only=params["offload"] == "full",
    )
    return request_of(params["engine"], params["engine_version"], params["parameters"], params["environment"], options)


def across(
    params: dict[str, Any],
    asked: list[tuple[str, Model]],
    among: dict[str, tuple[list[Device], PlanRequest]],
    plans: dict[str, Plan],
) -> dict[str, Any]:
    if not params["across_hosts"] or len(among) < 2 or any(plan.mode == FULL for plan in plans.values()):
        return {}
    addresses = {entry["name"]: entry["address"] or entry["name"] for entry in params["hosts"]}
    members = [Member(name, addresses[name], devices) for name, (devices, _request) in among.items()]
    head_request = next(iter(among.values()))[1]
    return {"across": plan_across(asked, members, head_request)}


def answer(params: dict[str, Any]) -> dict[str, Any]:
    asked, among = candidates(params), hosts(params)
    quant, plans = choose(asked, among)
    result = {name: plan.as_facts() for name, plan in plans.items()}
    more = {"quant": quant} if quant else {}
    return {"plan": next(iter(result.values())), "plans": result, **more, **across(params, asked, among, plans)}


def of_model(params: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    own = {**params, "candidates": model["candidates"], "hosts": model["hosts"]}
    try:
        return {"item": model, **answer(own)}
    except Problem as problem:
        raise GpuError(f"{model['name']}: {problem.problem}", problem.remedy) from problem


def main() -> None:
    gpu_list = {"type": "list", "elements": "dict"}
    facts = {"type": "dict"}
    candidates_of = {
        "type": "list",
        "elements": "dict",
        "options": {"quant": {"type": "str", "required": True}, "gguf": {**facts, "required": True}},
    }
    hosts_of = {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str"},
            "gpus": {**gpu_list, "required": True},
            "only": {"type": "list", "elements": "str"},
            "ram_bytes": {"type": "int"},
            "engine": {"type": "str", "choices": ["ollama", "llama_cpp"]},
            "engine_version": {"type": "str"},
            "parameters": {"type": "dict", "no_log": True},
            "environment": {"type": "dict", "no_log": True},
        },
    }
    module = AnsibleModule(
        argument_spec={
            "gguf": facts,
            "lock": facts,
            "candidates": candidates_of,
            "gpus": gpu_list,
            "hosts": hosts_of,
            "models": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "lock_name": {"type": "str"},
                    "candidates": {**candidates_of, "required": True},
                    "hosts": {**hosts_of, "required": True},
                },
            },
            "only": {"type": "list", "elements": "str"},
            "ram_bytes": {"type": "int"},
            "engine": {"type": "str", "choices": ["ollama", "llama_cpp"], "default": "ollama"},
            "engine_version": {"type": "str"},
            # They may hold keys, which have no part in a plan.
            "parameters": {"type": "dict", "default": {}, "no_log": True},
            "environment": {"type": "dict", "default": {}, "no_log": True},
            "num_ctx": {"type": "int"},
            "num_parallel": {"type": "int"},
            "kv_type": {"type": "str", "choices": list(KV_TYPES)},
            "kv_type_values": {"type": "str", "choices": list(KV_TYPES)},
            "flash_attention": {"type": "bool"},
            "batch": {"type": "int"},
            "num_gpu": {"type": "int"},
            "n_cpu_moe": {"type": "int"},
            "tensor_split": {"type": "list", "elements": "int"},
            "across_hosts": {"type": "bool", "default": False},
            "offload": {"type": "str", "choices": ["any", "full"], "default": "any"},
        },
        required_one_of=[("gguf", "lock", "candidates", "models"), ("gpus", "hosts", "models")],
        mutually_exclusive=[("gguf", "lock", "candidates", "models"), ("gpus", "hosts", "models")],
        supports_check_mode=True,
    )
    forget(module.no_log_values, module.params, "parameters", "environment", "hosts", "models")
    try:
        if module.params["models"] is None:
            result = answer(module.params)
        else:
            result = {"results": [of_model(module.params, model) for model in module.params["models"]]}
    except Problem as error:
        module.fail_json(**failure(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
