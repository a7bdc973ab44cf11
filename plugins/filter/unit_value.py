# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.module_utils._service import unit
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

DOCUMENTATION = r"""
name: unit_value
short_description: A text, or a list of paths, as the value of a setting in a systemd unit
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - A text with a line end or another control character would begin a setting of its own, and is refused. C(%) is
    doubled, so that it reaches the program as it is.
options:
  _input:
    description: The text, or a list of whole paths.
    type: raw
    required: true
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "Description={{ 'llama.cpp, 100% local' | gguf.fleet.unit_value }}"
"""

RETURN = r"""
_value:
  description: The value.
  type: str
"""


def unit_value(given: t.Any) -> str:
    try:
        return unit.paths(given) if isinstance(given, (list, tuple)) else unit.value(str(given))
    except ServiceProblem as problem:
        raise AnsibleFilterError(str(problem)) from problem


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"unit_value": unit_value}
