# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a process gives up before it runs something that is not trusted.

All of it is called between fork and exec, where nothing may be imported and no lock is taken.
"""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Sequence, Tuple

CLONE_NEWNET = 0x40000000  # linux/sched.h
_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h


def become(uid: int, gid: int) -> None:
    """This user and group and no other, with no way back. Raises OSError."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def bound(limits: Sequence[Tuple[int, int]]) -> None:
    """Hard and soft limits, each of them no higher than the one that there is."""
    for limit, most in limits:
        hard = resource.getrlimit(limit)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (allowed, allowed))


def no_new_privileges(libc: ctypes.CDLL) -> None:
    """No program that it starts gets rights by its file. Ends the process where that cannot be."""
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        os._exit(127)
