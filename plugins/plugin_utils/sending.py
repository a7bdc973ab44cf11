# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of files that it sends: what a host asks for, and the bytes of it."""

from __future__ import annotations

import os
import shlex

from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.controller import (
    SENT,
    WANTED,
    Want,
    wants_in,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import path_of
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request

_REMEDY = "Put the files back as they were resolved, or resolve them again with models_lock_update: true."


class Sending:
    """One download whose files are below a folder of this machine. Nothing outside of it is ever read."""

    def __init__(self, folder: str, request: Request) -> None:
        self.places = request.places
        self._files = request.files
        self._folder = os.path.realpath(folder)
        self._done: set[str] = set()
        spool = shlex.quote(self.places.spool)
        self.look = (
            f"cd {spool} 2>/dev/null && for w in *{WANTED}; do "
            f'if [ -f "$w" ]; then printf "%s " "$w"; cat "$w"; fi; done; true'
        )

    def wanted(self, told: str) -> list[Want]:
        """What the host asks for and was not sent yet."""
        return [want for want in wants_in(told, self._files) if want.name not in self._done]

    def put(self, want: Want) -> str:
        """The command that takes the bytes: under another name until all of them are there."""
        self._done.add(want.name)
        part = f"{want.name}.part"
        return f"cd {shlex.quote(self.places.spool)} && umask 077 && cat > {part} && mv -f {part} {want.name}{SENT}"

    def read(self, want: Want) -> bytes:
        """Raises a Problem where the file is not what was resolved."""
        file = self._files[want.file]
        path = os.path.realpath(path_of(file.url or ""))
        if os.path.commonpath([path, self._folder]) != self._folder:
            raise Problem(f"The lock names {path}, which is not in {self._folder}.", _REMEDY)
        try:
            descriptor = open_regular(path)
        except OSError as error:
            raise file_problem(error, path, _REMEDY) from error
        try:
            size_bytes = os.fstat(descriptor).st_size
            if size_bytes != file.size_bytes:
                raise Problem(
                    f"{path} has {size_bytes:,} bytes on the controller; the lock says {file.size_bytes:,}.", _REMEDY
                )
            return os.pread(descriptor, want.length_bytes, want.start)
        except OSError as error:
            raise file_problem(error, path, _REMEDY) from error
        finally:
            os.close(descriptor)
