# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.server_secrets import option, split

DOCUMENTATION = r"""
name: llama_server_command
short_description: The command line of llama-server for one declared server
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Turns a server's declaration into arguments that the installed build understands. The port is always passed,
    because its default changes.
  - "How a model is read was C(--mlock), C(--no-mmap) and C(--direct-io) until build 10875 removed them for
    C(--load-mode); either form may be declared, the one that the build knows is passed."
  - Every user of a host can read a command line. C(api-key) and C(hf-token) are left out of it, and
    P(gguf.fleet.llama_server_environment#filter) hands them over; any other secret is refused.
options:
  _input:
    description: The server, with C(name), C(model), and optionally C(alias), C(host), C(port) and C(parameters).
    type: dict
    required: true
  program:
    description: Path of llama-server.
    type: str
    required: true
  build:
    description: Its build number; 0 means a build that nobody knows, which is taken for a new one.
    type: int
    required: true
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ {'name': 'r1', 'model': '/srv/r1.gguf', 'parameters': {'n-gpu-layers': 62}}
             | gguf.fleet.llama_server_command('/usr/bin/llama-server', 11669) }}"
"""

RETURN = r"""
_value:
  description: The command line.
  type: list
  elements: str
"""

# llama.cpp common/arg.cpp: from this build on the old flags end the program with an error.
LOAD_MODE_BUILD = 10875
# From here on --flash-attn takes a value.
FLASH_ATTENTION_BUILD = 6325
LOAD_FLAGS = ("mlock", "mmap", "no-mmap", "direct-io", "load-mode")
FLAGS_OF_MODE = {
    "auto": (),
    "mmap": (),
    "none": ("--no-mmap",),
    "mlock": ("--no-mmap", "--mlock"),
    "mmap+mlock": ("--mlock",),
    "dio": ("--direct-io",),
}
# Declared by keys of their own.
OWN = {"model": "model", "m": "model", "alias": "alias", "a": "alias", "host": "host", "port": "port"}


def _mode(given: t.Mapping[str, t.Any]) -> str | None:
    """The load mode that the declared flags mean, in today's words."""
    if "load-mode" in given:
        mode = str(given["load-mode"])
        if mode not in FLAGS_OF_MODE:
            raise AnsibleFilterError(f"load-mode {mode!r} is not one of {', '.join(FLAGS_OF_MODE)}.")
        return mode
    if not any(flag in given for flag in LOAD_FLAGS):
        return None
    if given.get("direct-io"):
        return "dio"
    mapped = given.get("mmap", True) and not given.get("no-mmap", False)
    if given.get("mlock"):
        return "mmap+mlock" if mapped else "mlock"
    return "mmap" if mapped else "none"


def _load_arguments(given: t.Mapping[str, t.Any], build: int) -> list[str]:
    mode = _mode(given)
    if mode is None:
        return []
    if 0 < build < LOAD_MODE_BUILD:
        return list(FLAGS_OF_MODE[mode])
    return ["--load-mode", mode]


def _flash_attention(value: t.Any, build: int) -> list[str]:
    on = value if isinstance(value, bool) else str(value).lower() in ("on", "true", "1")
    if 0 < build < FLASH_ATTENTION_BUILD:
        return ["--flash-attn"] if on else []
    if isinstance(value, bool):
        return ["--flash-attn", "on" if on else "off"]
    return ["--flash-attn", str(value)]


def llama_server_command(server: t.Mapping[str, t.Any], program: str, build: int) -> list[str]:
    build = int(build)
    name = server.get("name")
    try:
        plain, _secret = split(f"llama_cpp_servers, {name}", server.get("parameters") or {}, build)
    except DeclarationProblem as problem:
        raise AnsibleFilterError(str(problem)) from problem
    given = {option(key): value for key, value in plain.items()}
    for key in given:
        if key in OWN:
            raise AnsibleFilterError(
                f"llama_cpp_servers, {name}: {key} stands in parameters. Write it as the server's own key {OWN[key]}."
            )
    command = [program, "--model", str(server["model"])]
    # Without one, llama-server calls the model by the path of its file.
    command += ["--alias", str(server.get("alias") or name)]
    command += ["--host", str(server.get("host") or "127.0.0.1"), "--port", str(server.get("port") or 8080)]
    for key, value in given.items():
        if key in LOAD_FLAGS or value is None:
            continue
        flag = f"-{key}" if len(key) == 1 else f"--{key}"
        if key in ("flash-attn", "fa"):
            command += _flash_attention(value, build)
        elif isinstance(value, bool):
            # A switch that is off is not passed: llama-server has no common way to say no.
            command += [flag] if value else []
        elif isinstance(value, (list, tuple)):
            for item in value:
                command += [flag, str(item)]
        else:
            command += [flag, str(value)]
    return command + _load_arguments(given, build)


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"llama_server_command": llama_server_command}
