#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model
short_description: Add models to Ollama servers without copying files, or remove them
version_added: 0.1.0
description:
  - Puts GGUF files into Ollama's store as hard links and writes the models' manifests the way the server's own version
    does. This takes milliseconds and no disk space, where C(ollama create) copies the file and, from 0.30, rewrites it.
  - Takes all models of a host in one run, one after the other in their order. One that fails keeps none of the others;
    the failure then names each that failed.
  - Settings may hold every character, also those that a Modelfile cannot carry.
  - Compares content. A changed parameter rewrites only the small files, a removed one really goes.
  - Never makes the server pull anything from a registry.
  - What was made is noted in the ledger C(/var/lib/gguf-fleet/ledger.json); O(state=pruned) uses it.
  - The server must be running, since it removes at its start what no manifest names yet.
author:
  - gguf.fleet contributors (@gguf-fleet)
extends_documentation_fragment:
  - gguf.fleet.attributes
  - gguf.fleet.attributes.changes
options:
  state:
    description:
      - V(present) makes O(models) be as described.
      - V(absent) removes them, and the blobs that no other model needs. The files that they were made of stay.
      - V(pruned) makes them be as described and removes all others that this module made; of an entry with neither
        O(models[].file) nor O(models[].from) it only sees to it that it stays. Models of others stay. Nothing is
        removed when one of O(models) failed.
    type: str
    choices: [present, absent, pruned]
    default: present
  models:
    description: The models, in the order in which they are made.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The model's name, C([host/][namespace/]model[:tag]). Upper and lower case count as the same.
        type: str
        required: true
      file:
        description:
          - The GGUF file on the host, as an absolute path. It must be one whole model, not a shard.
          - It becomes root's and read-only, since the blob in the store is the same file.
          - Either this or O(models[].from) is needed to make a model.
        type: path
      from:
        description: A model in the store to derive this one from; what is not given here is taken from it.
        type: str
      template:
        description:
          - The prompt template in Ollama's Go syntax, or the name of a built-in one.
          - A text that the version of Ollama cannot parse is refused, with its line and column.
          - V(deepseek-r1) is the template of DeepSeek-R1 for several turns.
          - V(deepseek-r1-short) is the one-line template for a single question.
          - V(chatml) is what Qwen, SmolLM2 and many other models were trained on. V(glm-4), V(kimi-k2), V(minimax-m2),
            V(gpt-oss), V(llama-4), V(gemma-3), V(gemma-4) and V(mistral-small) are those of these families.
          - A built-in one brings its stops, unless O(models[].parameters) has C(stop).
          - Before Ollama 0.30 a model without one gets the bare prompt; later the template in the GGUF file is used.
        type: str
      system:
        description: The system prompt.
        type: str
      parameters:
        description:
          - The model's parameters by Ollama's own names, such as C(num_ctx) or C(temperature); C(stop) takes a list.
          - A name or a value that the version of Ollama would read differently from what is meant is refused.
        type: dict
        default: {}
      messages:
        description: The beginning of each conversation.
        type: list
        elements: dict
        default: []
        suboptions:
          role:
            description: Who says it.
            type: str
            required: true
            choices: [system, user, assistant]
          content:
            description: What is said.
            type: str
            required: true
      license:
        description: The texts of the model's licences.
        type: list
        elements: str
        default: []
      keep_alive:
        description:
          - Load the model after a change and tell in RV(models[].loaded) where it landed. Seconds, or a duration such
            as V(30m).
          - V(-1) keeps it loaded without end, and loads it again whenever it is not.
        type: str
      host:
        description: The address of the server that serves this one, where it is not that of O(host).
        type: str
      also_on:
        description:
          - Addresses of further servers of the same store that serve it, too, such as those of its other instances.
          - It is loaded on each of them as O(models[].keep_alive) says, and older weights of its name leave the memory
            of each.
        type: list
        elements: str
        default: []
        version_added: 0.2.0
  remove_files:
    description:
      - With O(state=pruned), also remove all files that M(gguf.fleet.gguf_download) or M(gguf.fleet.gguf_merge) made on
        this host and that no model in the store needs any more, whenever that came about, except O(keep_files).
      - A file that stays because a model of somebody else is made of it is warned of, with its size, in every run.
    type: bool
    default: false
  keep_files:
    description: Files that stay, since something else uses them.
    type: list
    elements: path
    default: []
  prove:
    description:
      - Whether a model that is there already and gets other settings is asked for a word afterwards. Where it does not
        answer it gets its old settings back, and the task fails.
      - Where it does not answer with those either, the new ones stay, and the task fails with both reasons.
      - This loads the model. It works for O(import=store) only.
    type: bool
    default: false
    version_added: 0.2.0
  restarts:
    description:
      - Whether the caller restarts a server that cannot unload the old weights of a name, and runs
        this again.
      - Such a model stays as it is then, RV(restart) names the server, and nothing is pruned. Otherwise the task fails,
        or warns of weights that no name means already.
    type: bool
    default: false
    version_added: 0.2.0
  import:
    description:
      - V(store) writes the store itself. When O(models[].file) is on another file system, the blob is a symbolic link,
        or a copy if the server's user cannot reach the file; RV(actions) says which.
      - V(api) has the server do it. It copies the file, and from 0.30 needs three times its size for a while.
      - V(auto) takes V(store) for the versions that are tested (0.5.7 to 0.33) and V(api) for newer ones.
    type: str
    choices: [auto, store, api]
    default: auto
  host:
    description: The server's address.
    type: str
    default: http://127.0.0.1:11434
  models_dir:
    description:
      - The servers' models directory, which their E(OLLAMA_MODELS) names.
      - Its owner becomes the owner of all that the server must be able to change.
    type: path
    default: /var/lib/ollama/models
  ollama_version:
    description:
      - The server's version, when what it says of itself is not to be used. One that was built locally says 0.0.0 and
        is taken for the newest tested one.
      - In check mode also the version to plan for while no server runs yet.
    type: str
  load_timeout:
    description: Seconds that a load may take. By default 300, and one more for each 100 MB of the model.
    type: int
"""

EXAMPLES = r"""
- name: Serve DeepSeek-R1 from the merged file, and the same model with a longer context under another name, at no cost
  gguf.fleet.ollama_model:
    models:
      - name: DeepSeek-R1:Q2_K_XL
        file: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
        template: deepseek-r1
        parameters:
          num_ctx: 8192
          temperature: 0.6
        keep_alive: "-1"
      - name: DeepSeek-R1:long
        from: DeepSeek-R1:Q2_K_XL
        parameters:
          num_ctx: 32768

- name: Take one away again
  gguf.fleet.ollama_model:
    state: absent
    models:
      - name: DeepSeek-R1:long

- name: Serve this one and take away what was served before, with the files that were fetched for it
  gguf.fleet.ollama_model:
    state: pruned
    models:
      - name: DeepSeek-R1:Q2_K_XL
        file: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
    remove_files: true
"""

RETURN = r"""
models:
  description: What came of each of O(models), in their order.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: As it was given.
      type: str
      returned: always
    changed:
      description: Whether something was done for it, or would be.
      type: bool
      returned: success
    model:
      description: Its name, spelled as the server spells it.
      returned: success
      type: str
      sample: DeepSeek-R1:Q2_K_XL
    digest:
      description: The digest of its manifest, as C(ollama list) shows the beginning of it. Null when there is none.
      returned: success
      type: str
      sample: 2be8d2cc207ca3bbcb6b2b0c3f1ec2f8a2a6bdeb2d5e0c53a1b0a7d3c7f1d1aa
    size_bytes:
      description: The size of the model with all its blobs.
      returned: success
      type: int
      sample: 226000000000
    import_used:
      description: How it was done, V(store) or V(api).
      returned: success
      type: str
      sample: store
    actions:
      description: As RV(actions), for this model.
      returned: success
      type: list
      elements: str
    freed_bytes:
      description: As RV(freed_bytes), for this model.
      returned: success
      type: int
    kept_files:
      description: As RV(kept_files), for this model.
      returned: success
      type: list
      elements: dict
    loaded:
      description: The model in the server's memory, when O(models[].keep_alive) is given and it is there.
      returned: success
      type: dict
      contains:
        size_bytes:
          description: What it takes altogether.
          type: int
        size_vram_bytes:
          description: What of it is on GPUs.
          type: int
        gpu_percent:
          description: The share on GPUs.
          type: int
        context_length:
          description: Its context, in tokens. Null from servers that do not tell.
          type: int
        pinned:
          description: Whether it stays loaded without end.
          type: bool
    problem:
      description: What is wrong.
      type: str
      returned: failure
    remedy:
      description: What to do about it.
      type: str
      returned: failure
removed:
  description: The models that went because O(models) does not name them, or would go in check mode.
  returned: with O(state=pruned)
  type: list
  elements: str
restart:
  description: The addresses of servers that have to be restarted before this is run again, with O(restarts=true).
  returned: always
  type: list
  elements: str
  sample: ["http://127.0.0.1:11434"]
actions:
  description:
    - What was done, or would be done in check mode, in this order.
    - The ways to bring in the file are B(hard link), B(symbolic link), B(copy) and B(upload).
  returned: always
  type: list
  elements: str
  sample: ["hard link /var/lib/ollama/models/blobs/sha256-5f1… (226,000,000,000 bytes): not there yet"]
freed_bytes:
  description: The bytes that were really freed. A removed blob frees nothing while the file has another name.
  returned: always
  type: int
  sample: 0
kept_files:
  description: The files of the removed models, which stay where they are and hold their space.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      sample: /srv/gguf-fleet/models/DeepSeek-R1-UD-Q2_K_XL.gguf
    size_bytes:
      description: Its size.
      type: int
    made:
      description: Whether M(gguf.fleet.gguf_download) or M(gguf.fleet.gguf_merge) made it.
      type: bool
    reason:
      description: Why it has to stay, where a model needs it that nothing declares; else empty.
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

import json
from dataclasses import replace
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._action import sentences
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.arguments import MODEL_SETTINGS
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.model_run import Request, Result
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.models_run import Answer, Outcome, run_all
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, together
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable


def requests(params: Dict[str, Any], check: bool) -> List[Request]:
    """The request for what is not among the models, and one for each of them."""
    others = Request(
        host=params["host"],
        models_dir=params["models_dir"],
        check=check,
        remove_files=params["remove_files"],
        keep_files=params["keep_files"],
        import_way=params["import"],
        prove=params["prove"],
        version=params["ollama_version"],
        load_timeout=params["load_timeout"],
        restarts=params["restarts"],
    )
    return [
        others,
        *(
            replace(
                others,
                host=one["host"] or others.host,
                also_on=one["also_on"],
                name=one["name"],
                file=one["file"],
                base=one["from"],
                template=one["template"],
                system=one["system"],
                parameters=one["parameters"],
                messages=one["messages"],
                license=one["license"],
                keep_alive=one["keep_alive"],
            )
            for one in params["models"]
        ),
    ]


def returned(names: List[str], outcome: Outcome) -> Dict[str, Any]:
    results = outcome.results
    found: Dict[str, Any] = {
        "changed": any(result.actions for result in results),
        "models": [{"name": name, **answered(answer)} for name, answer in zip(names, outcome.answers)],
        "actions": [action for result in results for action in sentences(result.actions)],
        "restart": list(dict.fromkeys(result.restart for result in results if result.restart)),
        "freed_bytes": sum(result.freed_bytes for result in results),
        "kept_files": [dict(file) for result in results for file in result.kept_files],
        "diff": [diff for result in results for diff in diffs(result)],
    }
    if isinstance(outcome.pruned, Result):
        found["removed"] = list(outcome.pruned.removed)
    return found


def answered(answer: Answer) -> Dict[str, Any]:
    if isinstance(answer, Result):
        return {**answer.as_dict(), "actions": sentences(answer.actions)}
    told = failure(answer)
    return {"problem": told["problem"], "remedy": told["remedy"]}


def diffs(result: Result) -> List[Dict[str, str]]:
    if result.before == result.after:
        return []
    header = result.model or ", ".join(result.removed)
    return [
        {
            "before_header": header,
            "after_header": header,
            "before": readable(dict(result.before)),
            "after": readable(dict(result.after)),
        }
    ]


def readable(model: Dict[str, Any]) -> str:
    return json.dumps(model, indent=1, ensure_ascii=False) + "\n" if model else ""


def refusal(names: List[str], outcome: Outcome) -> Problem:
    """All that failed, each told apart by its model's name where there are several models."""
    if len(names) == 1:
        return together(outcome.problems)
    named = [
        Problem(f"{name}: {answer.problem}", answer.remedy)
        for name, answer in zip(names, outcome.answers)
        if isinstance(answer, Problem)
    ]
    return together(named or outcome.problems)


def main() -> None:
    model = {
        "name": {"type": "str", "required": True},
        "file": {"type": "path"},
        "from": {"type": "str"},
        **MODEL_SETTINGS,
        "keep_alive": {"type": "str"},
        "host": {"type": "str"},
        "also_on": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent", "pruned"], "default": "present"},
            "models": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": model,
                "mutually_exclusive": [("file", "from")],
            },
            "remove_files": {"type": "bool", "default": False},
            "keep_files": {"type": "list", "elements": "path", "default": []},
            "prove": {"type": "bool", "default": False},
            "restarts": {"type": "bool", "default": False},
            "import": {"type": "str", "choices": ["auto", "store", "api"], "default": "auto"},
            "host": {"type": "str", "default": "http://127.0.0.1:11434"},
            "models_dir": {"type": "path", "default": "/var/lib/ollama/models"},
            "ollama_version": {"type": "str"},
            "load_timeout": {"type": "int"},
        },
        supports_check_mode=True,
    )
    others, *models = requests(module.params, module.check_mode)
    outcome = run_all(module.params["state"], models, others, Ledger())
    names = [request.name for request in models]
    result = returned(names, outcome)
    for warning in dict.fromkeys(warning for one in outcome.results for warning in one.warnings):
        module.warn(printable(warning))
    if outcome.problems:
        module.fail_json(**result, **failure(refusal(names, outcome)))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
