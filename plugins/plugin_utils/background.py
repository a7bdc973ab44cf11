# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An action that runs its module in the background on the host, and shows here how far it is.

The module runs under Ansible's own async wrapper, so it survives the loss of the connection and an interrupted
playbook. Its status file tells how far it is; its job file tells the result.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Optional, Tuple

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import (
    STATUS_AT_MOST_BYTES,
    Status,
    parse_status,
    shown_seconds,
    status_of,
)
from ansible_collections.gguf.fleet.plugins.plugin_utils.said import said

display = Display()

# Looked at when this file is loaded, which happens before Ansible forks: a worker's own stdout tells nothing.
_ON_A_TERMINAL = sys.stdout.isatty()
_LINE_EVERY_SECONDS = 5.0 if _ON_A_TERMINAL else 60.0
_LINE_EVERY_PERCENT = 100.0 if _ON_A_TERMINAL else 10.0
_FIRST_POLL_SECONDS = 0.2
_POLL_AT_MOST_SECONDS = 2.0
# Long enough for every model on every line: the module itself gives up when nothing moves.
_JOB_SECONDS = 30 * 24 * 3600
_LOOK_FOR_THE_JOB_AFTER_SECONDS = 60.0
_UNREACHABLE_FOR_SECONDS = 600.0


class LinePacer:
    """When the next line is due: after some time, or, where nobody watches live, after some progress."""

    def __init__(self, every_seconds: float, every_percent: float) -> None:
        self._every_seconds = every_seconds
        self._every_percent = every_percent
        self._shown_at: Optional[float] = None
        self._shown_percent = 0.0
        self._phase = ""

    def is_due(self, status: Status, now: float) -> bool:
        done, total = status.counted
        percent = 100 * done / total if total else 0.0
        due = (
            self._shown_at is None
            or now - self._shown_at >= self._every_seconds
            or percent - self._shown_percent >= self._every_percent
            or (status.phase != self._phase and now - self._shown_at >= 1.0)
        )
        if due:
            self._shown_at, self._shown_percent, self._phase = now, percent, status.phase
        return due


@dataclass
class Watched:
    """A file that the module makes on the host: where it writes its status meanwhile, and what was seen of it."""

    dest: str
    status: str
    pacer: LinePacer = field(default_factory=lambda: LinePacer(*_often()))
    seen: str = ""


def _often() -> Tuple[float, float]:
    often = 2 if display.verbosity else 1
    return _LINE_EVERY_SECONDS / often, _LINE_EVERY_PERCENT / often


class BackgroundAction(ActionBase):
    """What gguf_download, gguf_merge and gguf_seal share: one run of the module, one file after the other."""

    _supports_check_mode = True
    _supports_async = True
    _supports_diff = True
    _explained = False
    # Whether the module is asked first, by its option `look`, if there is anything to do: in the background a module is
    # eight commands on the host and not one.
    LOOKS_FIRST = False

    def status_path(self, dest: str, arguments: Dict[str, Any]) -> Optional[str]:
        """Where the module that makes dest writes its status on the host; None when there is nothing to watch."""
        raise NotImplementedError

    def after_an_interruption(self, host: str, status_path: str) -> str:
        """What becomes of the work when somebody presses Ctrl-C; said once, before the first line."""
        del status_path
        return f"{host}: the work goes on there when this run is interrupted (Ctrl-C); the next run waits for it."

    def line(self, dest: str, status: Status) -> str:
        """What is shown of a status."""
        return f"{dest}: {status.line()}"

    def tend(self) -> Optional[float]:
        """What the controller does for the running module, between two looks at it; the seconds until the next one.

        None where nothing is to do. Raises a Problem that ends the work.
        """
        return None

    def end(self) -> None:
        """Ask the module to end; only where tend may fail."""

    def details(self, status: Status) -> str:
        """What -v adds to a line."""
        return f" ({shown_seconds(status.seconds)} so far)"

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        variables = task_vars or {}
        watched = self._watched()
        own_async = self._task.async_val and not self._connection.has_native_async
        if own_async or self._task.check_mode or not watched:
            result.update(self._execute_module(task_vars=variables, wrap_async=own_async))
            if not own_async:
                self._remove_tmp_path(self._connection._shell.tmpdir)
            return result
        if self.LOOKS_FIRST:
            seen: Dict[str, Any] = self._execute_module(
                module_args={**self._task.args, "look": True}, task_vars=variables
            )
            if not seen.pop("incomplete", False):
                return {**result, **seen}
        shown = boolean(self._templar.template(variables.get("models_progress", True)), strict=False)
        shown = shown and not self._task.no_log
        result.update(self._run_watched(variables, watched, shown))
        return result

    def _watched(self) -> List[Watched]:
        """The files that the task makes."""
        arguments = self._task.args
        if arguments.get("state", "present") != "present":
            return []
        each = arguments["downloads"] if isinstance(arguments.get("downloads"), list) else [arguments]
        found = {}
        for one in each:
            if not isinstance(one, dict) or "dest" not in one:
                continue
            dest = self._remote_expand_user(str(one["dest"]))
            # Only the host knows where a relative path lies.
            status = self.status_path(dest, one) if dest.startswith("/") else None
            if status is not None:
                found[status] = Watched(str(one["dest"]), status)
        return list(found.values())

    def _run_watched(self, variables: Dict[str, Any], watched: List[Watched], shown: bool) -> Dict[str, Any]:
        try:
            self._task.async_val = _JOB_SECONDS
            started: Dict[str, Any] = self._execute_module(task_vars=variables, wrap_async=True)
        finally:
            self._task.async_val = 0
        job_file = started.get("results_file")
        if started.get("failed") or not job_file:
            return started
        outcome = self._watch(variables.get("inventory_hostname", "host"), str(job_file), watched, shown)
        self._low_level_execute_command(f"rm -f {shlex.quote(str(job_file))}", sudoable=True)
        return outcome

    def _watch(self, host: str, job_file: str, watched: List[Watched], shown: bool) -> Dict[str, Any]:
        pause, lost_since = _FIRST_POLL_SECONDS, 0.0
        seen_at = time.monotonic()
        while True:
            time.sleep(pause)
            pause = min(_POLL_AT_MOST_SECONDS, pause * 1.5)
            try:
                pause = self.tend() or pause
                job, texts = self._poll(job_file, [one.status for one in watched])
            except Problem as problem:
                self.end()
                return {"failed": True, **failure(problem)}
            except AnsibleConnectionFailure as error:
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > _UNREACHABLE_FOR_SECONDS:
                    raise
                lost = printable(f"{host}: the connection is lost, the work goes on there: {error}")
                display.vv(lost, host=host)
                self._reconnect()
                continue
            lost_since = 0.0
            if job is not None and "started" not in job:
                return job
            now = time.monotonic()
            news = [(one, text) for one, text in zip(watched, texts) if text != one.seen]
            if news:
                seen_at = now
                for one, text in news:
                    one.seen = text
                    if shown:
                        self._show(host, one, now)
            elif now - seen_at > _LOOK_FOR_THE_JOB_AFTER_SECONDS:
                if not self._is_running(job_file):
                    job, _texts = self._poll(job_file, [])
                    return job if job is not None and "started" not in job else self._vanished()
                seen_at = now

    def _poll(self, job_file: str, statuses: Iterable[str]) -> Tuple[Optional[Dict[str, Any]], List[str]]:
        paths = map(shlex.quote, statuses)
        looks = [f"[ -f {path} ] && head -c {STATUS_AT_MOST_BYTES} {path} || true" for path in paths]
        text, *texts = said(self, f"cat {shlex.quote(job_file)}", *looks)
        return _json_object(text), texts

    def _show(self, host: str, watched: Watched, now: float) -> None:
        # What the host says may be something else than our module writes; the module's result is what counts.
        content = parse_status(watched.seen)
        if content is None:
            return
        status = status_of(content)
        if not watched.pacer.is_due(status, now):
            return
        line = f"{host}: {self.line(watched.dest, status)}"
        if display.verbosity:
            line += self.details(status)
        if not self._explained:
            self._explained = True
            display.display(printable(self.after_an_interruption(host, watched.status)))
        # The names of sources and the status itself come from the host.
        display.display(printable(line))

    def _is_running(self, job_file: str) -> bool:
        """Whether the wrapper of the job lives; every process of it has the job's id on its command line."""
        job_id = job_file.rpartition("/")[2].partition(".")[0]
        # The brackets keep the looking shell from finding itself.
        pattern = f"[{job_id[0]}]{job_id[1:]}"
        answer = self._low_level_execute_command(f"grep -qsz {pattern} /proc/[0-9]*/cmdline", sudoable=True)
        return int(answer.get("rc", 1)) == 0

    def _reconnect(self) -> None:
        try:
            self._connection.reset()
        except (AnsibleConnectionFailure, AttributeError, NotImplementedError):
            return

    @staticmethod
    def _vanished() -> Dict[str, Any]:
        return {
            "failed": True,
            "reason": "vanished",
            "msg": "The process on the host ended without a result (killed, or the host went down). "
            "Run again: what was done is kept and continued.",
        }


def _json_object(text: str) -> Optional[Dict[str, Any]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
