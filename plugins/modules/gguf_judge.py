#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_judge
short_description: Let llama.cpp check plans before the models are downloaded
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Puts plans of M(gguf.fleet.gguf_plan) to C(llama-fit-params), which reads a model's header over holes and tells in a
    tenth of a second what each device would hold. Its numbers stand in the plan beside ours, and a difference over
    2 % is said in the plan's C(warnings).
  - Where it has the real backend of the cards, its word decides whether the model fits; what CUDA takes for itself,
    which it does not count, stays the plan's margin (C(overhead_mib)). Through stand-ins for GPUs
    (O(devices=stand_ins)) it decides weights and KV cache, and the plan's working memory is added, since these hold no
    CUDA context and fetch nothing from RAM.
  - Where a plan leaves a part of the model in RAM that nobody has asked for, and the engine sees all of it fit on its
    cards, C(warnings) say so and how to declare it; the plan stays.
  - It is asked for printed numbers only. What is free on the cards at the moment does not count, so that instances that
    run already change nothing.
  - It is a native parser of what a hub gave, so it runs as C(nobody), bounded in time, memory and output, without a
    network. The header lies in memory; nothing is written to a disk but the answers, which are kept by build, header
    and settings.
  - Plans of other engines stay as they are. So does everything where O(program) is not there (with
    O(devices=stand_ins), that is an error). Where it gives no answer, the plan stays and says why.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  program:
    description: The path of C(llama-fit-params), which comes with llama.cpp. It should be of the build that serves.
    type: path
    required: true
  rpc_server:
    description: The path of its C(ggml-rpc-server), for stand-ins. By default it is looked for beside O(program).
    type: path
  devices:
    description:
      - V(real) asks about the cards of this host. Where this llama.cpp has no backend for them, or C(nobody) may not
        open them, that is said, and stand-ins are asked.
      - V(stand_ins) is for declared GPUs on any machine. RPC servers on the CPU stand for them, on a loopback in a
        network of their own. The kernel has to allow that (as root, or C(unshare --user --net true) as the user).
    type: str
    choices: [real, stand_ins]
    default: real
  models:
    description: The plans.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A name for it in RV(plans).
        type: str
        required: true
      plan:
        description: As RV(gguf.fleet.gguf_plan#module:plan).
        type: dict
        required: true
      parameters:
        description: The declared parameters of C(llama-server), for what the plan does not say, such as C(swa-full).
        type: dict
        default: {}
      lock:
        description: The lock of the model, for its header. Without one the plan is not checked.
        type: dict
  models_dir:
    description: Folder of the models. Headers of files that are there already are read from them, not from the hub.
    type: path
  cache:
    description:
      - File for the answers. By default C(/var/lib/gguf-fleet/judge.json) for root and C(gguf-fleet/judge.json) in the
        cache directory of other users. It is not written in check mode.
    type: path
  token:
    description: The hub's access token. It goes to the lock's own addresses only.
    type: str
  tokens:
    description: Tokens by hub, which win over O(token).
    type: dict
    default: {}
  ca_file:
    description: A file of PEM certificates to trust instead of the system's.
    type: path
seealso:
  - module: gguf.fleet.gguf_plan
  - module: gguf.fleet.gguf_rehearsal
"""

EXAMPLES = r"""
- name: Plan
  gguf.fleet.gguf_plan:
    lock: "{{ lock }}"
    gpus: "{{ gpu_info.gpus }}"
    engine: llama_cpp
    num_ctx: 32768
  delegate_to: localhost
  register: planned

- name: Ask the engine on the host what it says about that
  gguf.fleet.gguf_judge:
    program: /usr/bin/llama-fit-params
    models:
      - name: big
        plan: "{{ planned.plan }}"
        lock: "{{ lock }}"
  register: judged

- name: Refuse what does not fit
  ansible.builtin.assert:
    that: judged.plans.big.fits
    fail_msg: "{{ judged.plans.big.reason }}"
"""

RETURN = r"""
build:
  description: The build of O(program); empty where it is not there or does not tell.
  type: str
  returned: always
plans:
  description:
    - The plans by name, in the form of RV(gguf.fleet.gguf_plan#module:plan). C(fits), C(mode) and C(reason) follow the
      engine's word, C(warnings) and C(table) say it, C(certainty) is V(exact) for what it decided.
    - C(largest_num_ctx) and C(fewest_gpus) stay our own.
  type: dict
  returned: always
  contains:
    judge:
      description: What the engine said; absent where O(program) is not there, and for other engines.
      type: dict
      contains:
        build:
          description: Its build.
          type: str
        backend:
          description: V(CUDA), V(RPC) and the like; empty for the CPU.
          type: str
        decides:
          description: What of it decides, of V(weights), V(kv) and V(compute).
          type: list
          elements: str
        per_device:
          description: For each GPU C(weights_mib), C(kv_mib), C(compute_mib), C(needed_mib) and C(spare_mib).
          type: list
          elements: dict
        host:
          description: The same of the RAM.
          type: dict
        said:
          description: All of it in a few words.
          type: str
        differences:
          description: What differs by more than 2 % from the plan.
          type: list
          elements: str
        problem:
          description: Why the engine said nothing, else none.
          type: str
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

import os
import posixpath
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.files import destination
from ansible_collections.gguf.fleet.plugins.module_utils._gguf import rehearsal
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.fit_params import HeaderFile, find
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judge import JudgeProblem, not_judged
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judge_cache import Cache, default_path
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judging import Asked, judge_plan
from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import hub_secrets
from ansible_collections.gguf.fleet.plugins.module_utils._lock.headers import read_locked
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import forget


def header_of(params: dict[str, Any], lock: dict[str, Any]) -> HeaderFile:
    """The header of the whole model, as the merge of its shards would have it."""
    client = HttpClient(
        secrets=hub_secrets(lock, params["tokens"].get(lock["hub"], params["token"])), ca_file=params["ca_file"]
    )
    try:
        headers = read_locked(at_hand(lock, params["models_dir"]), client)
    finally:
        client.close()
    name = posixpath.basename(destination(lock, "merged", ""))
    (merged,) = rehearsal.as_merged("", name, headers, lock["merged"]["size_bytes"])
    return HeaderFile(merged.header, merged.size_bytes)


def at_hand(lock: dict[str, Any], models_dir: str | None) -> dict[str, Any]:
    """The lock, its shards on the disk in place of the hub's where all of them are there."""
    folder = destination(lock, "shards", models_dir or "/nonexistent")
    paths = [os.path.join(folder, posixpath.basename(file["path"])) for file in lock["files"]]
    if not all(os.path.isfile(path) for path in paths):
        return lock
    return {**lock, "files": [{**file, "url": f"file://{path}"} for file, path in zip(lock["files"], paths)]}


def judge_all(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    models = params["models"]
    if not os.path.isfile(params["program"]):
        if params["devices"] == "stand_ins":
            raise JudgeProblem(
                f"There is no {params['program']}.", "Give the path of llama-fit-params on this machine."
            )
        return {"build": "", "plans": {model["name"]: model["plan"] for model in models}}
    try:
        program = find(params["program"], params["rpc_server"])
    except JudgeProblem as error:
        return {"build": "", "plans": {model["name"]: not_judged(model["plan"], str(error)) for model in models}}
    cache = Cache(params["cache"] or default_path())
    plans = {}
    for model in models:
        lock = check_lock(model["lock"]) if model["lock"] else None
        asked = Asked(model["plan"], model["parameters"], lock, partial(header_of, params, lock or {}))
        plans[model["name"]] = judge_plan(asked, program, cache, stand_ins=params["devices"] == "stand_ins")
    if not check_mode:
        cache.save()
    return {"build": program.build, "plans": plans}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "program": {"type": "path", "required": True},
            "rpc_server": {"type": "path"},
            "devices": {"type": "str", "choices": ["real", "stand_ins"], "default": "real"},
            "models": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "plan": {"type": "dict", "required": True},
                    "parameters": {"type": "dict", "default": {}, "no_log": True},
                    "lock": {"type": "dict"},
                },
            },
            "models_dir": {"type": "path"},
            "cache": {"type": "path"},
            "token": {"type": "str", "no_log": True},
            "tokens": {"type": "dict", "default": {}, "no_log": True},
            "ca_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    for model in module.params["models"]:
        forget(module.no_log_values, model, "parameters")
    try:
        outcome = judge_all(module.params, module.check_mode)
    except Problem as error:
        module.fail_json(**failure(error))
    module.exit_json(changed=False, **outcome)


if __name__ == "__main__":
    main()
