# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Each host of the fleet value planned as a whole: all of its models, of both engines, on its cards and in its RAM."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.demand import Demand
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.host_plan import plan_host
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Model, model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.settings import request_of
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import parse_version, rules_for
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem


def plan_together(
    host: Mapping[str, Any],
    facts: Mapping[str, Any],
    gpus: Optional[Sequence[Mapping[str, Any]]] = None,
    ram_bytes: Optional[int] = None,
    options: Optional[Mapping[str, Any]] = None,
) -> Dict[str, Any]:
    """The plan of one host.

    Args:
        host: of the fleet value, as plain data.
        facts: of the headers, by lock name. Models without them are left out, and those over the GPUs of several hosts.
        gpus: the host's, if they are known better than the value knows them.
        ram_bytes: the same.
        options: what goes over the settings of the inventory: num_ctx, num_parallel, num_gpu, kv_type, offload, and
            `only`, the GPUs to plan with.

    Returns:
        plans, by the name of the instance; instances (name, model, number, gpus); refusals: why the host cannot hold
        all of it; warnings; first_server: the cards that Ollama's first server is to see; planned: each plan with its
        question, as gguf_judge is asked about it. A host without GPUs is planned by its RAM alone.

    Raises:
        Problem: for settings that cannot be read, and cards that are not there.
    """
    given = dict(options or {})
    models = [
        model for model in host["models"] if model["lock_name"] in facts and "rpc" not in (model["parameters"] or {})
    ]
    devices = devices_from_facts(host["gpus"] if gpus is None else gpus)
    demands = [
        demand
        for model in models
        if (demand := _demand(host, model, facts[model["lock_name"]], given, lenient=not devices))
    ]
    plan = plan_host(devices, ram_bytes or host["ram_bytes"], demands).as_facts()
    plan["warnings"] = [*plan["warnings"], *without_template(host)]
    if not devices:
        return {**plan, "plans": {name: _by_ram(one) for name, one in plan["plans"].items()}, "planned": []}
    by_name = {model["name"]: model for model in models}
    planned = [
        {"item": {**by_name[one["model"]], "name": one["name"]}, "plan": plan["plans"][one["name"]]}
        for one in plan["instances"]
    ]
    return {**plan, "planned": planned}


def without_template(host: Mapping[str, Any]) -> List[str]:
    """Which models of an Ollama would get the bare prompt, said before anything is fetched for them."""
    version = str(host["engines"].get("ollama", {}).get("version") or "")
    try:
        needed = rules_for(parse_version(version)).needs_template
    except Problem:
        return []
    return [
        f"{model['name']} has no template, none is known for it, and Ollama {version} does not use the one in the GGUF "
        "file: it gets the bare prompt. Give it template or template_file, take Ollama 0.30 or newer, or set "
        "models_import: api, where the server looks for one of its own."
        for model in host["models"]
        if needed and model["engine"] == "ollama" and not model["template"]
    ]


def _by_ram(plan: Mapping[str, Any]) -> Dict[str, Any]:
    """A plan for a host without GPUs, or of whose GPUs nothing is known.

    What its RAM cannot hold is refused. What it can is left to the engine: it may find a GPU that we cannot see.
    """
    nothing: Dict[str, Any] = {"parameters": {}, "environment": {}}
    own = {"refusal": None} if plan["fits"] else {}
    return {**plan, **own, "ollama": nothing, "llama_cpp": {**nothing, "arguments": []}}


def _demand(
    host: Mapping[str, Any],
    model: Mapping[str, Any],
    gguf: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    lenient: bool,
) -> Optional[Demand]:
    """lenient: a model of which too little is known is left out."""
    engine = host["engines"][model["engine"]]
    environment = engine["environment"]
    wanted = {
        **{name: options.get(name) for name in ("num_ctx", "num_parallel", "num_gpu")},
        "key_type": options.get("kv_type"),
        "full_only": options.get("offload") == "full",
    }
    known = _known(gguf) if lenient else None
    if lenient and known is None:
        return None
    if not gguf:
        raise GpuError(
            f"The lock of {model['name']} has no gguf facts, so nothing can be planned from it.",
            "Resolve it again with gguf_resolve, which reads the shards' headers.",
        )
    return Demand(
        name=model["name"],
        model=known or model_from_facts(gguf),
        request=request_of(engine["name"], engine["version"], model["parameters"], environment, wanted),
        only=tuple(map(str, options.get("only") or engine["gpus"])),
        replicas=model["replicas"],
        gpus=tuple(model["gpus"]),
        at_once=_number(environment.get("OLLAMA_MAX_LOADED_MODELS")),
        file=model["lock_name"],
    )


def _known(gguf: Mapping[str, Any]) -> Optional[Model]:
    try:
        return model_from_facts(gguf) if gguf else None
    except Problem:
        return None


def _number(text: Any) -> int:
    return int(text) if str(text or "").strip().isdigit() else 0


def plans_together(
    results: Iterable[Mapping[str, Any]],
    fleet: Mapping[str, Any],
    hosts: Iterable[str],
    options: Optional[Mapping[str, Any]] = None,
) -> List[Dict[str, Any]]:
    """Results of gguf_plan in a loop over the questions of a fleet, with the plans of hosts as wholes in their place.

    Each result gets `instances`, by host, where they have cards of their own, and `together`, by host the refusals and
    warnings, told with the first of the host's models alone.
    """
    given = [dict(result) for result in results]
    facts = {result["item"]["lock_name"]: _chosen(result) for result in given}
    told: set[str] = set()
    wholes = {name: plan_together(fleet["hosts"][name], facts, options=options) for name in hosts}
    for result in given:
        name = result["item"]["name"]
        result["plans"] = {host: wholes[host]["plans"].get(name, plan) for host, plan in result["plans"].items()}
        mine = {host: [one for one in wholes[host]["instances"] if one["model"] == name] for host in result["plans"]}
        result["instances"] = {host: found for host, found in mine.items() if any(one["gpus"] for one in found)}
        result["together"] = {}
        for host in result["plans"]:
            if host not in told:
                told.add(host)
                result["together"][host] = {key: wholes[host][key] for key in ("refusals", "warnings")}
    return given


def _chosen(result: Mapping[str, Any]) -> Any:
    return next(one["gguf"] for one in result["item"]["candidates"] if one["quant"] == result["quant"])
