# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts whose groups give one variable several values, of which Ansible takes one without a word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.inventory.helpers import sort_groups
from ansible.vars.hostvars import HostVars
from ansible.vars.plugins import get_vars_from_inventory_sources

DECISIVE = "models_serve"


def rivals(hostvars: Mapping[str, Any]) -> dict[str, str]:
    """For each host whose groups set models_serve beside each other, a sentence that says which of them holds.

    A group that is inside another one overrides it on purpose, and so does the host itself. Of variables that are no
    inventory's, such as those of a test, nothing is known.
    """
    if not isinstance(hostvars, HostVars):
        return {}
    inventory, loader = hostvars._inventory, hostvars._loader
    known: dict[str, bool] = {}

    def sets(entity: Any) -> bool:
        key = f"{type(entity).__name__} {entity.name}"
        if key not in known:
            given = get_vars_from_inventory_sources(loader, inventory._sources, [entity], "task")
            known[key] = DECISIVE in entity.vars or DECISIVE in given
        return known[key]

    found = {}
    for name in hostvars:
        host = inventory.hosts.get(name)
        # Before ansible-core 2.19 the implicit localhost is among them.
        if host is None:
            continue
        groups = sort_groups(host.get_groups())
        # Most hosts are in one group beside those that are around it.
        if len(_innermost(groups)) < 2:
            continue
        setting = _innermost([group for group in groups if sets(group)])
        if len(setting) > 1 and not sets(host):
            *others, last = (group.name for group in setting)
            found[name] = (
                f"{DECISIVE} is set by its groups {', '.join(others)} and {last}, and that of {last} holds. "
                "Set it in one of them, or give one a higher ansible_group_priority."
            )
    return found


def _innermost(groups: list[Any]) -> list[Any]:
    """Those that hold none of the others, in their order."""
    around = {ancestor.name for group in groups for ancestor in group.get_ancestors()}
    return [group for group in groups if group.name not in around]
