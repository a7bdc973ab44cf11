# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Whether a file is open or mapped anywhere on this host, in whatever container: the kernel's leases tell."""

from __future__ import annotations

import errno
import fcntl
import signal
from typing import Optional

# fcntl has the number only under some builds of Python
_F_SETSIG = getattr(fcntl, "F_SETSIG", 10)
# Of a file that nobody else has open at all, and of one that nobody has open for writing
UNUSED = fcntl.F_WRLCK
UNWRITTEN = fcntl.F_RDLCK


def refused_lease(descriptor: int, kind: int) -> Optional[int]:
    """None when the file is UNUSED or UNWRITTEN; EAGAIN when it is not; another errno where the kernel cannot tell.

    `descriptor` is open for reading only.
    """
    try:
        # an open in the moment of the lease would signal us, by default with a deadly SIGIO
        fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, kind)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno or errno.EIO
    return None
