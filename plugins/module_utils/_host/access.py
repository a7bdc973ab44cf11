# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Who may walk a path: asked for a service's user, before the service is sent there."""

from __future__ import annotations

import os
import pwd
import stat
from typing import Optional, Set


def closed_directory(path: str, uid: int, gid: int, *, last: int = stat.S_IXOTH) -> Optional[str]:
    """The first part of a path that keeps a user out; None when there is none, or where the path ends today.

    :param gid: the group that its processes have, beside those that the user is in.
    :param last: what the path itself has to allow, C(stat.S_IXOTH) for a directory, C(stat.S_IROTH) for a file.
    """
    if uid == 0:
        return None
    groups = _groups(uid, gid)
    real = os.path.realpath(path)
    walked = os.sep
    for part in [part for part in real.split(os.sep) if part]:
        walked = os.path.join(walked, part)
        try:
            status = os.stat(walked)
        except FileNotFoundError:
            return None
        if not _allows(status, last if walked == real else stat.S_IXOTH, uid, groups):
            return walked
    return None


def closed_to(path: str, user: str) -> Optional[str]:
    """The same for a directory and a user by name, whom the host need not have yet."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return None
    return closed_directory(path, account.pw_uid, account.pw_gid)


def _groups(uid: int, gid: int) -> Set[int]:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return {gid}
    return {gid, *os.getgrouplist(user.pw_name, user.pw_gid)}


def _allows(status: os.stat_result, needed: int, uid: int, groups: Set[int]) -> bool:
    # As the kernel does: the first class that fits decides.
    if status.st_uid == uid:
        needed <<= 6
    elif status.st_gid in groups:
        needed <<= 3
    return bool(status.st_mode & needed)
