# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._service import unit
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

DOCUMENTATION = r"""
name: exec_start
short_description: A command line as a systemd unit's ExecStart
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Quotes the arguments for systemd.service(5), so that C($), C(%), blanks, quotes and backslashes reach the program
    as they are.
  - A line end or another control character would begin a setting of its own, and is refused.
options:
  _input:
    description: The program's path and its arguments.
    type: list
    elements: raw
    required: true
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "ExecStart={{ ['/usr/bin/llama-server', '--alias', 'two words'] | gguf.fleet.exec_start }}"
"""

RETURN = r"""
_value:
  description: The value of ExecStart.
  type: str
"""


def exec_start(arguments: t.Iterable[t.Any]) -> str:
    try:
        return unit.command(arguments)
    except ServiceProblem as problem:
        raise AnsibleFilterError(str(problem)) from problem


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"exec_start": exec_start}
