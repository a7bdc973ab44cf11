# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_download with its progress in the playbook's output."""

from __future__ import annotations

from typing import Any, Dict, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Status
from ansible_collections.gguf.fleet.plugins.plugin_utils.background import BackgroundAction


class ActionModule(BackgroundAction):
    def status_path(self, dest: str, arguments: Dict[str, Any]) -> Optional[str]:
        try:
            request = Request(lock=arguments["lock"], dest=dest, layout=str(arguments.get("layout", "merged")))
            return request.places.status
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            # The module says what is wrong with the options.
            return None

    def after_an_interruption(self, host: str, status_path: str) -> str:
        stop = status_path[: -len(".json")] + ".stop"
        goes_on = super().after_an_interruption(host, status_path)
        return f"{goes_on} To stop it: `touch {stop}` on the host, as root; what was fetched stays."

    def details(self, status: Status) -> str:
        return f" ({status.connections} connections; {', '.join(sorted(status.sources)) or 'no source yet'})"
