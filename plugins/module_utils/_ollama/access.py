# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""May another user reach a file? Asked for the service user, before a symbolic link leads there."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from typing import Optional, Set


def unreachable_directory(path: str, uid: int, gid: int) -> Optional[str]:
    """The first directory on the way to the file (or the file itself) that keeps this user out."""
    if uid == 0:
        return None
    groups = _groups(uid, gid)
    real = os.path.realpath(path)
    steps = [os.sep]
    for part in real.split(os.sep)[1:]:
        steps.append(os.path.join(steps[-1], part))
    for step in steps:
        needed = stat.S_IXOTH if step != real else stat.S_IROTH
        if not _allowed(os.stat(step), needed, uid, groups):
            return step
    return None


def _groups(uid: int, gid: int) -> Set[int]:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return {gid}
    return {gid, user.pw_gid} | {group.gr_gid for group in grp.getgrall() if user.pw_name in group.gr_mem}


def _allowed(status: os.stat_result, needed: int, uid: int, groups: Set[int]) -> bool:
    # As the kernel does: the first class that fits decides.
    if status.st_uid == uid:
        needed <<= 6
    elif status.st_gid in groups:
        needed <<= 3
    return bool(status.st_mode & needed)
