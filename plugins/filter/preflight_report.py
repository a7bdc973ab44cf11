# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

DOCUMENTATION = r"""
name: preflight_report
short_description: The findings of a preflight as lines of text
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Writes what M(gguf.fleet.host_preflight) found on a fleet, a table with a row a host, and below it what is
    not in order.
options:
  _input:
    description: Findings by host.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what was found
  gguf.fleet.show_report:
    lines: "{{ {inventory_hostname: preflight.findings} | gguf.fleet.preflight_report }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
  elements: str
"""

from ansible_collections.gguf.fleet.plugins.module_utils._preflight.report import report_lines


def preflight_report(hosts: Any) -> list[str]:
    return report_lines(hosts)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"preflight_report": preflight_report}
