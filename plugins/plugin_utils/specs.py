# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the variables of all hosts are of the types and among the choices that the roles declare, asked once.

Ansible would ask in a task of each role on each host, after other roles have changed it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import options as declared


@functools.cache
def options() -> dict[str, Any]:
    """The specification of every public variable, without whether it must be set: that is said where it is needed."""
    return {name: {key: value for key, value in spec.items() if key != "required"} for name, spec in declared().items()}


def problems(hosts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong, a sentence each. A variable that cannot be read yet, since it wants what comes later, is left."""
    return [f"{name}: {message}" for name, variables in hosts.items() for message in _of_host(variables)]


def _of_host(variables: Mapping[str, Any]) -> list[str]:
    given = [name for name in options() if name in variables]
    try:
        return _wrong({name: _plain(variables[name]) for name in given})
    except AnsibleError:
        found: list[str] = []
        for name in given:
            try:
                found += _wrong({name: _plain(variables[name])})
            except AnsibleError:
                continue
        return found


def _plain(value: Any) -> Any:
    """Without the containers that render when they are read: a copy of one copies Ansible's own templating, too."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _wrong(values: Mapping[str, Any]) -> list[str]:
    own = {name: options()[name] for name in values}
    messages = ArgumentSpecValidator(own).validate(dict(values), validate_role_argument_spec=True).error_messages
    return [str(message) for message in messages]
