# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

from ansible_collections.gguf.fleet.plugins.module_utils._service.addresses import private_problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

DOCUMENTATION = r"""
name: private_address_problem
short_description: Why an address may not be listened on without authentication
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - An address may be, when it is written in canonical text, is an address of the host, and lies in 10.0.0.0/8,
    172.16.0.0/12, 192.168.0.0/16 or fc00::/7. The loopback addresses 127.0.0.1 and ::1 are taken, too; they serve
    tests on one host only.
options:
  _input:
    description: The address.
    type: str
    required: true
  addresses:
    description: The addresses of the host; RV(gguf.fleet.engine_info#module:addresses) tells them.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ '0.0.0.0' | gguf.fleet.private_address_problem(['127.0.0.1', '10.0.0.12']) }}"
"""

RETURN = r"""
_value:
  description: The end of a sentence that begins with the address; empty when there is no problem.
  type: str
"""


def private_address_problem(address: t.Any, addresses: t.Sequence[str]) -> str:
    return printable(private_problem(str(address), addresses))


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"private_address_problem": private_address_problem}
