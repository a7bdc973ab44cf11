# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Carry a merge plan out: crash-safe, resumable, every byte hashed while it passes.

The merged file grows under a temporary name beside dest. At checkpoints its bytes are synced and their digest so far
goes into the journal, which is all that a later run believes. Only a whole, synced file gets the name dest.
"""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Callable, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._files.hashing import HashThread
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import open_input
from ansible_collections.gguf.fleet.plugins.module_utils._files.memory import page_aligned
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import Segment
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._merge.compare import matching_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._merge.consume import remove_shard
from ansible_collections.gguf.fleet.plugins.module_utils._merge.journal import Journal, MergeJob, open_shard
from ansible_collections.gguf.fleet.plugins.module_utils._merge.moving import (
    BUFFER_BYTES,
    WINDOW_BYTES,
    Hasher,
    read_into,
)
from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import (
    COMPARE,
    HASH,
    MERGE,
    RECORD,
    UNCHANGED,
    MergePlan,
    final_digest,
    known,
)
from ansible_collections.gguf.fleet.plugins.module_utils._merge.progress import MERGING, VERIFYING, Tell, tell_nobody
from ansible_collections.gguf.fleet.plugins.module_utils._merge.writing import Checkpoints, Writer, exclusive

# How much is synced at a time: so little that the disk has work from the start, and the last sync has not much left.
CHECKPOINT_BYTES = 64 << 20


@dataclass(frozen=True)
class MergeResult:
    path: str
    size_bytes: int
    sha256: Optional[str]
    shards: int
    tensors: Optional[int]  # null when the file was recorded by another way than a merge
    tail_padding_bytes: Optional[int]
    bytes_copied: int
    resumed_bytes: int
    removed: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]  # (shard, why it was not consumed)
    seconds: float


def apply_merge(
    plan: MergePlan, ledger: Ledger, *, checkpoint_bytes: int = CHECKPOINT_BYTES, tell: Tell = tell_nobody
) -> MergeResult:
    """Do what the plan says, and record the result in the ledger."""
    started = monotonic()
    if plan.outcome != UNCHANGED:
        # hours later would be a bad time to find that it cannot be written
        ledger.prepare()
    run = _Run(plan, ledger, checkpoint_bytes, tell)
    if plan.outcome == MERGE:
        run.merge()
    elif plan.outcome == COMPARE:
        run.compare()
    elif plan.outcome == HASH:
        run.hash_again()
    elif plan.outcome == RECORD:
        run.record_finished()
    elif plan.entry is not None:
        run.sha256 = plan.entry.sha256
    run.remove_rest()
    remove_file(plan.request.journal)
    # What somebody else put there is no reason to fail now.
    with suppress(OSError):
        remove_file(plan.request.status)
    return run.result(monotonic() - started)


class _Run:
    """One merge in progress, and what came of it."""

    def __init__(self, plan: MergePlan, ledger: Ledger, checkpoint_bytes: int, tell: Tell) -> None:
        self.plan = plan
        self.request = plan.request
        self.ledger = ledger
        self.checkpoint_bytes = checkpoint_bytes
        self.tell = tell
        self.journal = Journal(plan.request.journal)
        self.sha256: Optional[str] = None
        self.verified: dict[int, str] = {}
        self.bytes_copied = 0
        self.resumed_bytes = 0
        self.removed: list[str] = []
        self.kept: list[tuple[str, str]] = []

    @property
    def job(self) -> MergeJob:
        return known(self.plan.job)

    def merge(self) -> None:
        with exclusive(self.request.temporary) as temporary:
            start, hasher = self._begin(temporary.file)
            try:
                self._write(temporary.file, start, hasher)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise GgufError(
                    f"the disk of {self.request.dest} became full during the merge; the shards are unharmed.",
                    f"Make room and run again: the merge goes on. To give it up: rm {self.request.temporary}",
                ) from error
            finally:
                self.journal.close()
            self._check_digest()
            if os.path.lexists(self.request.dest):
                raise GgufError(f"{self.request.dest} appeared during the merge.", "Move it away, then run again.")
            temporary.take_name(os.path.basename(self.request.dest))
            self.record(os.fstat(temporary.file))

    def compare(self) -> None:
        hasher = hashlib.sha256() if self.request.get_sha256 else None
        dest = open_input(self.request.dest).fd
        try:
            status = os.fstat(dest)
            same = self._matching(dest, self.job.size_bytes, hasher)
        finally:
            os.close(dest)
        if same != self.job.size_bytes:
            raise GgufError(
                f"{self.request.dest} exists and is something else: it differs from the merge at byte {same:,}.",
                "Move it away, or choose another dest.",
            )
        self.sha256 = hasher.hexdigest() if hasher is not None else None
        self._check_digest()
        self.record(status)

    def hash_again(self) -> None:
        entry = known(self.plan.entry)
        self.sha256, status = self._sha256_of_dest(entry.size_bytes)
        if entry.sha256 is not None and self.sha256 != entry.sha256:
            raise GgufError(
                f"{self.request.dest} is damaged: its sha256 is {self.sha256}, and was {entry.sha256} when recorded.",
                "Check the disk, remove the file (state: absent), and merge again.",
            )
        self._check_digest()
        self.ledger.record(self.request.dest, sha256=self.sha256, kind="file", status=status, **entry.notes)

    def record_finished(self) -> None:
        """Record what an earlier run had finished but not recorded."""
        journal = known(self.plan.journal)
        self.sha256 = final_digest(journal)
        status = os.stat(self.request.dest)
        if (status.st_dev, status.st_ino) != (journal.device, journal.inode):
            raise GgufError(f"{self.request.dest} was replaced.", "Check what else writes there, then run again.")
        if self.sha256 is None and self.request.get_sha256:
            self.sha256, status = self._sha256_of_dest(self.job.size_bytes)
            self._check_digest()
        self.verified.update(journal.verified)
        self.record(status)

    def record(self, status: os.stat_result) -> None:
        sources = [
            {
                "path": shard.path,
                "size_bytes": shard.size_bytes,
                "device": shard.device,
                "inode": shard.inode,
                "mtime_ns": shard.mtime_ns,
                "sha256": self.verified.get(index),
            }
            for index, shard in enumerate(self.job.shards)
        ]
        notes = {
            **(self.plan.entry.notes if self.plan.entry is not None else {}),
            "sources": sources,
            "tensors": self.job.tensors,
            "tail_padding_bytes": self.job.tail_padding_bytes,
        }
        self.ledger.record(self.request.dest, sha256=self.sha256, kind="file", status=status, **notes)

    def remove_rest(self) -> None:
        """Remove the shards of the plan that are still there, now that the result is recorded."""
        for path, _size_bytes in self.plan.remove:
            if os.path.exists(path) and path not in (kept for kept, _why in self.kept):
                self._consume(path, self._merged(path))

    def _merged(self, path: str) -> tuple[int, int]:
        """Which file the shard at path was when it was merged."""
        if self.plan.job is not None:
            shards = {shard.path: (shard.device, shard.inode) for shard in self.plan.job.shards}
        else:
            sources = known(self.plan.entry).notes.get("sources", ())
            shards = {source["path"]: (source["device"], source["inode"]) for source in sources}
        return shards.get(os.path.abspath(path), (-1, -1))

    def result(self, seconds: float) -> MergeResult:
        facts = self.plan.facts
        return MergeResult(
            path=self.request.dest,
            size_bytes=facts["size_bytes"],
            sha256=self.sha256,
            shards=facts["shards"],
            tensors=facts["tensors"],
            tail_padding_bytes=facts["tail_padding_bytes"],
            bytes_copied=self.bytes_copied,
            resumed_bytes=self.resumed_bytes,
            removed=tuple(self.removed),
            kept=tuple(self.kept),
            seconds=seconds,
        )

    def _begin(self, temporary: int) -> tuple[int, Hasher]:
        """Where to go on: after the bytes of an earlier run that prove right, or at the very beginning."""
        content = self.plan.journal
        if content is None:
            os.ftruncate(temporary, 0)
            self.journal.begin(self.job, os.fstat(temporary))
            return 0, hashlib.sha256()
        if content.checkpoints or content.verified:
            start, hasher = self._proved(temporary)
        else:
            hasher = hashlib.sha256()
            size = min(os.fstat(temporary).st_size, self.plan.trusted_limit)
            start = self._matching(temporary, size, hasher)
        os.ftruncate(temporary, start)
        self.journal.resume()
        self.verified.update(content.verified)
        self.resumed_bytes = start
        return start, hasher

    def _proved(self, temporary: int) -> tuple[int, Hasher]:
        """The last checkpoint whose checksum the bytes on disk still have."""
        hasher: Hasher = hashlib.sha256()
        position = 0
        checkpoints = known(self.plan.journal).checkpoints
        told = self._verifying(max((point.offset for point in checkpoints), default=0))
        for checkpoint in checkpoints:
            if not position < checkpoint.offset <= self.plan.trusted_limit:
                continue
            following = hasher.copy()
            if os.fstat(temporary).st_size < checkpoint.offset:
                break
            _hash_range(temporary, position, checkpoint.offset, following, told)
            if following.hexdigest() != checkpoint.sha256:
                break
            position, hasher = checkpoint.offset, following
        for index, shard in enumerate(self.job.shards):
            if not os.path.exists(shard.path) and position < self.job.dest_start(index + 1):
                raise GgufError(
                    f"{self.request.temporary} is damaged behind byte {position:,}, where the only copy of the "
                    f"consumed {shard.path} was.",
                    "Check the disk, then download this shard again and run again.",
                )
        return position, hasher

    def _write(self, temporary: int, start: int, hasher: Hasher) -> None:
        with ExitStack() as stack:
            whole = None
            if self.request.get_sha256:
                whole = HashThread(start=start, hasher=hasher, mark_bytes=self.checkpoint_bytes)
            checkpoints = Checkpoints(temporary, whole, self.journal, self.checkpoint_bytes, start)
            stack.callback(checkpoints.close)
            if whole is not None:
                # closed first: the checkpoints may wait for it
                stack.callback(whole.close)
            size_bytes = self.job.size_bytes
            writer = Writer(
                temporary, start, whole, checkpoints, lambda position: self.tell(MERGING, position, size_bytes)
            )
            if start == 0:
                writer.put(known(self.plan.header))
            for index in range(len(self.job.shards)):
                if os.path.exists(self.job.shards[index].path):
                    # no further ahead: what comes next may need the disk of consumed shards
                    writer.reserve(self.job.dest_start(index + 1))
                    self._take_shard(index, writer)
                    if self.request.consume and index + 1 < len(self.job.shards):
                        self._consume_early(index, writer)
            writer.fill(self.job.size_bytes)
            self.bytes_copied = writer.position - start
            checkpoints.finish()
            if whole is not None:
                self.sha256 = whole.digest()
            os.fchmod(temporary, 0o444)
            os.fsync(temporary)
            if self.sha256 is not None:
                self.journal.checkpoint(self.job.size_bytes, self.sha256)
                for index, actual in sorted(self.verified.items()):
                    self.journal.shard_verified(index, actual)

    def _take_shard(self, index: int, writer: Writer) -> None:
        """Copy a shard's tensors to their places, and check its checksum where one is expected."""
        shard = self.job.shards[index]
        expected = None if index in self.verified else self.plan.expected.get(index)
        segments = [part for part in self.job.segments if part.shard == index]
        ahead = any(part.dest_offset + part.length_bytes > writer.position for part in segments)
        if not ahead and expected is None:
            return
        source = open_shard(shard)
        try:
            os.posix_fadvise(source, 0, 0, os.POSIX_FADV_SEQUENTIAL)
            own = HashThread() if expected is not None else None
            try:
                written = _written_of(segments, writer.position)
                if own is not None and written:
                    self._catch_up(source, written, own, writer)
                for part in segments:
                    if own is not None:
                        # its header, and gaps between tensors
                        writer.hash_only(source, part.source_offset, own)
                    writer.copy(part, source, own)
                if own is not None:
                    writer.hash_only(source, shard.size_bytes, own)
                    self._check_shard(index, own.digest())
            finally:
                if own is not None:
                    own.close()
            if os.fstat(source).st_size != shard.size_bytes:
                raise GgufError(f"{shard.path} changed its size during the merge.", "Stop what writes to it.")
        finally:
            os.close(source)

    def _catch_up(self, source: int, end: int, own: HashThread, writer: Writer) -> None:
        """Hash the part of a shard that an earlier run copied."""
        told = self._verifying(end)
        for done in [*range(WINDOW_BYTES, end, WINDOW_BYTES), end]:
            writer.hash_only(source, done, own)
            told(done)

    def _check_shard(self, index: int, actual: str) -> None:
        expected = self.plan.expected[index]
        if actual != expected:
            raise GgufError(
                f"{self.job.shards[index].path} has sha256 {actual}, not {expected}.",
                "Fetch this shard again, then run again; the merge goes on before it.",
            )
        self.verified[index] = actual

    def _consume_early(self, index: int, writer: Writer) -> None:
        """Free a shard's disk before the next one needs it."""
        path = self.job.shards[index].path
        writer.fill(self.job.dest_start(index + 1))
        sum_so_far = known(writer.whole).digest()
        os.fdatasync(writer.file)
        self.journal.checkpoint(writer.position, sum_so_far)
        self.journal.shard_verified(index, self.verified[index])
        self._consume(path, self._merged(path))

    def _consume(self, path: str, merged: tuple[int, int]) -> None:
        reason = remove_shard(path, *merged)
        if reason is not None:
            self.kept.append((path, reason))
            return
        self.ledger.forget(path)
        self.removed.append(path)

    def _check_digest(self) -> None:
        expected = self.request.sha256
        if expected is None or self.sha256 is None or expected.lower() == self.sha256:
            return
        if self.plan.outcome == MERGE and not self.removed and not self.resumed_bytes:
            remove_file(self.request.temporary)
            remove_file(self.request.journal)
        raise GgufError(
            f"the merge has sha256 {self.sha256}, not {expected.lower()}.",
            "Check that the shards and the expected checksum belong together.",
        )

    def _matching(self, file: int, size_bytes: int, hasher: Optional[Hasher]) -> int:
        header = known(self.plan.header)
        return matching_bytes(file, self.job, header, size_bytes, hasher, told=self._verifying(size_bytes))

    def _sha256_of_dest(self, size_bytes: int) -> tuple[str, os.stat_result]:
        file = open_input(self.request.dest).fd
        try:
            hasher = hashlib.sha256()
            _hash_range(file, 0, size_bytes, hasher, self._verifying(size_bytes))
            return hasher.hexdigest(), os.fstat(file)
        finally:
            os.close(file)

    def _verifying(self, total: int) -> Callable[[int], None]:
        return lambda done: self.tell(VERIFYING, done, total)


def _written_of(segments: Sequence[Segment], position: int) -> int:
    """The offset in a shard up to which its tensors are in the merged file, when that is written up to position."""
    written = 0
    for part in segments:
        done = min(position - part.dest_offset, part.length_bytes)
        if done > 0:
            written = part.source_offset + done
    return written


def _hash_range(file: int, start: int, end: int, hasher: Hasher, told: Callable[[int], None]) -> None:
    buffer = page_aligned(BUFFER_BYTES)
    for offset in range(start, end, BUFFER_BYTES):
        part = buffer[: min(BUFFER_BYTES, end - offset)]
        read_into(file, part, offset)
        hasher.update(part)
        told(offset + len(part))
