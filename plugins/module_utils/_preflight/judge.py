# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""All checks of one host, in the order in which they are told."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.ask import ask_gpus
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import make_plan
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.settings import request_of
from ansible_collections.gguf.fleet.plugins.module_utils._host import memory
from ansible_collections.gguf.fleet.plugins.module_utils._host.access import closed_to
from ansible_collections.gguf.fleet.plugins.module_utils._preflight import checks, gpus, look, xid
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.finding import ERROR, Finding


@dataclass(frozen=True)
class Expected:
    """What a host should be, have and reach, as the options of host_preflight say it."""

    expected_gpus: Sequence[Mapping[str, Any]]
    expected_ram_gib: int
    expect_fabric_manager: bool
    engines: Sequence[Mapping[str, Any]]
    models_dir: str
    needed_bytes: int
    ports: Sequence[int]
    urls: Sequence[str]
    controller_time: Optional[float]
    read_probe: bool
    models: Sequence[Mapping[str, Any]]
    pynvml_path: str


@dataclass(frozen=True)
class Seen:
    """What was judged, and what it was judged by."""

    findings: Sequence[Finding]
    gpus: Sequence[Mapping[str, Any]]
    ram_bytes: int


def judge_host(expected: Expected) -> Seen:
    """Look at this host and judge what is seen. Nothing that is found is an error of the check."""
    report, ram_bytes = ask_gpus(pynvml_path=expected.pynvml_path).as_facts(), memory.total_bytes()
    seen = report["gpus"]
    found = _of_gpus(expected, report)
    found += _of_disks(expected)
    found += checks.judge_ram(ram_bytes, expected.expected_ram_gib)
    for model in expected.models:
        found += _placement(expected, model, seen, ram_bytes)
    locked = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    skew = None if expected.controller_time is None else time.time() - expected.controller_time
    found += checks.judge_page_locking(locked, os.path.isdir("/run/systemd/system"))
    found += checks.judge_ports(expected.ports, look.holders_of(expected.ports))
    found += checks.judge_time(skew, look.clock_synchronised())
    found += checks.judge_python(sys.version_info[:3], sys.executable)
    found += checks.judge_reach({url: look.reach(url) for url in expected.urls})
    return Seen(found, seen, ram_bytes)


def _of_gpus(expected: Expected, report: dict[str, Any]) -> list[Finding]:
    seen, wanted = report["gpus"], list(expected.expected_gpus)
    floors = (gpus.driver_floor(engine["name"], engine.get("version")) for engine in expected.engines)
    found = gpus.judge_gpus(report, wanted)
    found += gpus.judge_driver(report["driver"]["version"], max(floors, default=0), bool(wanted))
    found += gpus.judge_fabric(seen, look.runs("nv-fabricmanager"), expected.expect_fabric_manager)
    return found + xid.judge_xids(look.kernel_log(look.run_if_there), seen)


def _of_disks(expected: Expected) -> list[Finding]:
    models = look.disk_of(expected.models_dir)
    stores = [look.disk_of(engine["store"]) for engine in expected.engines if engine.get("store")]
    found = checks.judge_disk(models, stores, expected.needed_bytes)
    if expected.read_probe:
        found += checks.judge_speed(look.read_speed(expected.models_dir), expected.needed_bytes)
    for engine in expected.engines:
        user = engine.get("service_user")
        for directory in filter(None, (expected.models_dir, engine.get("store"))):
            found += checks.judge_traverse(user, directory, closed_to(directory, user)) if user else []
    return found


def _placement(
    expected: Expected, model: Mapping[str, Any], seen: list[dict[str, Any]], ram_bytes: int
) -> list[Finding]:
    """Where a model would lie on this host as it is, not as the inventory describes it."""
    name = model["engine"]
    engine: Mapping[str, Any] = next((engine for engine in expected.engines if engine["name"] == name), {})
    ram = {"ram_bytes": ram_bytes}
    try:
        request = request_of(name, engine.get("version"), model["parameters"], engine.get("environment") or {}, ram)
        plan = make_plan(model_from_facts(model["gguf"]), devices_from_facts(seen, engine.get("gpus") or []), request)
    except GpuError as error:
        return [Finding("models", ERROR, f"{model['name']}: {error.problem}", error.remedy)]
    return checks.judge_placement(model["name"], plan.as_facts())
