# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_build with its progress in the playbook's output: the source goes to the host, what it built comes back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import shlex
from typing import IO, Any, Dict, Optional

from ansible.utils.display import Display

from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._build.source import SOURCE_FOLDER
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.streaming import write_stream
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import Status
from ansible_collections.gguf.fleet.plugins.plugin_utils.background import BackgroundAction
from ansible_collections.gguf.fleet.plugins.plugin_utils.brought import bring, take_away
from ansible_collections.gguf.fleet.plugins.plugin_utils.said import said

display = Display()

# What one command writes to its standard output.
_CHUNK_BYTES = 4 << 20
# CUDA's libraries included.
_MOST_BYTES = 8 << 30


class ActionModule(BackgroundAction):
    def status_path(self, dest: str, arguments: Dict[str, Any]) -> Optional[str]:
        return f"{dest}.status"

    def after_an_interruption(self, host: str, status_path: str) -> str:
        """The build goes on, and the next run after its end takes what it made."""
        del status_path
        return f"{host}: the build goes on there when this run is interrupted (Ctrl-C); run again when it has ended."

    def line(self, dest: str, status: Status) -> str:
        """The percentage of cmake's steps, and the step."""
        step = f", {status.message}" if status.message else ""
        return f"llama.cpp {self._task.args.get('version')}: {status.phase} {status.bytes_done:.0f} %{step}"

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        given = dict(self._task.args)
        kept = str(given.pop("result", ""))
        if self._task.check_mode:
            return {"changed": True, "actions": [f"build {given.get('version')}"], "diff": {}}
        on_host = os.path.join(SOURCE_FOLDER, os.path.basename(str(given["source"])))
        failed = bring(self, SOURCE_FOLDER, [{"src": str(given["source"]), "dest": on_host}], task_vars)
        if failed:
            return failed
        self._task.args = {**given, "source": on_host}
        result = super().run(tmp, task_vars)
        if result.get("failed") or not kept:
            return result
        host, seconds = (task_vars or {}).get("inventory_hostname", "host"), float(result["seconds"])
        display.display(printable(f"{host}: built {given.get('version')} in {seconds:.0f} s"))
        try:
            self._fetch(str(given["dest"]), str(result["sha256"]), int(result["size_bytes"]), kept)
        except Problem as error:
            return {**result, "failed": True, **failure(error)}
        except OSError as error:
            remedy = "Check the disk of the controller, and run again: what was built stays on the host."
            return {**result, "failed": True, **failure(file_problem(error, kept, remedy))}
        take_away(self, SOURCE_FOLDER, task_vars)
        take_away(self, os.path.dirname(str(given["dest"])), task_vars)
        return result

    def _fetch(self, path: str, sha256: str, size_bytes: int, kept: str) -> None:
        """Into a file of the controller, which is there whole or not at all."""
        if size_bytes > _MOST_BYTES:
            raise BuildProblem(f"the build is larger than {_MOST_BYTES:,} bytes.", "Check what it holds.")

        def copy(sink: IO[bytes]) -> None:
            digest = hashlib.sha256()
            for number in range(-(-size_bytes // _CHUNK_BYTES)):
                block = self._block(path, number)
                digest.update(block)
                sink.write(block)
            if digest.hexdigest() != sha256:
                raise BuildProblem(
                    f"the build did not come over as it is on the host (sha256 {digest.hexdigest()}, wanted {sha256}).",
                    "Run again; what was built stays on the host.",
                )

        Directory.open(os.path.dirname(kept), make=True).close()
        write_stream(kept, copy, mode=0o600)

    def _block(self, path: str, number: int) -> bytes:
        command = f"dd if={shlex.quote(path)} bs={_CHUNK_BYTES} skip={number} count=1 2>/dev/null | base64"
        (text,) = said(self, command)
        try:
            return base64.b64decode(text)[:_CHUNK_BYTES]
        except (binascii.Error, ValueError):
            return b""
