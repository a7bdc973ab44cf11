# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Remove a shard whose bytes live on in the merged file, and only when nobody can miss it."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from typing import Optional

# fcntl has the number only under some builds of Python
_F_SETSIG = getattr(fcntl, "F_SETSIG", 10)


def why_kept(path: str) -> Optional[str]:
    """Why the shard at path must not be removed, or None when it may be."""
    if os.path.islink(path):
        return "it is a symbolic link"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        return f"it cannot be opened ({error.strerror})"
    try:
        links = os.fstat(handle).st_nlink
        if links != 1:
            return f"it has {links - 1} other hard link{'s' if links > 2 else ''}"
        return _opened_elsewhere(handle)
    finally:
        os.close(handle)


def _opened_elsewhere(handle: int) -> Optional[str]:
    """The kernel grants a write lease only on a file that nobody else has open or mapped, in whatever container."""
    try:
        # an open in the moment of the lease would signal us, by default with a deadly SIGIO
        fcntl.fcntl(handle, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return "a process has it open"
        return f"the kernel does not tell whether it is in use ({error.strerror})"
    return None
