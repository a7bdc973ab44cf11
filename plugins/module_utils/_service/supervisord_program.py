# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""supervisord and supervisorctl of gguf.fleet, by the name that this is called by.

The package is the copy beside this file, or the distribution's. Without -c the configuration is that of gguf.fleet.
This file stands alone: hosts get it as it is, as /usr/local/lib/gguf-fleet/supervisord and supervisorctl.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
from typing import Any, List

COPY = "/usr/local/lib/gguf-fleet/supervisor"
CONFIGURATION = "/etc/gguf-fleet/supervisord.conf"
DIRECTORIES = (
    os.environ.get("GGUF_FLEET_RUN", "/run/gguf-fleet"),
    os.environ.get("GGUF_FLEET_LOGS", "/var/log/gguf-fleet"),
)
PR_SET_CHILD_SUBREAPER = 36


def with_configuration(arguments: List[str]) -> List[str]:
    named = any(word.startswith(("-c", "--configuration")) for word in arguments)
    return arguments if named else ["-c", CONFIGURATION, *arguments]


def become_subreaper() -> None:
    """What a service left behind is then ours, where the next start finds it: PID 1 may bury nobody."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def survive_full_disks(loggers: Any) -> None:
    """A log that cannot be rotated goes on in its old file.

    supervisord itself stops to read what a program writes then, until the program waits for ever.
    """
    handler = loggers.RotatingFileHandler
    rotate = handler.doRollover

    def tolerant(self: Any) -> None:
        try:
            rotate(self)
        except (OSError, ValueError):  # ValueError: it was closed by the try before
            with contextlib.suppress(OSError):
                self.stream = open(self.baseFilename, "ab")  # noqa: SIM115 (as its class does)

    handler.doRollover = tolerant


def stay_subreaper(options: Any) -> None:
    daemonize = options.ServerOptions.daemonize

    def daemonize_as_subreaper(self: Any) -> None:
        daemonize(self)
        become_subreaper()

    options.ServerOptions.daemonize = daemonize_as_subreaper


def main() -> Any:
    program = os.path.basename(sys.argv[0])
    arguments = with_configuration(sys.argv[1:])
    if os.path.isdir(COPY):
        sys.path.insert(0, COPY)
    try:
        module = importlib.import_module(f"supervisor.{program}")
    except ImportError as error:
        return f"{program}: {error}. Run the playbook again, or install the package supervisor."
    if program == "supervisord":
        survive_full_disks(importlib.import_module("supervisor.loggers"))
        stay_subreaper(importlib.import_module("supervisor.options"))
        os.umask(0o022)
        for path in DIRECTORIES:
            os.makedirs(path, 0o755, exist_ok=True)
        os.umask(0o027)
        become_subreaper()
    return module.main(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
