# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The files on the disk that a transfer writes: room for them first, then bytes at their final offsets."""

from __future__ import annotations

import errno
import os
from typing import Iterable, List, Protocol, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import open_input
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import open_or_make_own
from ansible_collections.gguf.fleet.plugins.module_utils._host.disk import existing_directory, free_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import shown_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._reserve import reserve_disk
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import Journal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import IN_JOURNAL, Output, Plan, Stretch


def allocated_bytes(path: str) -> int:
    """What a file takes on its disk now; 0 when it is not there."""
    try:
        return os.stat(path).st_blocks * 512
    except FileNotFoundError:
        return 0


def needed_bytes(outputs: Sequence[Output]) -> int:
    """What the outputs still take from the disk, beyond what their partial files hold already."""
    return sum(max(0, output.size_bytes - allocated_bytes(output.partial)) for output in outputs)


def check_room(outputs: Sequence[Output], extra_bytes: int = 0) -> int:
    """Refuse before anything moves when the disk is too small; returns the bytes that are needed."""
    needed = needed_bytes(outputs) + extra_bytes
    directory = existing_directory(os.path.dirname(os.path.abspath(outputs[0].path)))
    free = free_bytes(directory)
    if needed > free:
        raise TransferError(
            f"{directory} has {shown_bytes(free)} free ({free:,} bytes); {shown_bytes(needed)} more are needed "
            f"({needed:,} bytes).",
            f"Free {shown_bytes(needed - free)} there, or choose a directory on another disk.",
            reason="disk-full",
        )
    return needed


def write_problem(path: str, error: OSError) -> TransferError:
    """The operating system's refusal in words."""
    if isinstance(error, Problem):
        return TransferError(error.problem, error.remedy, reason="not-writable")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TransferError(
            f"{path}: the disk is full ({error.strerror}).",
            "Free room and run again: what was fetched is kept and continued.",
            reason="disk-full",
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return TransferError(
            f"{path} cannot be written: {error.strerror}.",
            "Choose a directory that this user may write to, or run with become.",
            reason="not-writable",
        )
    return TransferError(
        f"{path} cannot be written or read: {error.strerror}.",
        "Look at the disk and the kernel's log; what was fetched is kept.",
        reason="disk-error",
    )


def preallocate(descriptor: int, size_bytes: int) -> None:
    """A file of its final length, with room on the disk for all of it where the file system can reserve some."""
    reserve_disk(descriptor, 0, size_bytes)
    os.ftruncate(descriptor, size_bytes)


def _write_own_bytes(plan: Plan, descriptor: int) -> None:
    """What comes from no shard. Written by every run: nothing else would notice what an earlier one left there."""
    os.pwrite(descriptor, plan.merged_header, 0)
    for offset, length_bytes in plan.padding:
        os.pwrite(descriptor, bytes(length_bytes), offset)


class KeptBytes(Protocol):
    """Where the bytes lie that have no place in the output."""

    path: str
    descriptor: int
    kept_at: int


class HeadersInMemory:
    """The headers of the shards of a file that is merged already; the gaps between tensors are taken for zeros."""

    path = "(memory)"
    kept_at = 0

    def __init__(self, plan: Plan) -> None:
        self.descriptor = os.memfd_create("gguf-fleet-headers", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, plan.journal_bytes)
        os.pwrite(self.descriptor, b"".join(plan.headers), 0)


class Storage:
    """The open outputs and the journal of one transfer."""

    def __init__(self, plan: Plan, journal: KeptBytes, descriptors: Sequence[int]) -> None:
        self._plan = plan
        self._journal = journal
        self._descriptors = list(descriptors)

    @classmethod
    def open(cls, plan: Plan, journal: Journal) -> Storage:
        """The partial files, made and preallocated where they are missing."""
        descriptors: List[int] = []
        for output in plan.outputs:
            try:
                with parent_of(output.partial) as (directory, name):
                    descriptors.append(open_or_make_own(directory, name))
                if os.fstat(descriptors[-1]).st_size != output.size_bytes:
                    preallocate(descriptors[-1], output.size_bytes)
                if plan.merged_header:
                    _write_own_bytes(plan, descriptors[-1])
            except OSError as error:
                for descriptor in descriptors:
                    os.close(descriptor)
                raise write_problem(output.partial, error) from error
        return cls(plan, journal, descriptors)

    @classmethod
    def read_only(cls, plan: Plan, journal: KeptBytes, paths: Sequence[str]) -> Storage:
        """Finished files, to be looked at only."""
        return cls(plan, journal, [open_input(path).fd for path in paths])

    def write(self, file: int, offset: int, data: memoryview) -> None:
        """Put a file's bytes at their places."""
        for stretch in self._plan.stretches_in(file, offset, offset + len(data)):
            start = stretch.source_offset - offset
            descriptor, at = self._place(stretch)
            left = data[start : start + stretch.length_bytes]
            try:
                while left:
                    count = os.pwrite(descriptor, left, at)
                    left, at = left[count:], at + count
            except OSError as error:
                raise write_problem(self._name(stretch), error) from error

    def read(self, file: int, offset: int, into: memoryview) -> None:
        """A file's bytes from their places."""
        for stretch in self._plan.stretches_in(file, offset, offset + len(into)):
            start = stretch.source_offset - offset
            descriptor, at = self._place(stretch)
            left = into[start : start + stretch.length_bytes]
            while left:
                try:
                    count = os.preadv(descriptor, [left], at)
                except OSError as error:
                    raise write_problem(self._name(stretch), error) from error
                if not count:
                    raise TransferError(
                        f"{self._name(stretch)} is shorter than it was made.",
                        "Something else writes to it: find it, then run again.",
                        reason="disk-error",
                    )
                left, at = left[count:], at + count

    def has_own_bytes(self) -> bool:
        """Whether what comes from no shard is there: the merged header, and zeros between the tensors."""
        if not self._plan.merged_header:
            return True
        descriptor = self._descriptors[0]
        if os.pread(descriptor, len(self._plan.merged_header), 0) != self._plan.merged_header:
            return False
        return not any(any(os.pread(descriptor, length_bytes, offset)) for offset, length_bytes in self._plan.padding)

    def sync(self, outputs: Iterable[int]) -> None:
        for index in outputs:
            try:
                os.fdatasync(self._descriptors[index])
            except OSError as error:
                raise write_problem(self._plan.outputs[index].partial, error) from error

    def outputs_of(self, file: int) -> List[int]:
        return sorted({stretch.output for stretch in self._plan.stretches[file] if stretch.output != IN_JOURNAL})

    def seal(self) -> List[os.stat_result]:
        """Everything on disk, readable for all and writable for none; what the files are, by their descriptors."""
        for descriptor in self._descriptors:
            os.fchmod(descriptor, 0o444)
            os.fsync(descriptor)
        return [os.fstat(descriptor) for descriptor in self._descriptors]

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def _place(self, stretch: Stretch) -> Tuple[int, int]:
        if stretch.output == IN_JOURNAL:
            return self._journal.descriptor, self._journal.kept_at + stretch.dest_offset
        return self._descriptors[stretch.output], stretch.dest_offset

    def _name(self, stretch: Stretch) -> str:
        return self._journal.path if stretch.output == IN_JOURNAL else self._plan.outputs[stretch.output].partial
