# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Mounts: where a path is mounted, as what, and whether other hosts may write there."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ansible_collections.gguf.fleet.plugins.module_utils._host.disk import existing_directory

UNKNOWN = "unknown"
_SHARED = {
    "9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "smb3",
    "smbfs", "virtiofs",
}  # fmt: skip
# Blanks and backslashes in the kernel's tables.
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One device mounted twice is two mounts, between which no hard link leads."""

    point: str
    kind: str


def mount_of(directory: str, mountinfo: str = "/proc/self/mountinfo") -> Mount:
    """The mount of a directory whose links are resolved; its kind is C(unknown) where the kernel does not say."""
    best = Mount("", UNKNOWN)
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields, _dash, rest = line.partition(" - ")
                point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields.split(" ")[4])
                inside = directory == point or directory.startswith(point.rstrip("/") + "/")
                # The later of two on one point hides the other.
                if inside and len(point) >= len(best.point):
                    best = Mount(point, rest.split(" ")[0])
    except OSError:
        pass
    return best


def is_shared_kind(kind: str) -> bool:
    """Whether a file system of this kind may be another host's too: it is slow, and locks on it may bind one host only.

    FUSE is anything (sshfs, s3fs, mergerfs) and counts as shared; C(fuseblk) is a disk of this host.
    """
    return kind in _SHARED or kind == "fuse" or kind.startswith("fuse.")


def is_shared(path: str, mountinfo: str = "/proc/self/mountinfo") -> bool:
    """Whether other hosts may write to the file system that a file lies on, or will."""
    directory = existing_directory(os.path.dirname(os.path.abspath(path)))
    return is_shared_kind(mount_of(directory, mountinfo).kind)
