#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_service
short_description: Run an inference engine as a service, check that it serves, and undo the change when it does not
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Writes the files of a service (unit, drop-in, environment) from the values given here, and brings them, the
    current version and the running process to what is wanted, as one change.
  - The service is restarted once, and only for a reason. A reason is not lost when a run ends early; the next one
    restarts.
  - After a start the service must become healthy. For Ollama that is a generation by one of O(models) (or by a
    model that was loaded before), with the same share in GPU memory as before; without a model it is the API's
    answer with the wanted version. To know that share, the declared model is loaded before another version takes over.
  - For llama.cpp it is a generation, too; it does not tell what lies on GPUs. A server of embeddings, or one whose
    key is not given, only has to tell by C(/health) that its model is loaded.
  - When the service does not become healthy, the files and the version from before are put back, the service is
    restarted, and the task fails. The same holds when a file cannot be written or the version cannot be switched.
  - What was before is kept in C(/var/lib/gguf-fleet/pending), which only root can enter, until the change is proven. A
    run that ends in the middle, for whatever reason, is put back by the next one. V(restart=never) leaves the restart
    that belongs to it for later.
  - Nothing is sent to O(url) before a process of the service has taken the connection. Where this host does not let
    root look into processes of others, as in many containers, the user of the socket must be the service's.
  - The same values become a unit of systemd, or a program of supervisord where there is no systemd (O(manager)).
  - supervisord comes with the task from the controller's Python package C(supervisor) when the host has another copy
    or none. Where the controller has none, the host's own is taken, for example the distribution's package.
  - A service that still runs by the script of an earlier version moves to supervisord with one restart, and goes back
    to the script when it does not become healthy.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  name:
    description: Name of the service. This or O(services) is required.
    type: str
  services:
    description:
      - Several services in the place of O(name), brought to what is wanted in this order, in one run. What an entry
        does not say holds for all of them, as the option of the same name says it.
      - Without O(version) each is a change of its own, and one that fails does not keep those after it from theirs.
        With O(version) they are O(together).
    type: list
    elements: dict
    version_added: 0.2.0
    suboptions:
      name:
        description: Name of the service.
        type: str
        required: true
      description:
        description: As O(description).
        type: str
      command:
        description: As O(command).
        type: list
        elements: str
      environment:
        description: As O(environment).
        type: dict
      mounts:
        description: As O(mounts).
        type: list
        elements: str
      start_lock:
        description: As O(start_lock).
        type: path
      loads:
        description: As O(loads).
        type: list
        elements: str
      url:
        description: As O(url).
        type: str
      models:
        description: As O(models).
        type: list
        elements: str
      gpus:
        description: As O(gpus).
        type: bool
      beside:
        description: As O(beside).
        type: bool
      api_key:
        description: As O(api_key).
        type: str
  state:
    description:
      - V(started) keeps it running and starting at boot, V(stopped) stops it, with systemd at boot, too, V(absent)
        stops it and removes its files. A unit that another installer wrote is left as it is.
      - V(restarted) restarts it as it is, where it runs, and proves that it serves.
    type: str
    choices: [started, restarted, stopped, absent]
    default: started
  manager:
    description:
      - Who keeps it running. V(auto) takes systemd when it is PID 1 and answers, and supervisord otherwise, as
        RV(gguf.fleet.engine_info#module:manager) tells.
      - V(supervisord) was called C(script) before.
    type: str
    choices: [auto, systemd, supervisord]
    default: auto
  description:
    description: What the service is called in the manager's lists. Required with O(state=started).
    type: str
  command:
    description:
      - The command line, from the program's whole path on; nothing in it is expanded. Required with O(state=started).
      - Every user of the host can read it, so a secret belongs into O(environment).
    type: list
    elements: str
  user:
    description: The user that it runs as. Required with O(state=started).
    type: str
  group:
    description: Its group. Required with O(state=started).
    type: str
  home:
    description: Its home, and the directory that it works in. Required with O(state=started).
    type: str
  hardening:
    description:
      - How much systemd takes from the service. V(gpu_safe) is everything that is not known to keep CUDA from working,
        V(strict) is more, V(off) nothing.
      - V(proxy) is for a program that starts as root to open its ports and then becomes another user by itself, as
        HAProxy does. It has C(/run/gguf-fleet) for its socket.
    type: str
    choices: [strict, gpu_safe, proxy, 'off']
    default: gpu_safe
  writable:
    description: Directories that it may write to under O(hardening).
    type: list
    elements: str
    default: []
  mounts:
    description: Directories that must be mounted before it starts.
    type: list
    elements: str
    default: []
  nvidia:
    description: Whether the host has NVIDIA cards, whose devices must be there before it starts.
    type: bool
    default: false
  start_lock:
    description:
      - A file, root's alone, that the service waits for before each start, also one that its manager makes by itself,
        as long as somebody holds the lock on it. Empty for none.
      - M(gguf.fleet.ollama_model) holds C(/var/lib/gguf-fleet/ollama-store.lock) while it adds files that a starting
        Ollama would remove.
    type: path
    default: ''
    version_added: 0.2.0
  loads:
    description:
      - Models of an Ollama that are loaded after each start, also one after a crash or a reboot, and stay in memory. It
        goes on in the background for at most O(load_seconds). A change counts from the next start on.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  supervisor:
    description:
      - The controller's copy of the Python package C(supervisor). It is handed over with the task; it is not to be
        given.
    type: dict
    suboptions:
      version:
        description: Its version.
        type: str
        required: true
      digest:
        description: What the host's copy is compared by.
        type: str
        required: true
      archive:
        description: The copy itself, for a host that has another one.
        type: str
  root:
    description: Directory of the engine's versions, as in M(gguf.fleet.engine_release).
    type: path
  version:
    description:
      - The version below O(root) that should be the current one. The switch is part of the change and is undone
        with it.
    type: str
  links:
    description: Commands in the PATH that lead to the current version, as in M(gguf.fleet.engine_release).
    type: dict
    default: {}
  together:
    description:
      - Names of all services that run O(version), in the order in which this module is called for them; O(name) is
        among them. With O(services) it is their names. The first one switches the version, the others restart because
        of it.
      - What each was before is kept until the last one has proven to serve. Where one does not, it and those before it
        are put back as they were, with their version.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  instead_of:
    description:
      - Names of services of this collection whose place O(name) takes, such as the server of a model that was renamed.
        They are stopped before it starts, and start again when it does not serve. Whoever calls this removes them
        after that (O(state=absent)).
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  beside:
    description:
      - Whether there is memory for O(name) beside those of O(instead_of). Then they go on serving until they are
        removed, but for one that holds the port of O(url).
    type: bool
    default: false
    version_added: 0.2.0
  restart:
    description:
      - V(auto) restarts when there is a reason, and warns when a model was being loaded or clients were connected.
      - V(drain) waits for that to end first, at most O(drain_seconds), and changes nothing when it does not.
      - V(never) leaves a running service alone; the change takes effect at the next restart.
    type: str
    choices: [auto, never, drain]
    default: auto
  reasons:
    description: Further reasons to restart a service that runs, which only the caller can know.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  drain_seconds:
    description: How long V(drain) waits, in seconds.
    type: int
    default: 600
  hold:
    description:
      - Whether to change nothing, and to say so in RV(held), where a service would start, restart or stop. The caller
        lets gateways send nothing new to the host then, and runs this again without O(hold).
      - A run in check mode holds nothing back and tells what would be done.
    type: bool
    default: false
    version_added: 0.2.0
  engine:
    description: How health is asked for. Without it the service only has to start.
    type: str
    choices: [ollama, llama_cpp]
  url:
    description: Where this host reaches the engine.
    type: str
    default: http://127.0.0.1:11434
  models:
    description: Models of which the first that the server has must answer after a start.
    type: list
    elements: str
    default: []
  environment:
    description:
      - Its environment, with its secrets. It lies in C(/etc/gguf-fleet/NAME.env), root's and with mode 0600.
      - A value is shown, in the invocation and in the diff, when its variable is known to hold no secret; of every
        other one the name is shown, and whether the value changed.
    type: dict
    default: {}
  adopt:
    description:
      - Note the settings of an installation that was there before, as RV(gguf.fleet.engine_info#module:adopted) tells
        them, and keep those variables of its environment that RV(gguf.fleet.engine_info#module:adopted.kept) names.
        They do not leave the host.
    type: bool
    default: false
  api_key:
    description:
      - Key that the engine asks for. For llama.cpp, empty takes the first of C(LLAMA_API_KEY) in O(environment).
    type: str
    default: ''
  gpus:
    description: The host has GPUs that a model must land on.
    type: bool
    default: false
  answer_seconds:
    description: How long the API may take to answer after a start, in seconds.
    type: int
    default: 120
  load_seconds:
    description: How long a model may take to load and answer, in seconds.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Run Ollama 0.33.2, or stay with the version before when it does not serve
  gguf.fleet.engine_service:
    name: ollama
    manager: auto
    root: /opt/ollama
    version: 0.33.2
    engine: ollama
    models: [deepseek-r1]
    description: Ollama
    command: [/usr/local/bin/ollama, serve]
    user: ollama
    group: ollama
    home: /var/lib/ollama
    writable: [/var/lib/ollama]
    environment:
      OLLAMA_HOST: 127.0.0.1:11434

- name: Run two servers of llama.cpp
  gguf.fleet.engine_service:
    engine: llama_cpp
    user: llama-cpp
    group: llama-cpp
    home: /var/lib/llama-cpp
    services:
      - name: llama-cpp-r1
        description: llama.cpp, r1
        command: [/usr/bin/llama-server, --model, /srv/gguf-fleet/models/r1.gguf, --alias, r1, --port, "8080"]
        url: http://127.0.0.1:8080
        models: [r1]
      - name: llama-cpp-coder
        description: llama.cpp, coder
        command: [/usr/bin/llama-server, --model, /srv/gguf-fleet/models/coder.gguf, --alias, coder, --port, "8081"]
        url: http://127.0.0.1:8081
        models: [coder]
"""

RETURN = r"""
actions:
  description: What was done, or would be done, and why.
  returned: always
  type: list
  elements: str
  sample:
    - write /etc/gguf-fleet/ollama.env
    - "restart ollama: /etc/gguf-fleet/ollama.env changed"
restarted:
  description: Whether the service was started or restarted.
  returned: always
  type: bool
restart_pending:
  description: Reasons for a restart that O(restart=never) holds back.
  returned: always
  type: list
  elements: str
held:
  description:
    - What O(hold) held back. V(restart) is what would cut streams, V(start) what would not; empty for nothing.
  returned: always
  type: str
  sample: restart
results:
  description:
    - What came of each of O(services), in their order, with its C(name). One that failed has C(failed), C(msg),
      C(problem) and C(remedy); those after it are missing where it ended the run.
  returned: with O(services)
  type: list
  elements: dict
health:
  description: What was checked after a start. With O(services) it is in RV(results).
  returned: after a start
  type: dict
  contains:
    version:
      description: The version that the API tells.
      type: str
    model:
      description: The model that answered; empty when the server has none of them.
      type: str
    gpu_share:
      description: The part of the model that lies in GPU memory, from 0 to 1.
      type: float
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""

import contextlib
import dataclasses
import json
import os
import typing as t
from hashlib import sha256
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._engine.llama_server import first_key
from ansible_collections.gguf.fleet.plugins.module_utils._install import lock, releases
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import (
    MASK,
    environment_secrets,
    let_see,
    masked,
    masked_environment,
    masked_text,
    secrets_in,
)
from ansible_collections.gguf.fleet.plugins.module_utils._service import (
    adoption,
    change,
    environment,
    group,
    health,
    journal,
    manager,
    old_script,
    plan,
    running,
    service_files,
    successor,
    supervisor_copy,
)
from ansible_collections.gguf.fleet.plugins.module_utils._service.supervisord import LIBRARY, PROGRAMS
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import HARDENING, Service
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable


def files_of(
    p: dict[str, t.Any], way: manager.Manager, variables: t.Mapping[str, str], adopted: t.Mapping[str, t.Any]
) -> list[plan.File]:
    if p["state"] != "started":
        return [plan.File(path, "") for path in service_files.paths(p["name"], way)]
    service = Service(**{field.name: given(p[field.name]) for field in dataclasses.fields(Service) if field.name in p})
    if service.loads:
        place = urlsplit(p["url"])
        where = (str(place.hostname), str(place.port or 80), str(p["load_seconds"]))
        service = dataclasses.replace(service, loads_from=where)
    return service_files.wanted(service, way, variables, adopted)


def given(value: t.Any) -> t.Any:
    return tuple(value) if isinstance(value, list) else value


def hide_secrets(hidden: set[str], each: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    """Of the arguments only what is secret is hidden from here on."""
    for p in each:
        let_see(hidden, [p["environment"], p["command"] or []], set())
    for p in each:
        hidden.update(environment_secrets(p["environment"]))
        # As one text: the name of a secret and its value may be two arguments.
        hidden.update(secrets_in(" ".join(p["command"] or [])))
        # The engines themselves tell of a key that they do not take.
        hidden.update([p["api_key"]] if p["api_key"] else [])


def variables_of(module: AnsibleModule, p: t.Mapping[str, t.Any], adopted: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The whole environment of the service; what an adopted one adds to it may be secret, too."""
    variables = {**adoption.kept(adopted), **{name: str(value) for name, value in p["environment"].items()}}
    for found in (variables, adopted.get("environment", {})):
        module.no_log_values.update(environment_secrets(found))
    return variables


def mask(arguments: dict[str, t.Any]) -> None:
    """Of what the result shows of the arguments."""
    if arguments["environment"]:
        arguments["environment"] = masked_environment({n: str(value) for n, value in arguments["environment"].items()})
    if arguments["command"]:
        arguments["command"] = [masked_text(" ".join(arguments["command"]))]


def wanted_of(p: dict[str, t.Any]) -> health.Wanted | None:
    if p["engine"] is None:
        return None
    return health.Wanted(
        engine=p["engine"],
        url=p["url"],
        version=p["version"],
        models=tuple(p["models"]),
        gpus=p["gpus"],
        answer_seconds=p["answer_seconds"],
        load_seconds=p["load_seconds"],
        api_key=p["api_key"],
    )


def shown(path: str, content: str, other: str | None = None) -> str:
    """A file for the diff, without its secrets; of a program of ours only that it is another."""
    if path.startswith(LIBRARY):
        return f"a program of gguf.fleet, sha256 {sha256(content.encode()).hexdigest()}\n" if content else ""
    if path.endswith(".env"):
        return environment.shown(content, other)
    if path.endswith(".adopted.json"):
        with contextlib.suppress(ValueError):
            noted = masked(json.loads(content))
            return json.dumps({**noted, "environment": masked_environment(noted["environment"])}, indent=4) + "\n"
    if path.startswith(PROGRAMS) and path.endswith(".json"):
        with contextlib.suppress(ValueError, TypeError, KeyError):
            # As one text, too: the name of a secret and its value are two lines here.
            for secret in secrets_in(" ".join(json.loads(content)["command"])):
                content = content.replace(json.dumps(secret, ensure_ascii=False)[1:-1], MASK)
    return masked_text(content)


def diff(
    files: t.Sequence[plan.File], found: t.Mapping[str, plan.Found], actions: t.Sequence[plan.Action]
) -> list[dict[str, str]]:
    after = {file.path: file.content for file in files}
    parts = []
    for action in actions:
        if action.verb in ("write", "remove"):
            old = found[action.what].content if action.what in found else ""
            parts.append(
                {
                    "before_header": action.what,
                    "after_header": action.what,
                    "before": shown(action.what, old),
                    "after": shown(action.what, after[action.what], old) if action.verb == "write" else "",
                }
            )
    deeds = [str(action) for action in actions if action.verb not in ("write", "remove")]
    if deeds:
        parts.append({"prepared": "".join(f"{deed}\n" for deed in deeds)})
    return parts


def make_plan(
    p: dict[str, t.Any],
    way: manager.Manager,
    files: list[plan.File],
    found: dict[str, plan.Found],
    before: journal.Before | None,
) -> list[plan.Action]:
    if p["state"] == "absent":
        return plan.plan_absent(p["name"], [file.path for file in files], found, way.state())
    if p["state"] == "restarted":
        return plan.plan_restarted(p["name"], way.state(), p["reasons"])
    if p["state"] == "stopped":
        return plan.plan_stopped(p["name"], way.state(), starts_at_boot=way.name == "systemd")
    current = None
    wrong_links: list[str] = []
    follows = p["name"] in p["together"][1:]
    if p["version"] is not None and follows:
        current = group.version_before(p["together"], p["root"])
    elif p["version"] is not None:
        current = before.links[0] if before and before.root == p["root"] else releases.current(p["root"])
        wrong_links = releases.wrong_links(p["root"], p["links"])
    state, wanted = way.state(), wanted_of(p)
    program = running.program_of(p["command"], p["root"], p["version"], p["links"])
    return plan.plan_started(
        p["name"],
        files,
        found,
        state,
        current=current,
        version=p["version"],
        wrong_links=wrong_links,
        restart=p["restart"],
        pending=journal.read_reasons(p["name"]),
        follows=follows,
        outdated=service_files.outdated(p["name"], way),
        runs_another=[*running.reasons(state, program, wanted, lambda: way.state().pid), *p["reasons"]],
    )


def stand_in_the_way(p: dict[str, t.Any], way: manager.Manager, actions: t.Sequence[plan.Action]) -> list[str]:
    """Of the services whose place it takes, those that have to stop before it starts."""
    if not any(action.verb == "start" for action in actions):
        return []
    return successor.in_the_way(p["instead_of"], p["url"], p["beside"], lambda name: manager.manager(way.name, name))


def held(
    module: AnsibleModule,
    p: t.Mapping[str, t.Any],
    actions: t.Sequence[plan.Action],
    in_the_way: t.Sequence[str] = (),
) -> str:
    """What of this is not done now, but by another run without `hold`."""
    return "" if module.check_mode or not p["hold"] else plan.touches(actions, in_the_way)


HELD: dict[str, t.Any] = {"changed": False, "actions": [], "restarted": False, "restart_pending": [], "diff": []}


def bring(
    module: AnsibleModule, p: dict[str, t.Any], way: manager.Manager, new_supervisor: supervisor_copy.Copy | None
) -> dict[str, t.Any]:
    if p["state"] == "started" and way.name == "supervisord":
        old_script.refuse_entry_point(p["name"])
    target = change.Target(
        service=p["name"],
        root=p["root"] if p["version"] else None,
        links=p["links"],
        wanted=wanted_of(p) if p["state"] in ("started", "restarted") else None,
        drain_seconds=float(p["drain_seconds"]) if p["restart"] == "drain" else None,
    )
    unfinished = group.unfinished(p["together"], p["name"])
    if unfinished and p["state"] != "absent":
        back = [plan.Action("put back", p["name"], ("an earlier run ended before its change was proven",))]
        if held(module, p, back):
            return {**HELD, "held": held(module, p, back)}
        if not module.check_mode:
            if new_supervisor:
                supervisor_copy.put(new_supervisor.files)
            restart = p["state"] == "started" and p["restart"] != "never"
            for warning in change.recover(unfinished, target, way, restart=restart):
                module.warn(printable(warning))
            unfinished = None
    else:
        back, unfinished = [], None
    # Only now: what was before is also what there is to adopt.
    adopted = adoption.read(p["name"], way, adoption.user_of) if p["adopt"] else {}
    variables = variables_of(module, p, adopted)
    files = files_of(p, way, variables, adopted)
    paths = [*(file.path for file in files), *service_files.outdated(p["name"], way)]
    found = journal.read_files(paths)
    if unfinished:
        # Check mode: what the run would find after it has put back what was before.
        found = {path: kept for path in paths if (kept := unfinished.files.get(path, found.get(path)))}
    brought = [plan.Action("bring", f"supervisor {new_supervisor.version}")] if new_supervisor else []
    actions = [*back, *brought, *make_plan(p, way, files, found, unfinished)]
    begun = len(back) + len(brought)
    planned = actions[begun:]
    in_the_way = stand_in_the_way(p, way, planned)
    if held(module, p, actions, in_the_way):
        return {**HELD, "held": held(module, p, actions, in_the_way)}
    if p["hold"] and plan.touches(actions, in_the_way) == plan.CUTS:
        # Check mode: what the caller would do in between.
        actions.insert(0, plan.Action("drain", "this host on the gateways"))
    waits = [reason for action in actions if action.verb == "wait" for reason in action.reasons]
    if p["restart"] == "never" and p["state"] == "started":
        waits = waits or journal.read_reasons(p["name"])
    result: dict[str, t.Any] = {
        "changed": bool(actions),
        "actions": [str(action) for action in actions],
        "restarted": any(action.verb in ("start", "restart") for action in actions),
        "restart_pending": waits,
        "held": "",
        "diff": diff(files, found, actions),
    }
    if waits:
        module.warn(printable(f"{p['name']} still runs as before, a restart is due: {', '.join(waits)}"))
    if new_supervisor and not module.check_mode:
        supervisor_copy.put(new_supervisor.files)
    result["actions"] = [*(f"stop {name}: {p['name']} takes its place" for name in in_the_way), *result["actions"]]
    if planned and not module.check_mode:

        def manager_of(name: str) -> manager.Manager:
            return manager.manager(way.name, name)

        done = successor.in_place_of(
            in_the_way,
            manager_of,
            lambda: group.carry_out(p["together"], planned, target, files, manager_of),
        )
        for warning in done.warnings:
            module.warn(printable(warning))
        if result["restarted"]:
            result["health"] = dataclasses.asdict(done.health)
    if not module.check_mode:
        group.settle(p["together"], p["name"])
    if p["state"] == "absent" and not module.check_mode:
        journal.clear(p["name"])
        journal.write_reasons(p["name"], [])
    return result


def each_of(params: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The options of each service, whole."""
    if params["services"] is None:
        each = [dict(params)]
    else:
        entries = [{name: value for name, value in one.items() if value is not None} for one in params["services"]]
        each = [{**params, **one} for one in entries]
    names = [one["name"] for one in each]
    for one in each:
        if params["services"] is not None and one["version"] is not None:
            one["together"] = names
        if one["engine"] == "llama_cpp" and not one["api_key"]:
            one["api_key"] = first_key(one["environment"])
    return each


def refuse_incomplete(each: t.Sequence[t.Mapping[str, t.Any]]) -> None:
    for p in each:
        missing = [name for name in NEEDED if p["state"] == "started" and not p[name]]
        if missing:
            raise Problem(
                f"{p['name']} cannot be run: {', '.join(missing)} is not given.", "Give it. Nothing was changed."
            )


def in_turn(module: AnsibleModule, name: str, each: t.Sequence[dict[str, t.Any]]) -> dict[str, t.Any]:
    """Each of several services; those of one version end with the first that fails, which has put them back."""
    results: list[dict[str, t.Any]] = []
    for p in each:
        try:
            # What the first has brought is there for the others; in check mode it is told once.
            told = one_service(module, name, p, brings=not (module.check_mode and results))
        except (Problem, OSError) as error:
            told = {"failed": True, "changed": False, **failure(as_problem(error, p["name"]))}
        results.append({"name": p["name"], **told})
        if told.get("failed") and p["version"] is not None:
            break
    return together(results)


def together(results: t.Sequence[dict[str, t.Any]]) -> dict[str, t.Any]:
    merged: dict[str, t.Any] = {
        "changed": any(one["changed"] for one in results),
        "restarted": any(one.get("restarted", False) for one in results),
        "diff": [part for one in results for part in one.pop("diff", [])],
        **{key: [item for one in results for item in one.get(key, [])] for key in ("actions", "restart_pending")},
        "held": next((word for word in (plan.CUTS, plan.STARTS) if word in {one.get("held") for one in results}), ""),
        "results": list(results),
    }
    return merged


def refusal(results: t.Sequence[t.Mapping[str, t.Any]]) -> Problem | None:
    """What became of all that failed."""
    failed = [one for one in results if one.get("failed")]
    if not failed:
        return None
    return Problem(*(" ".join(dict.fromkeys(one[key] for one in failed)) for key in ("problem", "remedy")))


def as_problem(error: Exception, name: str) -> Problem:
    if isinstance(error, Problem):
        return error
    return Problem(f"{name} cannot be changed: {error}.", "Correct that, then run again.")


class SupervisorWanted(Exception):
    """The action plugin runs this again, with the copy."""


def one_service(module: AnsibleModule, name: str, p: dict[str, t.Any], *, brings: bool = True) -> dict[str, t.Any]:
    """name: of the manager."""
    needs = p["state"] == "started" and name == "supervisord" and brings
    supervisor = supervisor_copy.to_bring(p["supervisor"]) if needs else None
    if supervisor and not supervisor.files and not module.check_mode:
        raise SupervisorWanted
    return bring(module, p, manager.manager(name, p["name"]), supervisor)


# What a service needs that is to run.
NEEDED = ("description", "command", "user", "group", "home")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str"},
            "services": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "description": {"type": "str"},
                    "command": {"type": "list", "elements": "str", "no_log": True},
                    "environment": {"type": "dict", "no_log": True},
                    "mounts": {"type": "list", "elements": "str"},
                    "start_lock": {"type": "path"},
                    "loads": {"type": "list", "elements": "str"},
                    "url": {"type": "str"},
                    "models": {"type": "list", "elements": "str"},
                    "gpus": {"type": "bool"},
                    "beside": {"type": "bool"},
                    "api_key": {"type": "str", "no_log": True},
                },
            },
            "state": {"type": "str", "choices": ["started", "restarted", "stopped", "absent"], "default": "started"},
            "manager": {"type": "str", "choices": ["auto", "systemd", "supervisord"], "default": "auto"},
            "description": {"type": "str"},
            "command": {"type": "list", "elements": "str", "no_log": True},
            "user": {"type": "str"},
            "group": {"type": "str"},
            "home": {"type": "str"},
            "hardening": {"type": "str", "choices": list(HARDENING), "default": "gpu_safe"},
            "writable": {"type": "list", "elements": "str", "default": []},
            "mounts": {"type": "list", "elements": "str", "default": []},
            "nvidia": {"type": "bool", "default": False},
            "start_lock": {"type": "path", "default": ""},
            "loads": {"type": "list", "elements": "str", "default": []},
            "supervisor": {
                "type": "dict",
                "options": {
                    "version": {"type": "str", "required": True},
                    "digest": {"type": "str", "required": True},
                    "archive": {"type": "str", "no_log": True},
                },
            },
            "root": {"type": "path"},
            "version": {"type": "str"},
            "links": {"type": "dict", "default": {}},
            "together": {"type": "list", "elements": "str", "default": []},
            "instead_of": {"type": "list", "elements": "str", "default": []},
            "beside": {"type": "bool", "default": False},
            "restart": {"type": "str", "choices": ["auto", "never", "drain"], "default": "auto"},
            "reasons": {"type": "list", "elements": "str", "default": []},
            "drain_seconds": {"type": "int", "default": 600},
            "hold": {"type": "bool", "default": False},
            "engine": {"type": "str", "choices": ["ollama", "llama_cpp"]},
            "url": {"type": "str", "default": "http://127.0.0.1:11434"},
            "models": {"type": "list", "elements": "str", "default": []},
            "environment": {"type": "dict", "default": {}, "no_log": True},
            "adopt": {"type": "bool", "default": False},
            "api_key": {"type": "str", "default": "", "no_log": True},
            "gpus": {"type": "bool", "default": False},
            "answer_seconds": {"type": "int", "default": 120},
            "load_seconds": {"type": "int", "default": 3600},
        },
        mutually_exclusive=[("name", "services")],
        required_one_of=[("name", "services")],
        supports_check_mode=True,
    )
    each = each_of(module.params)
    hide_secrets(module.no_log_values, each)
    module.params.pop("supervisor")
    for arguments in (module.params, *(module.params["services"] or [])):
        mask(arguments)
    limits = module.params
    # A run may take as long as it takes to drain, to answer and to load; the one after it waits for its turn.
    a_service = limits["drain_seconds"] + limits["answer_seconds"] + limits["load_seconds"]
    turn = lock.exclusive(journal.PENDING, a_service * max(1, len(each)))
    try:
        refuse_incomplete(each)
        # To plan is no change, and where no service of ours ever was none needs a turn to stay away.
        alone = module.check_mode or (limits["state"] == "absent" and not os.path.isdir(journal.PENDING))
        if not alone:
            journal.make_directory()
        with contextlib.nullcontext() if alone else turn:
            name = manager.detect()[0] if limits["manager"] == "auto" else limits["manager"]
            if module.params["services"] is None:
                result = one_service(module, name, each[0])
            else:
                result = in_turn(module, name, each)
    except SupervisorWanted:
        module.exit_json(changed=False, supervisor_wanted=True)
    except (Problem, OSError) as error:
        module.fail_json(**failure(as_problem(error, each[0]["name"] if each else "the list of services")))
    refused = refusal(result.get("results", []))
    if refused is not None:
        module.fail_json(**result, **failure(refused))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
