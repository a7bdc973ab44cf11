# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Programs that nothing vouches for yet: run as nobody, bounded in time, memory and output.

A release is proved by asking its program for its version, and a native parser reads bytes of a hub: neither gets root's
rights, root's environment, a network (where the kernel lets us take it away) or a way to gain rights by setuid files.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import resource
import socket
import struct
import subprocess
from typing import Callable, Dict, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._process import rights
from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import Ended, ProcessProblem, collect

_NOBODY = 65534
_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_SIOCSIFFLAGS = 0x8914  # linux/sockios.h
_IFF_UP = 1
_GIB = 2**30
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class UnprovedProblem(ProcessProblem):
    """The program did not end in time, wrote too much, or cannot be started at all."""


def run_unproved(
    argv: Sequence[str],
    *,
    seconds: float,
    limit_bytes: int = 2**20,
    memory_bytes: int = 4 * _GIB,
    environment: Optional[Mapping[str, str]] = None,
    network: bool = False,
    loopback: bool = False,
    descriptors: Sequence[int] = (),
) -> Ended:
    """Run the program (a whole path first) until it ends.

    Args:
        argv: the program and its arguments; nobody must be able to reach and read the program.
        seconds: after this time it is killed with all of its process group.
        limit_bytes: of standard output and error, each; one byte more kills it.
        memory_bytes: of writable memory of its own (RLIMIT_DATA).
        environment: added to PATH, HOME=/nonexistent and LC_ALL=C; nothing of ours is inherited.
        network: whether it keeps the host's network; without, it gets an empty one where the kernel allows that.
        loopback: it gets a network of its own with a loopback interface and nothing else, or is not started at all: for
            programs that talk to each other, which nobody else may reach.
        descriptors: open descriptors that it inherits, under the same numbers.

    Raises UnprovedProblem. Where the caller is not root, the program runs as the caller, with the same bounds.
    """
    variables: Dict[str, str] = {"PATH": _PATH, "HOME": "/nonexistent", "LC_ALL": "C", **(environment or {})}
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=variables,
            pass_fds=tuple(descriptors),
            start_new_session=True,
            preexec_fn=_give_up_rights(memory_bytes, seconds, network, loopback),  # noqa: PLW1509 - it takes no lock
        )
    except subprocess.SubprocessError as error:
        raise UnprovedProblem(
            f"{argv[0]} cannot be started as an unprivileged user{' in a network of its own' if loopback else ''}.",
            "The kernel, or the container that this runs in, does not allow it"
            + (" (try: unshare --user --net true)." if loopback else "."),
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnprovedProblem(
            f"{argv[0]} cannot be started as an unprivileged user: {reason}.",
            "Check that it is made for this machine, and that others may read it and the directories above it.",
        ) from error
    return collect(process, argv[0], seconds, limit_bytes, UnprovedProblem)


def _give_up_rights(memory_bytes: int, seconds: float, network: bool, loopback: bool) -> Callable[[], None]:
    # Loaded here: between fork and exec nothing may be imported.
    libc = ctypes.CDLL(None, use_errno=True)
    as_root = os.geteuid() == 0
    user, group = _nobody() if as_root else (os.getuid(), os.getgid())
    limits: Tuple[Tuple[int, int], ...] = (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 1024),
    )

    def give_up_rights() -> None:
        os.umask(0o077)
        alone = False
        if as_root:
            if loopback or not network:
                # In a container that may not do this the program keeps the container's network.
                alone = libc.unshare(rights.CLONE_NEWNET) == 0 and (not loopback or _bring_loopback_up())
            rights.become(user, group)
        if loopback and not alone:
            # What may not have a network of its own may have one in a user namespace of its own; exec ends that power.
            alone = libc.unshare(_CLONE_NEWUSER | rights.CLONE_NEWNET) == 0 and _bring_loopback_up()
        if loopback and not alone:
            raise PermissionError
        rights.bound(limits)
        rights.no_new_privileges(libc)

    return give_up_rights


def _bring_loopback_up() -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))
    except OSError:
        return False
    return True


def _nobody() -> Tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return _NOBODY, _NOBODY
    return entry.pw_uid, entry.pw_gid
