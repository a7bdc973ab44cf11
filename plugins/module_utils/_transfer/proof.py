# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Finished files read once more, whole: what a disk changed since shows in no size and in no time of modification."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.hashing import cores
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import identity, open_input
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import KINDS_WITH_BYTES, Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request

_READ_BYTES = 8 << 20
# More than there are cores, since some wait for the disk.
_WORKERS_AT_LEAST, _WORKERS_AT_MOST = 4, 16
_TELL_SECONDS = 0.5
_BLOB = re.compile(r"sha256-([0-9a-f]{64})")
RIGHT, WRONG, MISSING, UNKNOWN = "right", "wrong", "missing", "unknown"

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Proof:
    """What came of a file. state: right, wrong, missing, or unknown where its checksum is not known."""

    path: str
    state: str
    size_bytes: int = 0
    expected: str = ""
    found: str = ""


@dataclass(frozen=True)
class _Job:
    path: str
    descriptor: int
    size_bytes: int
    expected: str


def status_path(dest: str) -> str:
    """Where the progress is told to other programs while files are read; all of it at the first of them."""
    folder, name = os.path.split(os.path.normpath(dest))
    return os.path.join(folder, f".{name}.verify-status")


def prove_files(
    requests: Iterable[Request],
    store: Optional[str],
    ledger: Ledger,
    *,
    workers: int = max(_WORKERS_AT_LEAST, cores(_WORKERS_AT_MOST)),
    tell: Tell,
    note: bool = True,
) -> List[Proof]:
    """Read the files of the requests and all blobs of the store, several at a time, each file once.

    note: what is wrong is no longer vouched for by the ledger, so that the next run fetches or writes it again.
    """
    jobs: List[_Job] = []
    done: List[Proof] = []
    seen: Set[Tuple[int, int]] = set()
    with contextlib.ExitStack() as stack:
        for path, expected in (*_wanted(requests, ledger), *_blobs(store)):
            try:
                opened = open_input(path)
            except FileNotFoundError:
                done.append(Proof(path, MISSING, expected=expected))
                continue
            except (OSError, PathProblem):
                done.append(Proof(path, UNKNOWN, expected=expected))
                continue
            stack.callback(os.close, opened.fd)
            status = os.fstat(opened.fd)
            if identity(status) in seen:
                continue
            seen.add(identity(status))
            if expected:
                jobs.append(_Job(path, opened.fd, status.st_size, expected))
            else:
                done.append(Proof(path, UNKNOWN, status.st_size))
        found = _read(jobs, workers, tell)
        wrong = {identity(os.fstat(job.descriptor)) for job in jobs if found[job.path] != job.expected}
    for job in jobs:
        state = RIGHT if found[job.path] == job.expected else WRONG
        done.append(Proof(job.path, state, job.size_bytes, job.expected, found[job.path]))
    if note:
        _forget(wrong, ledger)
    return sorted(done, key=lambda proof: proof.path)


def _wanted(requests: Iterable[Request], ledger: Ledger) -> List[Tuple[str, str]]:
    found: Dict[str, str] = {}
    for request in requests:
        for index, path in enumerate(request.paths):
            entry = ledger.lookup(path, kind="file")
            noted = entry.sha256 if entry is not None else None
            found.setdefault(path, request.expected(index) or noted or "")
    return list(found.items())


def _blobs(store: Optional[str]) -> List[Tuple[str, str]]:
    """Blobs are named by their digest. A symbolic link is read as the file that it leads to."""
    folder = os.path.join(store or "", "blobs")
    if not store or not os.path.isdir(folder):
        return []
    with Directory.open(folder) as directory:
        names = sorted(name for name in directory.names() if _BLOB.fullmatch(name))
        return [(_target(directory, name), name.partition("-")[2]) for name in names]


def _target(directory: Directory, name: str) -> str:
    """What a link of root's leads to; a link of the store's user is opened as it is, which is refused."""
    with contextlib.suppress(OSError, PathProblem):
        return directory.link_target(name) or os.path.join(directory.path, name)
    return os.path.join(directory.path, name)


def _read(jobs: Sequence[_Job], workers: int, tell: Tell) -> Dict[str, str]:
    total, counts, over = sum(job.size_bytes for job in jobs), [0] * len(jobs), threading.Event()

    def digest(number: int, job: _Job) -> str:
        value, offset = hashlib.sha256(), 0
        while not over.is_set():
            block = os.pread(job.descriptor, _READ_BYTES, offset)
            if not block:
                break
            value.update(block)
            offset += len(block)
            counts[number] = offset
        return value.hexdigest()

    found: Dict[str, str] = {}
    # The largest first: it takes the longest, whatever else is read beside it.
    order = sorted(range(len(jobs)), key=lambda number: -jobs[number].size_bytes)
    with ThreadPoolExecutor(workers) as pool:
        running: Dict[Future[str], _Job] = {pool.submit(digest, number, jobs[number]): jobs[number] for number in order}
        left = set(running)
        try:
            while left:
                tell("verify", sum(counts), total)
                ended, left = wait(left, _TELL_SECONDS, FIRST_COMPLETED)
                for future in ended:
                    found[running[future].path] = _value(future)
        finally:
            over.set()
    return found


def _value(future: Future[str]) -> str:
    try:
        return future.result()
    except OSError as error:
        # A disk that cannot read it has lost it.
        return f"unreadable: {error.strerror}"


def _forget(wrong: Set[Tuple[int, int]], ledger: Ledger) -> None:
    for kind in KINDS_WITH_BYTES:
        for entry in ledger.entries(kind):
            if (entry.device, entry.inode) in wrong:
                ledger.forget(entry.path)
