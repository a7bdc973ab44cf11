# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: fleet
short_description: The whole fleet as one value
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Turns the variables of all hosts and the catalog into one value that says what the inventory means, for each host
    its engines, where each of its servers listens, and its models.
  - Everything that is wrong in a declaration is an error here, all of it in one message, before any host is touched.
  - The value always covers the whole inventory, whatever a run is limited to. What a host would report that this run
    does not ask comes from its last report, which M(gguf.fleet.fleet_record) keeps. It holds no secrets.
options:
  _input:
    description: The variables of all hosts by their names, C(hostvars).
    type: dict
    required: true
  quant:
    description: What would be if every model had this quant, such as V(auto). What was chosen before does not count.
    type: str
  refuse:
    description:
      - Whether a wrong declaration is an error; otherwise all that is wrong is in RV(_value) as C(problems), with every
        variable of a host whose type or value no role takes.
    type: bool
    default: true
  resolves:
    description:
      - Hosts whose models are going to be resolved. With O(refuse=false) RV(_value) also says, as C(problems), what the
        controller lacks for that. Each hub of a model without a lock gets one short request, all at the same time, and
        any answer proves the way; the Python package of the hub has to be there. With locks nobody is asked.
      - The mirrors of these hosts (C(models_mirrors)) are asked with them. One that does not answer is a warning, since
        hosts may reach what the controller does not.
      - Declared GPUs of these hosts and no C(pynvml) on the controller are a warning.
    type: list
    elements: str
    default: []
  installs:
    description:
      - Hosts on which engines are going to be installed. With O(refuse=false) RV(_value) also says, as C(problems), of
        which archives no checksum is known. The official list, or that of a trusted mirror, is asked for only where
        neither a variable nor a pin tells one.
      - A host whose last report (M(gguf.fleet.fleet_record)) has a verified copy of the version needs none. Of a host
        that was never asked, the archives of one architecture are enough.
      - Where there is a gateway, RV(_value) also says which given certificate, or which key of the fleet's own
        authority, cannot be used.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Describe the fleet
  ansible.builtin.set_fact:
    gguf_fleet: "{{ hostvars | gguf.fleet.fleet }}"
  run_once: true

- name: Show where this host's models are reached
  ansible.builtin.debug:
    var: gguf_fleet.hosts[inventory_hostname].endpoints
"""

RETURN = r"""
_value:
  description: The fleet.
  type: dict
  contains:
    hosts:
      description:
        - By name, what each host is and serves. C(address) is how others reach it, C(gpus) and C(ram_bytes) are what
          the host reported in this run, else what the inventory says of it (C(fleet_gpus), C(fleet_ram_gib)), else what
          it reported before (M(gguf.fleet.fleet_record)); C(declared_gpus) and C(asked_gpus) tell them apart.
          C(models_dir) is where its verified files lie.
        - C(engines) holds V(ollama) and V(llama_cpp) as far as the host has models or servers for them, each with
          C(version), C(gpus), C(environment), C(store), C(service_user) and C(servers); C(ollama) is where the host's
          Ollama is, if it has one, declared or left over. A server has C(name) of its service, C(listen), C(url) for
          the host itself, C(models), and C(instance), C(gpus) and C(environment) of its own where a model has replicas
          or gpus. C(unknown_cards) says why the cards of Ollama's instances are not known, if they are not.
        - C(models) are the declared models, completed from the catalog; C(endpoints) is where each is asked
          (C(engine), C(model), C(url) for the host itself, C(port), C(open)); C(ports) are all ports in use.
          C(gateway) says whether it is in the group of that name, C(only_gateway) whether it has no engine beside,
          C(door) whether a gateway reaches its engines by mutual TLS.
      type: dict
    gateways:
      description:
        - The hosts of the group C(gateway) by their names, with the C(name) and C(url) that clients use, C(port),
          C(transport) to the engines, limits, C(origins), and C(clients) without their keys.
      type: dict
    instances:
      description:
        - Where there is a gateway, each server that serves a model, with C(host), its C(address), C(server), C(engine),
          C(listen), C(models), C(slots), how many requests it answers at once by model, and C(door_port).
      type: list
      elements: dict
    quants:
      description:
        - What is known of each quant by its lock name. One with C(name), C(size_bytes) by the lock and C(gguf), the
          facts for M(gguf.fleet.gguf_plan); several where the quant is still to be chosen, none where nothing is known.
      type: dict
    only_gateways:
      description: The hosts of the group C(gateway) that have no engine.
      type: list
      elements: str
    problems:
      description: What is wrong in the declarations, with O(refuse=false). Then the rest is empty.
      type: list
      elements: str
    notes:
      description:
        - By host, what is worth knowing of its declaration, such as which of two groups that set C(models_serve) holds.
      type: dict
    sources:
      description: The sources of all models, each once, with C(lock_name), C(source) and C(candidates).
      type: list
      elements: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import Fleet
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines, printable
from ansible_collections.gguf.fleet.plugins.plugin_utils import controller, specs
from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import describe, describe_one, locks_of
from ansible_collections.gguf.fleet.plugins.plugin_utils.groups import rivals

display = Display()


def fleet_locks(hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    try:
        return locks_of(hostvars)
    except Problem as problem:
        raise AnsibleFilterError(failure(problem)["msg"]) from problem


def fleet(
    hostvars: Mapping[str, Mapping[str, Any]],
    quant: str = "",
    refuse: bool = True,
    resolves: Sequence[str] = (),
    installs: Sequence[str] = (),
) -> dict[str, Any]:
    try:
        value = {**unsafe_templates(describe(hostvars, quant).as_dict()), "notes": rivals(hostvars)}
    except Problem as problem:
        if refuse:
            raise AnsibleFilterError(failure(problem)["msg"]) from problem
        value = {**Fleet({}).as_dict(), "notes": {}, "problems": lines(failure(problem)["msg"])}
    if refuse:
        return value
    found = controller.look(value, hostvars, resolves)
    for warning in [*found.warnings, controller.without_pynvml(value, hostvars, resolves)]:
        if warning:
            display.warning(printable(warning))
    lacking = [
        *controller.unknown_checksums(value, hostvars, installs),
        *controller.unusable_certificates(value, hostvars, installs),
    ]
    # What the declaration itself says of a variable comes first.
    wrong = specs.problems({name: hostvars[name] for name in hostvars})
    return {**value, "problems": [*value["problems"], *map(printable, wrong), *found.problems, *lacking]}


def unsafe_templates(value: dict[str, Any]) -> dict[str, Any]:
    """Templates of models are Go's: from here on Ansible must not read their {{ }} as its own."""
    return {**value, "hosts": {name: unsafe_host(host) for name, host in value["hosts"].items()}}


def unsafe_host(host: dict[str, Any]) -> dict[str, Any]:
    return {**host, "models": [{**model, "template": wrap_var(model["template"])} for model in host["models"]]}


def fleet_host(variables: Mapping[str, Any], name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return unsafe_host(describe_one(variables, name, given).as_dict())
    except Problem as problem:
        raise AnsibleFilterError(failure(problem)["msg"]) from problem


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"fleet": fleet, "fleet_host": fleet_host, "fleet_locks": fleet_locks}
