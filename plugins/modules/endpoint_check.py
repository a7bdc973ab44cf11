#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_check
short_description: Ask an endpoint a question, to check that it serves its model
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Loads the model, asks it a question and reads the streamed answer to the end, then tells how fast it was and how
    much of the model lies on GPUs. An open port proves nothing; an answer does.
  - Run it on the host, or on the controller (C(delegate_to)) to see what a client on the network sees.
  - Asks one endpoint (O(url)) or several of a host in one run (O(endpoints)), one after the other. All of them are
    asked, also when one fails; the failure then names each that failed.
  - Also runs in check mode. Where nothing listens yet or the model is not there yet, check mode returns
    RV(verified=false) with a warning instead of failing.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  url:
    description:
      - Base address of the endpoint, such as V(http://127.0.0.1:11434).
      - Either this or O(endpoints) is required.
    type: str
  endpoints:
    description:
      - Several endpoints instead of one. Their results are in RV(endpoints), in this order.
      - All other options but O(url), O(engine), O(model), O(origin), O(api_key) and O(version) hold for each of them.
    type: list
    elements: dict
    suboptions:
      url:
        description: As O(url).
        type: str
        required: true
      engine:
        description: As O(engine).
        type: str
        choices: [ollama, llama_cpp]
        default: ollama
      model:
        description: As O(model).
        type: str
      origin:
        description: As O(origin).
        type: str
      api_key:
        description: As O(api_key).
        type: str
      version:
        description: As O(version).
        type: str
  engine:
    description: What serves there.
    type: str
    choices: [ollama, llama_cpp]
    default: ollama
  model:
    description:
      - The model to ask, by the name that clients use.
      - Needed for Ollama; llama.cpp is asked for the model that it serves when this is left out.
    type: str
  question:
    description: What to ask.
    type: str
    default: Say hello in one short sentence.
  max_tokens:
    description: Longest answer in tokens. A model that thinks aloud may use all of them before it answers.
    type: int
    default: 64
  api:
    description:
      - Which interface to ask by. V(openai) is C(/v1/chat/completions), as most clients use it; V(ollama) is
        C(/api/chat), where Ollama gives its own measure of the speed.
    type: str
    choices: [openai, ollama]
    default: openai
  empty_answer:
    description: Let an answer without any text count. It proves that the model computes, not that it says something.
    type: bool
    default: false
  origin:
    description:
      - Also send the preflight that a browser sends for a page of this origin, such as V(https://chat.example.com), and
        fail when the page would be turned away.
    type: str
  gpu_share_min:
    description:
      - Fail when less than this part of the model, between 0 and 1, lies on GPUs.
      - llama.cpp does not tell how much does, and so fails for anything but 0.
    type: float
    default: 0.0
  timeout_seconds:
    description:
      - Longest silence of the endpoint in seconds, the load of the model included.
      - The answer may take this long and 30 seconds more for each of O(max_tokens); what an engine answers out of its
        memory may take 300 seconds at most.
    type: float
    default: 3600.0
  api_key:
    description: Key of an endpoint that wants one.
    type: str
  version:
    description:
      - The version that an Ollama must be. Another one fails, before any model is loaded. One that was built locally
        says 0.0.0 and is let pass. Check mode takes any, since an earlier task may be going to change it.
    type: str
  restore_memory:
    description:
      - Leave an Ollama's memory as it was found. What had to leave for an asked model is loaded again, as long as it
        had left; what was loaded beside all that was there stays as long as after any question.
    type: bool
    default: false
  ca_file:
    description: Certificates of your own certificate authority, for V(https) addresses.
    type: path
seealso:
  - module: gguf.fleet.ollama_model
  - module: gguf.fleet.gpu_info
"""

EXAMPLES = r"""
- name: Ask the model on its host
  gguf.fleet.endpoint_check:
    url: http://127.0.0.1:11434
    model: deepseek-r1
    gpu_share_min: 1.0

- name: Ask it from the controller, as a desktop client on the network would
  gguf.fleet.endpoint_check:
    url: http://{{ ansible_host }}:11434
    model: deepseek-r1
    origin: app://client
  delegate_to: localhost
  become: false

- name: Ask all that a host serves
  gguf.fleet.endpoint_check:
    endpoints:
      - url: http://127.0.0.1:11434
        model: deepseek-r1
      - url: http://127.0.0.1:8080
        engine: llama_cpp
        api_key: "{{ vaulted_key }}"

- name: Ask llama.cpp
  gguf.fleet.endpoint_check:
    url: http://127.0.0.1:8080
    engine: llama_cpp
"""

RETURN = r"""
verified:
  description: Whether every model answered. V(false) only in check mode, where there is nothing to ask yet.
  type: bool
  returned: always
address:
  description:
    - The IPv4 address by which others on the network reach the host that asked, of the interface of its default route;
      empty where it has no such route.
  type: str
  returned: always
  sample: 10.0.0.12
endpoints:
  description:
    - For each of O(endpoints), in their order, what this module returns for one, and RV(ignore:problem) and
      RV(ignore:remedy) where it failed.
  type: list
  elements: dict
  returned: with O(endpoints)
url:
  description: The endpoint.
  type: str
  returned: with O(url)
engine:
  description: What serves there.
  type: str
  returned: with O(url)
version:
  description: The engine's version as it tells it; empty when it does not.
  type: str
  returned: when verified
  sample: 0.33.2
model:
  description: The model that answered.
  type: str
  returned: when verified
answer:
  description: What it answered, with control characters but line ends and tabs escaped.
  type: str
  returned: when verified
  sample: The capital of France is Paris.
reasoning:
  description: What it thought aloud, where the engine tells that apart.
  type: str
  returned: when verified
finish_reason:
  description: Why the answer ended, V(stop) or V(length).
  type: str
  returned: when verified
tokens:
  description: Number of tokens of the answer.
  type: int
  returned: when verified
tokens_per_second:
  description: Speed of the answer, by the engine's measure where it tells one; V(null) for an answer of one token.
  type: float
  returned: when verified
first_token_seconds:
  description: Time in seconds from the question to the first token, the model being loaded already.
  type: float
  returned: when verified
load_seconds:
  description: Time in seconds until the model was loaded; near 0 when it was loaded already.
  type: float
  returned: when verified
seconds:
  description: Time in seconds from the question to the end of the answer.
  type: float
  returned: when verified
gpu_share:
  description: The part of the model in GPU memory, between 0 and 1; V(null) when the engine does not tell.
  type: float
  returned: when verified
  sample: 1.0
size_bytes:
  description: Memory of the loaded model in bytes, as Ollama tells it.
  type: int
  returned: when verified
size_vram_bytes:
  description: The part of RV(size_bytes) in GPU memory.
  type: int
  returned: when verified
context_length:
  description: Context in tokens that the model was loaded with; V(null) when the engine does not tell.
  type: int
  returned: when verified
cors:
  description: The answer to the preflight; V(null) without O(origin).
  type: dict
  returned: when verified
  contains:
    origin:
      description: The origin that was asked for.
      type: str
    allow_origin:
      description: The origins that the server let in.
      type: str
    allow_methods:
      description: The methods that it allows.
      type: list
      elements: str
    allow_headers:
      description: The headers that it allows.
      type: list
      elements: str
problem:
  description: What is wrong.
  type: str
  returned: on failure
remedy:
  description: What to do about it.
  type: str
  returned: on failure
"""

from typing import Any, Dict, List, Mapping, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import NotThere
from ansible_collections.gguf.fleet.plugins.module_utils._host.address import default_address
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, together
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable
from ansible_collections.gguf.fleet.plugins.module_utils._verify.check import Wanted, check, named
from ansible_collections.gguf.fleet.plugins.module_utils._verify.residency import Residency

# What differs from endpoint to endpoint.
_ONE: Dict[str, Any] = {
    "engine": {"type": "str", "choices": ["ollama", "llama_cpp"], "default": "ollama"},
    "model": {"type": "str"},
    "origin": {"type": "str"},
    "api_key": {"type": "str", "no_log": True},
    "version": {"type": "str"},
}


def ask(given: Mapping[str, Any], one: Mapping[str, Any], residency: Residency, *, check_mode: bool) -> Dict[str, Any]:
    endpoint = Endpoint(
        one["url"], silence_seconds=given["timeout_seconds"], api_key=one["api_key"], ca_file=given["ca_file"]
    )
    wanted = Wanted(
        engine=one["engine"],
        model=one["model"],
        question=Question(given["question"], given["max_tokens"], given["api"], given["empty_answer"]),
        origin=one["origin"],
        gpu_share_min=given["gpu_share_min"],
        timeout_seconds=given["timeout_seconds"],
        # In check mode the server may be one that an earlier task would upgrade.
        version=None if check_mode else one["version"],
    )
    if one["engine"] == "ollama" and given["restore_memory"]:
        residency.note(endpoint)
    return check(endpoint, wanted)


def ask_each(module: AnsibleModule) -> Tuple[List[Dict[str, Any]], List[Problem]]:
    """The result of every endpoint in order, and what failed."""
    results: List[Dict[str, Any]] = []
    problems: List[Problem] = []
    several = module.params["endpoints"]
    residency = Residency()
    for one in [module.params] if several is None else several:
        result = {"verified": False, "url": one["url"], "engine": one["engine"]}
        try:
            result.update(ask(module.params, one, residency, check_mode=module.check_mode), verified=True)
        except Problem as error:
            if module.check_mode and isinstance(error, NotThere):
                module.warn(printable(f"{error.problem} There is nothing to check yet."))
            else:
                problems.append(error if several is None else named(error, one["url"], one["model"]))
                result.update({} if several is None else failure(problems[-1]))
        results.append(result)
    problems += residency.restore(module.params["timeout_seconds"])
    return results, problems


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str"},
            "endpoints": {
                "type": "list",
                "elements": "dict",
                "options": {"url": {"type": "str", "required": True}, **_ONE},
            },
            **_ONE,
            "question": {"type": "str", "default": "Say hello in one short sentence."},
            # Not a secret, whatever its name reminds of.
            "max_tokens": {"type": "int", "default": 64, "no_log": False},
            "api": {"type": "str", "choices": ["openai", "ollama"], "default": "openai"},
            "empty_answer": {"type": "bool", "default": False},
            "gpu_share_min": {"type": "float", "default": 0.0},
            "timeout_seconds": {"type": "float", "default": 3600.0},
            "restore_memory": {"type": "bool", "default": False},
            "ca_file": {"type": "path"},
        },
        required_one_of=[("url", "endpoints")],
        mutually_exclusive=[(name, "endpoints") for name in ("url", "model", "origin", "api_key", "version")],
        supports_check_mode=True,
    )
    results, problems = ask_each(module)
    one = results[0] if module.params["endpoints"] is None else {"endpoints": results}
    result = {
        **one,
        "address": default_address(),
        "changed": False,
        "verified": all(result["verified"] for result in results),
    }
    if problems:
        module.fail_json(**failure(together(problems)), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
