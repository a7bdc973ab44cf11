# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The file that holds a service's environment: the only place on a host where its secrets lie."""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._secrets import MASK, masked_environment
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control, lines, printable

MODE = 0o600
_HEADER = "# Ansible managed (gguf.fleet)\n"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LINE = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="(.*)"\Z')


def render(variables: Mapping[str, Any]) -> str:
    """The file as systemd reads EnvironmentFile=: one NAME="value" a line."""
    text = _HEADER
    for name in sorted(variables):
        value = str(variables[name])
        if not _NAME.match(name):
            raise ServiceProblem(
                f"{printable(name)!r} cannot be the name of a variable.", "Use letters, digits and '_'."
            )
        if has_control(value):
            # The value may be a secret, so it is not shown.
            raise ServiceProblem(
                f"{name} holds a line end or another character that cannot be printed.", "Give one line of plain text."
            )
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        text += f'{name}="{escaped}"\n'
    return text


def parse(text: str) -> Dict[str, str]:
    """The variables of a file that we wrote."""
    found = (_LINE.match(line) for line in lines(text))
    return {line.group(1): re.sub(r"\\(.)", r"\1", line.group(2)) for line in found if line}


def shown(text: str, other: Optional[str] = None) -> str:
    """The file for a diff: of a secret only its name, and, beside the other version, whether it changed."""
    variables = parse(text)
    before = variables if other is None else parse(other)
    return "".join(
        f"{name}={value}{' (changed)' if value == MASK and before.get(name) != variables[name] else ''}\n"
        for name, value in sorted(masked_environment(variables).items())
    )
