# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role gateway for doors and for draining; each is documented in its own file beside this one."""

from __future__ import annotations

from typing import Any, Callable

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.door import door, servers_of
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.signed import with_signed
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.turns import borrowers, turn_of


class FilterModule:
    """Ansible's way to find the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "gateway_borrowers": borrowers,
            "gateway_door": door,
            "gateway_servers_of": servers_of,
            "gateway_signed": with_signed,
            "gateway_turn": turn_of,
        }
