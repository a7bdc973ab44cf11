# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this controller has what a fleet's models need to be resolved."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import declare_all
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import Variables
from ansible_collections.gguf.fleet.plugins.module_utils._preflight import controller
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable
from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import catalog, locks_of


def problems(fleet: Mapping[str, Any], hostvars: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
    """What would stop the models of these hosts from being resolved, a sentence each."""
    try:
        models, locked = _declared(fleet, hostvars, hosts)
    except Problem:
        # What cannot be read is among the problems of the declarations.
        return []
    update = [host for host in hosts if boolean(hostvars[host].get("models_lock_update", False), strict=False)]
    found = controller.problems(
        controller.unresolved(models, locked, update),
        has=lambda module: _other_python(hostvars) or importlib.util.find_spec(module) is not None,
        program=sys.executable,
        environment=os.environ,
        ca_file=next((str(file) for host in hosts if (file := hostvars[host].get("models_ca_file"))), None),
    )
    return list(map(printable, found))


def without_pynvml(fleet: Mapping[str, Any], hostvars: Mapping[str, Any], hosts: Sequence[str]) -> str:
    """A warning where GPUs are declared, which are read through NVML, and this machine has no binding; else empty."""
    expecting = [
        host
        for host in hosts
        if host in fleet["hosts"]
        and fleet["hosts"][host]["declared_gpus"]
        and boolean(hostvars[host].get("host_pynvml", True), strict=False)
    ]
    if not expecting or importlib.util.find_spec("pynvml") is not None:
        return ""
    return (
        f"{', '.join(expecting)}: {sys.executable} on the controller has no pynvml to read their GPUs with, so "
        "nvidia-smi is asked, which tells less. Install it beside ansible-core: python -m pip install nvidia-ml-py."
    )


def _declared(
    fleet: Mapping[str, Any], hostvars: Mapping[str, Any], hosts: Sequence[str]
) -> tuple[dict[str, list[Mapping[str, Any]]], Collection[str]]:
    """The models of each host, and the lock names that are pinned; where declarations are wrong, of the right ones."""
    if fleet["hosts"]:
        known = {name for name, quants in fleet["quants"].items() if any(one["size_bytes"] for one in quants)}
        return {host: fleet["hosts"][host]["models"] for host in hosts}, known
    found: dict[str, list[Mapping[str, Any]]] = {}
    for host in hosts:
        read = Variables(hostvars[host])
        own = {**catalog(), **read["models_catalog"]}
        right, _refused = declare_all(read["models_serve"], own, engine=read["models_engine"])
        found[host] = list(right)
    return found, locks_of(hostvars)


def _other_python(hostvars: Mapping[str, Any]) -> bool:
    """Whether hubs are asked by another Python than this one, of whose packages nothing is known here."""
    told = hostvars["localhost"].get("ansible_python_interpreter") if "localhost" in hostvars else None
    return told not in (None, sys.executable)
