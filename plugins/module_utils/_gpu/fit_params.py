# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""llama-fit-params run over a model's header with holes for its tensors, as nobody, with bounds.

It is a native parser of bytes that a hub gave. The file is one of memory, sealed, and takes as much of it as the header
has bytes: there is nothing on a disk that somebody could replace or that has to be removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass
from typing import Dict, Iterator, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judge import JudgeProblem
from ansible_collections.gguf.fleet.plugins.module_utils._process.unproved import Ended, UnprovedProblem, run_unproved
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

SECONDS = 60.0
LIMIT_BYTES = 256 * 1024
# A CUDA context maps some hundred MiB of the host's memory for each card.
MEMORY_BYTES = 16 * 2**30
FIRST_PORT = 50052
# GGML_SCHED_MAX_BACKENDS is 16, and the host's CPU is one of them.
MAX_STAND_INS = 15

_BUILD = re.compile(rb"^version: (?:[^\n(]{1,40}\(build )?([0-9]{1,9})[ ,)]", re.MULTILINE)
_RPC_SERVERS = ("ggml-rpc-server", "rpc-server")

# What it must not touch: caches of compiled kernels, files of settings and models of its own choice.
_ENVIRONMENT = {"CUDA_CACHE_DISABLE": "1", "XDG_CONFIG_HOME": "/nonexistent", "LLAMA_CACHE": "/nonexistent"}

# $1 the RPC server, $2 how many, $3 the first port; then the question. All of them end with their process group.
_WITH_STAND_INS = r"""
server=$1 count=$2 port=$3 number=0 tries=0
shift 3
while [ $number -lt $count ]; do
    "$server" -H 127.0.0.1 -p $((port + number)) -d CPU >/dev/null 2>&1 </dev/null &
    number=$((number + 1))
done
until [ "$(grep -c ' 0100007F:[0-9A-F]* 00000000:0000 0A ' /proc/self/net/tcp)" -ge $count ]; do
    tries=$((tries + 1))
    if [ $tries -gt 200 ]; then echo "the RPC servers do not listen" >&2; exit 1; fi
    sleep 0.05
done
exec "$@"
"""


@dataclass(frozen=True)
class Program:
    """A llama-fit-params, its build, and the server for stand-ins that belongs to it."""

    path: str
    build: str
    rpc_server: Optional[str]

    @property
    def identity(self) -> List[object]:
        """Another program under the same path is another one."""
        status = os.stat(self.path)
        return [self.path, self.build, status.st_size, status.st_mtime_ns]


@dataclass(frozen=True)
class HeaderFile:
    """The first bytes of a model's file, and its whole length."""

    header: bytes
    size_bytes: int


def find(path: str, rpc_server: Optional[str] = None) -> Program:
    """The program at this path; it is asked for its build."""
    if not hasattr(os, "memfd_create"):
        raise JudgeProblem("llama-fit-params is asked on Linux only.", "Plan without it here.")
    ended = _run([path, "--version"], path)
    match = _BUILD.search(ended.stdout + ended.stderr)
    if not match:
        raise JudgeProblem(
            f"{path} --version prints no build of llama.cpp: {_last_words(ended)}", "Give the path of llama-fit-params."
        )
    return Program(path, match[1].decode("ascii"), rpc_server or _rpc_server_of(path))


def ask(
    program: Program, file: HeaderFile, settings: Sequence[str], *, environment: Mapping[str, str], stand_ins: int = 0
) -> bytes:
    """What it prints for these settings; with `stand_ins` for that many GPUs in place of the real ones.

    Only printed numbers are asked for: nothing is fitted, and what is free on the cards at the moment does not count.
    """
    with _in_memory(file) as descriptor:
        # CPU weights that are packed anew are not in the printed sums.
        question = [program.path, "--no-repack", "--fit-print", "on", "--offline"]
        question += ["--model", f"/proc/self/fd/{descriptor}", *settings]
        if not stand_ins:
            ended = _run(question, program.path, environment=environment, descriptor=descriptor, network=False)
        else:
            ended = _run_with_stand_ins(program, question, descriptor, stand_ins)
    if ended.code != 0:
        raise JudgeProblem(
            f"{program.path} {_how_it_ended(ended.code)}: {_last_words(ended)}",
            "The engine would most likely refuse this file or these settings, too.",
        )
    return ended.stdout


def key_of(
    program: Program, model: object, settings: Sequence[str], environment: Mapping[str, str], stand_ins: int
) -> str:
    """What an answer depends on: build, header and settings."""
    parts = [1, program.identity, model, list(settings), sorted(environment.items()), stand_ins]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def closed_devices(pattern: str = "/dev/nvidia*") -> List[str]:
    """The devices of NVIDIA's driver that nobody may not open: a program without rights sees no card there."""
    found = []
    for path in sorted(glob.glob(pattern)):
        mode = os.stat(path).st_mode
        if stat.S_ISCHR(mode) and mode & 0o006 != 0o006:
            found.append(path)
    return found


def _run_with_stand_ins(program: Program, question: List[str], descriptor: int, count: int) -> Ended:
    if program.rpc_server is None:
        raise JudgeProblem(
            f"there is no ggml-rpc-server beside {program.path}, which stands in for GPUs.",
            "Install it (Debian: llama.cpp-tools-extra and libggml0-backend-rpc), or name it.",
        )
    if count > MAX_STAND_INS:
        raise JudgeProblem(f"llama.cpp takes at most {MAX_STAND_INS} RPC devices, not {count}.", "Plan fewer GPUs.")
    ports = range(FIRST_PORT, FIRST_PORT + count)
    question = [*question, "--rpc", ",".join(f"127.0.0.1:{port}" for port in ports)]
    script = ["/bin/sh", "-c", _WITH_STAND_INS, "sh", program.rpc_server, str(count), str(FIRST_PORT), *question]
    # Real cards of this machine are not among the declared ones.
    environment = {"CUDA_VISIBLE_DEVICES": "-1"}
    return _run(script, program.path, environment=environment, descriptor=descriptor, loopback=True)


def _run(
    argv: Sequence[str],
    program: str,
    *,
    environment: Optional[Mapping[str, str]] = None,
    descriptor: Optional[int] = None,
    network: bool = False,
    loopback: bool = False,
) -> Ended:
    variables: Dict[str, str] = {**(environment or {}), **_ENVIRONMENT}
    try:
        return run_unproved(
            argv,
            seconds=SECONDS,
            limit_bytes=LIMIT_BYTES,
            memory_bytes=MEMORY_BYTES,
            environment=variables,
            network=network,
            loopback=loopback,
            descriptors=() if descriptor is None else (descriptor,),
        )
    except UnprovedProblem as error:
        raise JudgeProblem(error.problem.replace(argv[0], program, 1), error.remedy) from error


@contextlib.contextmanager
def _in_memory(file: HeaderFile) -> Iterator[int]:
    descriptor = os.memfd_create("header", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as stream:
            stream.write(file.header)
        os.ftruncate(descriptor, max(file.size_bytes, len(file.header)))
        os.fchmod(descriptor, 0o444)
        fcntl.fcntl(descriptor, _F_ADD_SEALS, _F_SEAL_SEAL | _F_SEAL_SHRINK | _F_SEAL_GROW | _F_SEAL_WRITE)
        yield descriptor
    finally:
        os.close(descriptor)


# linux/fcntl.h; the module fcntl of Python 3.9 has them, but not everywhere that it is built.
_F_ADD_SEALS = 1033
_F_SEAL_SEAL, _F_SEAL_SHRINK, _F_SEAL_GROW, _F_SEAL_WRITE = 1, 2, 4, 8


def _rpc_server_of(path: str) -> Optional[str]:
    folder = os.path.dirname(os.path.realpath(path))
    places = [os.path.join(folder, name) for name in _RPC_SERVERS]
    if folder == "/usr/bin":
        places += [found for name in _RPC_SERVERS for found in sorted(glob.glob(f"/usr/libexec/*/llama/bin/{name}"))]
    return next((place for place in places if os.access(place, os.X_OK)), None)


def _how_it_ended(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _last_words(ended: Ended) -> str:
    """The error among what it wrote, for a message."""
    text = (ended.stderr or ended.stdout).decode("utf-8", "replace")
    written = [line.strip() for line in text.split("\n") if line.strip()]
    errors = [line for line in written if "error" in line.lower()]
    return printable((errors or written or ["it wrote nothing"])[0], limit=300)
