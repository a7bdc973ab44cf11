# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The checksums that a seal is made of, from the verified files on a host: the shards, or the merged file alone.

A merged file holds every tensor byte of its shards. What it lacks, the shards' headers and the padding, is a few MiB
that are read from the hub, so that each shard can be summed as if it were there.
"""

from __future__ import annotations

import os
import posixpath
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.hashing import cores
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import open_input
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import MergeLayout, merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._lock.headers import read_bytes, read_shard
from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import ListedFile
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.seal import (
    PIECE_BYTES,
    FileDigests,
    make_seal,
    sum_blocks,
)

READ_BYTES = 4 << 20
# Each has a second thread, for the whole beside the pieces.
_WORKERS_AT_MOST = 8
MERGED = "merged"

# Reads a range of a shard that the merged file lacks.
ReadRest = Callable[[int, int], bytes]
Job = Callable[[], Iterator[bytes]]
Tell = Callable[[str, int, int], None]
_TELL_EVERY_SECONDS = 0.5


@dataclass(frozen=True)
class Run:
    """A run of a shard's bytes; ``dest_offset`` is its place in the merged file, None for bytes that are not in it."""

    offset: int
    length_bytes: int
    dest_offset: Optional[int]


def measure(
    lock: Mapping[str, Any],
    dest: str,
    layout: str,
    client: HttpClient,
    *,
    piece_bytes: int = PIECE_BYTES,
    workers: int = cores(_WORKERS_AT_MOST),
    tell: Tell = lambda phase, done, total: None,
) -> Dict[str, Any]:
    """The seal of the files at ``dest``, laid out as gguf_download leaves them. Hashes several files at once.

    ``tell`` learns a few times a second how many bytes were read of how many.
    """
    merging = layout == MERGED and len(lock["files"]) > 1
    jobs: Dict[str, Job]
    if merging:
        # The merged file is one more to hash, beside the shards that it is made of; first, since it takes the longest.
        jobs = {MERGED: _file_job(dest), **_from_merged(lock, dest, client)}
    else:
        jobs = {file["path"]: _file_job(_place(file, dest, layout)) for file in lock["files"]}
    total = sum(file["size_bytes"] for file in lock["files"]) + (lock["merged"]["size_bytes"] if merging else 0)
    # Nobody asks for the pieces of the merged file.
    pieces = [0 if name == MERGED and merging else piece_bytes for name in jobs]
    found = _sum_side_by_side(jobs.values(), pieces, workers, lambda done: tell("seal", done, total))
    digests: Dict[str, FileDigests] = dict(zip(jobs, found))
    merged: Optional[str] = None
    if merging:
        merged = digests.pop(MERGED).sha256
    elif len(digests) == 1:
        merged = found[0].sha256
    return make_seal(lock, digests, merged, piece_bytes)


def status_path(dest: str) -> str:
    """Where the progress of a seal is told to other programs while it is computed."""
    folder, name = os.path.split(os.path.normpath(dest))
    return os.path.join(folder, f".{name}.seal-status")


def file_blocks(path: str) -> Iterator[bytes]:
    """A file's bytes in order."""
    try:
        with os.fdopen(open_input(path).fd, "rb", buffering=0) as stream:
            while True:
                block = stream.read(READ_BYTES)
                if not block:
                    return
                yield block
    except OSError as error:
        raise HubProblem(f"{path} cannot be read: {error.strerror or error}.", "Run gguf_download first.") from error


def shard_blocks(merged: str, runs: List[Run], read_rest: ReadRest) -> Iterator[bytes]:
    """A shard's bytes in order, most of them out of the merged file."""
    with os.fdopen(open_input(merged).fd, "rb", buffering=0) as stream:
        for run in runs:
            if run.dest_offset is None:
                yield read_rest(run.offset, run.length_bytes)
                continue
            stream.seek(run.dest_offset)
            left = run.length_bytes
            while left:
                block = stream.read(min(READ_BYTES, left))
                if not block:
                    raise HubProblem(f"{merged} is shorter than the lock says.", "Run gguf_download again.")
                yield block
                left -= len(block)


def shard_runs(layout: MergeLayout, shard: int, size_bytes: int) -> List[Run]:
    """Where each byte of a shard is found, in the order of the shard."""
    runs: List[Run] = []
    reached = 0
    for segment in sorted(layout.segments, key=lambda one: one.source_offset):
        if segment.shard != shard:
            continue
        if segment.source_offset > reached:
            runs.append(Run(reached, segment.source_offset - reached, None))
        runs.append(Run(segment.source_offset, segment.length_bytes, segment.dest_offset))
        reached = segment.source_offset + segment.length_bytes
    if size_bytes > reached:
        runs.append(Run(reached, size_bytes - reached, None))
    return runs


def _sum_side_by_side(
    jobs: Iterable[Job], piece_bytes: Iterable[int], workers: int, tell: Callable[[int], None]
) -> List[FileDigests]:
    counts: List[int] = []
    over = threading.Event()

    def run(job: Job, number: int, pieces: int) -> FileDigests:
        return sum_blocks(_counted(job(), counts, number, over), pieces)

    with ThreadPoolExecutor(workers) as pool:
        running = []
        for number, (job, pieces) in enumerate(zip(jobs, piece_bytes)):
            counts.append(0)
            running.append(pool.submit(run, job, number, pieces))
        while True:
            tell(sum(counts))
            state = wait(running, _TELL_EVERY_SECONDS, FIRST_EXCEPTION)
            if not state.not_done or any(job.exception() for job in state.done):
                break
        # Those that still run are done for, too; when none does, nobody looks.
        over.set()
    return [job.result() for job in running]


def _counted(blocks: Iterator[bytes], counts: List[int], number: int, over: threading.Event) -> Iterator[bytes]:
    for block in blocks:
        if over.is_set():
            return
        counts[number] += len(block)
        yield block


def _from_merged(lock: Mapping[str, Any], dest: str, client: HttpClient) -> Dict[str, Job]:
    listed = [ListedFile(file["path"], file["size_bytes"], file["sha256"], file["url"]) for file in lock["files"]]
    try:
        layout = merge_layout([read_shard(file, client).header for file in listed])
    except GgufError as error:
        raise HubProblem(error.problem, error.remedy) from error
    size_bytes = os.path.getsize(dest) if os.path.isfile(dest) else None
    if size_bytes != layout.size_bytes:
        found = "is not there" if size_bytes is None else f"has {size_bytes:,} bytes instead of {layout.size_bytes:,}"
        raise HubProblem(f"{dest} {found}.", "Run gguf_download first.")
    jobs: Dict[str, Job] = {}
    for index, file in enumerate(listed):
        runs = shard_runs(layout, index, file.size_bytes or 0)
        # Read now, by one thread: a client's connections are no shared good.
        rest = {run: read_bytes(file, run.offset, run.length_bytes, client) for run in runs if run.dest_offset is None}
        jobs[file.path] = _merged_job(dest, runs, rest)
    return jobs


def _merged_job(dest: str, runs: List[Run], rest: Mapping[Run, bytes]) -> Job:
    def read_rest(offset: int, length_bytes: int) -> bytes:
        return rest[Run(offset, length_bytes, None)]

    return lambda: shard_blocks(dest, runs, read_rest)


def _file_job(path: str) -> Job:
    return lambda: file_blocks(path)


def _place(file: Mapping[str, Any], dest: str, layout: str) -> str:
    return dest if layout == MERGED else posixpath.join(dest, posixpath.basename(file["path"]))
