#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: gateway_servers
short_description: Drain instances on a gateway, or let it send requests to them again
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Runs on a gateway. What streams from an instance that is drained goes on to its end; new requests go to others.
  - The state outlives a reload and a restart of the gateway's HAProxy.
  - A gateway whose HAProxy does not run sends nothing, so there is nothing to change.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  servers:
    description:
      - The instances by their names in HAProxy's configuration. A name that ends in V(*) stands for all that begin so.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(drained) sends nothing new there, V(ready) does again as soon as the instance answers.
      - V(ended) is for instances that are removed, after they were drained. They get nothing, also when their host is
        given back; that they are there again is said by V(started).
    type: str
    choices: [drained, ready, ended, started]
    required: true
  wait_seconds:
    description:
      - With O(state=drained), how long to wait for the last stream, in seconds. Where it does not end in time, the task
        fails, and the instances stay drained.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Send nothing new to an instance, and wait for what it streams
  gguf.fleet.gateway_servers:
    servers: ['gpu-01_*']
    state: drained
    wait_seconds: 1800
"""

RETURN = r"""
actions:
  description: What was done, or would be done.
  returned: success
  type: list
  elements: str
  sample: [drain model_r1/gpu-01_ollama]
running:
  description: Whether the gateway's HAProxy runs.
  returned: success
  type: bool
streams:
  description: How many requests ran on these instances at the end.
  returned: success
  type: int
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._gateway import admin, drain
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem

NAME = "gateway"


def bring(module: AnsibleModule) -> dict[str, t.Any]:
    p = module.params
    socket = admin.socket_path(NAME)
    if admin.running(socket) is None:
        return {"changed": False, "running": False, "actions": [], "streams": 0, "diff": {"before": "", "after": ""}}
    found = drain.look(socket, p["servers"])
    wrong = [server for server in found if not server.is_in(p["state"])]
    streams = sum(server.streams for server in found)
    after = drain.READY if p["state"] == drain.STARTED else p["state"]
    if not module.check_mode:
        if wrong:
            drain.bring(socket, NAME, wrong, p["state"])
        if p["state"] == drain.DRAINED and p["wait_seconds"]:
            streams = drain.wait_for_streams(socket, p["servers"], p["wait_seconds"])
            if streams:
                where = ", ".join(sorted({server.name for server in found}))
                raise admin.AdminProblem(
                    f"{streams} requests still run on {where} after {p['wait_seconds']} s.",
                    "The instances stay drained. Run again later, or raise the limit (gateway_drain_seconds).",
                )
    return {
        "changed": bool(wrong),
        "running": True,
        "actions": [f"{drain.DEEDS[p['state']]} {server.path}" for server in wrong],
        "streams": streams,
        "diff": {
            "before": "".join(f"{server.path} {server.state}\n" for server in found),
            "after": "".join(f"{server.path} {after if server in wrong else server.state}\n" for server in found),
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": list(drain.DEEDS), "required": True},
            "wait_seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    try:
        result = bring(module)
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        remedy = "Look at the disk (df, mount) and run again."
        module.fail_json(**failure(file_problem(error, drain.state_file(NAME), remedy)))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
