# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_download with its progress in the playbook's output, and with the files that the controller sends."""

from __future__ import annotations

import contextlib
import shlex
import time
from typing import Any, Dict, List, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Status
from ansible_collections.gguf.fleet.plugins.plugin_utils.background import BackgroundAction
from ansible_collections.gguf.fleet.plugins.plugin_utils.said import said
from ansible_collections.gguf.fleet.plugins.plugin_utils.sending import Sending

_LOOK_SECONDS = 0.2
# Then the progress is shown again.
_SEND_AT_MOST_SECONDS = 5.0
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError)


class ActionModule(BackgroundAction):
    LOOKS_FIRST = True
    _sent: Optional[List[Sending]] = None

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        try:
            self._sent = self._sending()
        except Problem as problem:
            return {"failed": True, **failure(problem)}
        return super().run(tmp, task_vars)

    def _sending(self) -> List[Sending]:
        """The downloads whose files are here."""
        arguments = self._task.args
        given = arguments.get("downloads")
        if arguments.get("state", "present") != "present" or not isinstance(given, list):
            return []
        wanted = [one for one in given if isinstance(one, dict) and one.get("controller") and one.get("lock")]
        if wanted and (self._task.async_val or not self._connection.has_pipelining):
            raise Problem(
                "Files of the controller are sent by the connection to the host, while the task waits for them.",
                "Use a connection that supports pipelining (such as ssh), and run the task without async.",
            )
        found = []
        for one in wanted:
            # The module says what is wrong with the options.
            with contextlib.suppress(*_MALFORMED):
                found.append(Sending(str(one["controller"]), self._request(one)))
        return found

    def status_path(self, dest: str, arguments: Dict[str, Any]) -> Optional[str]:
        try:
            return self._request({**arguments, "dest": dest}).places.status
        except _MALFORMED:
            return None

    @staticmethod
    def _request(one: Dict[str, Any]) -> Request:
        return Request(lock=one["lock"], dest=str(one["dest"]), layout=str(one.get("layout", "merged")))

    def tend(self) -> Optional[float]:
        """Send what the host asks for, as long as it asks."""
        end = time.monotonic() + _SEND_AT_MOST_SECONDS
        for sending in self._sent or ():
            while wanted := sending.wanted(said(self, sending.look)[0]):
                for want in wanted:
                    self._low_level_execute_command(sending.put(want), in_data=sending.read(want))
                if time.monotonic() > end:
                    break
        return _LOOK_SECONDS if self._sent else None

    def end(self) -> None:
        for sending in self._sent or ():
            self._low_level_execute_command(f"touch {shlex.quote(sending.places.stop)}")

    def after_an_interruption(self, host: str, status_path: str) -> str:
        stop = status_path[: -len(".json")] + ".stop"
        if any(sending.places.status == status_path for sending in self._sent or ()):
            return f"{host}: the files come from here. When this run is interrupted (Ctrl-C), the next one goes on."
        goes_on = super().after_an_interruption(host, status_path)
        return f"{goes_on} To stop it: `touch {stop}` on the host, as root; what was fetched stays."

    def details(self, status: Status) -> str:
        return f" ({status.connections} connections; {', '.join(sorted(status.sources)) or 'no source yet'})"
