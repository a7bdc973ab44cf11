#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_build
short_description: Build llama.cpp from its source, for this host and others of its kind
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Unpacks the source, configures and compiles it by cmake as the user C(gguf-build), who has no other right and, where
    the kernel lets it be taken away, no network. Root takes the results from that user's directory by descriptors, as
    an archive in the layout of a release, and C(llama-server) has to print its version before that.
  - The options come from M(gguf.fleet.engine_source). The source is a file of the controller, and the archive goes
    back there.
  - How far cmake is, is shown in the playbook's output. A run that ends early, however it ends, is gone on with by the
    next one. A build that fails shows its last errors. What serves is not touched.
  - Two runs do not build on a host at once; the second one is refused.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  version:
    description: The version, as its directory will be called.
    type: str
    required: true
  source:
    description: The source's archive, a file of the controller.
    type: path
    required: true
  source_sha256:
    description: Its sha256.
    type: str
    required: true
  definitions:
    description: Arguments of cmake, such as C(-DGGML_RPC=ON).
    type: list
    elements: str
    default: []
  targets:
    description: What is built. One that the source does not have is left out; C(llama-server) is needed.
    type: list
    elements: str
    required: true
  dest:
    description: The archive that is made on the host, in a directory that root alone may enter.
    type: path
    required: true
  result:
    description: Where the archive goes on the controller.
    type: path
  room_bytes:
    description: What the build may take of the disk, in bytes. Less is refused before it begins.
    type: int
    required: true
  jobs:
    description: How many compilers run at once; V(0) for as many as the CPUs and the memory allow.
    type: int
    default: 0
  ccache:
    description: Use ccache, where the host has it.
    type: bool
    default: true
  timeout:
    description: How long the build may take, in seconds.
    type: int
    default: 21600
"""

EXAMPLES = r"""
- name: Find out who builds
  gguf.fleet.engine_source:
    version: b11434
    name: b11434-1a2b3c4d
    registered: engine
    url: https://github.com/ggml-org/llama.cpp
    targets: [llama-server, llama-gguf-split]
    pins: "{{ inventory_dir }}/llama-cpp-sources.txt"
  register: source

- name: Build
  gguf.fleet.engine_build:
    version: "{{ source.build.version }}"
    source: "{{ source.build.source }}"
    source_sha256: "{{ source.build.source_sha256 }}"
    definitions: "{{ source.build.definitions }}"
    targets: "{{ source.build.targets }}"
    dest: "{{ source.build.dest }}"
    result: "{{ source.build.result }}"
    room_bytes: "{{ source.build.room_bytes }}"
  when: source.build | length > 0
"""

RETURN = r"""
sha256:
  description: The sha256 of the archive.
  returned: success, not in check mode
  type: str
size_bytes:
  description: Its size in bytes.
  returned: success, not in check mode
  type: int
seconds:
  description: How long it took.
  returned: success, not in check mode
  type: float
missing:
  description: Targets that the source does not have.
  returned: success, not in check mode
  type: list
  elements: str
actions:
  description: What was done, or would be done.
  returned: success
  type: list
  elements: str
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
import os
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._action import sentence
from ansible_collections.gguf.fleet.plugins.module_utils._build import compile as building
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file
from ansible_collections.gguf.fleet.plugins.module_utils._install import lock
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Status, StatusFile

# Another run that builds does so for long; there is no sense in waiting for it.
TURN_SECONDS = 2
WRITE_EVERY_SECONDS = 0.5


class Progress:
    """Keeps the status file up to date, now and then."""

    def __init__(self, path: str) -> None:
        self._file = StatusFile(path, {"pid": os.getpid()})
        self._phase, self._due = "", 0.0

    def __call__(self, phase: str, percent: int, step: str) -> None:
        now = time.monotonic()
        if phase == self._phase and now < self._due:
            return
        self._phase, self._due = phase, now + WRITE_EVERY_SECONDS
        # Work does not fail because it cannot be watched.
        with contextlib.suppress(OSError):
            self._file.write(Status(phase, percent, 100, message=step[:200]))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            remove_file(self._file.path)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "source": {"type": "path", "required": True},
            "source_sha256": {"type": "str", "required": True},
            "definitions": {"type": "list", "elements": "str", "default": []},
            "targets": {"type": "list", "elements": "str", "required": True},
            "dest": {"type": "path", "required": True},
            # The action that runs this module keeps it to itself.
            "result": {"type": "path"},
            "room_bytes": {"type": "int", "required": True},
            "jobs": {"type": "int", "default": 0},
            "ccache": {"type": "bool", "default": True},
            "timeout": {"type": "int", "default": 21600},
        },
        supports_check_mode=True,
    )
    p = module.params
    names = ("version", "source", "source_sha256", "definitions", "targets", "dest", "room_bytes", "jobs", "ccache")
    request = building.Request(**{name: p[name] for name in names}, seconds=float(p["timeout"]))
    actions = [] if building.there(request.dest) else [sentence("build", request.version)]
    if module.check_mode:
        module.exit_json(changed=bool(actions), actions=actions)
    progress = Progress(f"{request.dest}.status")
    try:
        with lock.exclusive(os.path.dirname(request.dest), TURN_SECONDS):
            try:
                built = building.build(request, progress)
            finally:
                progress.close()
    except Problem as error:
        module.fail_json(**failure(error))
    except OSError as error:
        remedy = "Look at the disk (df, mount) and run again; nothing that serves was changed."
        module.fail_json(**failure(file_problem(error, request.dest, remedy)))
    module.exit_json(
        changed=bool(actions),
        actions=actions,
        sha256=built.sha256,
        size_bytes=built.size_bytes,
        seconds=round(built.seconds, 1),
        missing=list(built.missing),
    )


if __name__ == "__main__":
    main()
