# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The journal of a merge: what is being merged, and how much of it is proved to be on disk.

One line of JSON for each fact, in the order in which they became true. A line is written only after the bytes that it
speaks of were synced. A torn last line is what a crash leaves, and says nothing.
"""

from __future__ import annotations

import json
import os
import re
import threading
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Optional, TypeVar

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import open_input
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import make_own, open_own
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_descriptor
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import Segment

VERSION = 1
# The job of a model of thousands of tensors takes a megabyte, each of its hundreds of checkpoints a hundred bytes.
_MAX_BYTES = 64 << 20
_SHA256 = re.compile("[0-9a-f]{64}")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Shard:
    """A shard as it was when the merge was planned."""

    path: str
    size_bytes: int
    device: int
    inode: int
    mtime_ns: int
    header_sha256: str

    def is_same_file(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) == (
            self.device,
            self.inode,
            self.size_bytes,
            self.mtime_ns,
        )


@dataclass(frozen=True)
class MergeJob:
    """All that a merge needs to know beside the shards' bytes; the journal keeps it for when shards are gone."""

    shards: tuple[Shard, ...]
    segments: tuple[Segment, ...]
    header_bytes: int
    header_sha256: str
    size_bytes: int
    tail_padding_bytes: int
    tensors: int

    def dest_start(self, shard: int) -> int:
        """Where the bytes of a shard begin in the merged file."""
        starts = (part.dest_offset for part in self.segments if part.shard >= shard)
        return next(starts, self.size_bytes)


@dataclass(frozen=True)
class Checkpoint:
    """The checksum of the merged file's bytes up to an offset, all of them synced."""

    offset: int
    sha256: str


@dataclass
class JournalContent:
    job: MergeJob
    device: int  # of the temporary file
    inode: int
    checkpoints: list[Checkpoint] = field(default_factory=list)
    verified: dict[int, str] = field(default_factory=dict)  # shard -> its checksum, equal to the expected one


class Journal:
    """The journal file while a merge runs."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = -1
        self._writing = threading.Lock()

    def begin(self, job: MergeJob, temporary: os.stat_result) -> None:
        """Start a new journal in place of an old one."""
        with parent_of(self.path) as (directory, name):
            self._file = make_own(directory, name)
        self._append({"journal_version": VERSION, "inode": [temporary.st_dev, temporary.st_ino], "job": asdict(job)})

    def resume(self) -> None:
        """Go on with the journal that is there; what a crash tore off is cut off first."""
        with parent_of(self.path) as (directory, name):
            self._file = open_own(directory, name)
        size = os.fstat(self._file).st_size
        whole = os.pread(self._file, size, 0).rfind(b"\n") + 1
        os.ftruncate(self._file, whole)
        os.lseek(self._file, whole, os.SEEK_SET)

    def checkpoint(self, offset: int, sha256: str) -> None:
        self._append({"checkpoint": offset, "sha256": sha256})

    def shard_verified(self, shard: int, sha256: str) -> None:
        self._append({"verified": shard, "sha256": sha256})

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _append(self, fact: dict[str, Any]) -> None:
        line = memoryview(json.dumps(fact, separators=(",", ":")).encode() + b"\n")
        with self._writing:
            while line:
                line = line[os.write(self._file, line) :]
            os.fdatasync(self._file)


def open_shard(shard: Shard) -> int:
    """A descriptor for reading the very file that was planned with."""
    source = open_input(shard.path).fd
    if shard.is_same_file(os.fstat(source)):
        return source
    os.close(source)
    raise GgufError(f"{shard.path} changed during the merge.", "Stop what writes to it, then run again.")


def read_journal(path: str) -> Optional[JournalContent]:
    """What the journal at path proves, or None when there is none or its first line was never finished."""
    try:
        with parent_of(path) as (directory, name):
            handle = open_own(directory, name, os.O_RDONLY)
    except FileNotFoundError:
        return None
    return parse(read_descriptor(handle, path, limit_bytes=_MAX_BYTES), path)


def parse(data: bytes, path: str) -> Optional[JournalContent]:
    """What a journal's content proves; `path` is for the message."""
    lines = data.split(b"\n")[:-1]
    if not lines:
        return None
    try:
        return _content([json.loads(line) for line in lines])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise GgufError(
            f"the journal {path} is damaged ({error}).",
            "If all shards are still there, remove it and run again; the merge then starts from the beginning.",
        ) from error


def _content(facts: list[dict[str, Any]]) -> JournalContent:
    first = facts[0]
    if first["journal_version"] != VERSION:
        raise ValueError("another version")
    device, inode = first["inode"]
    content = JournalContent(_job(first["job"]), _number(device), _number(inode))
    for fact in facts[1:]:
        if "checkpoint" in fact:
            content.checkpoints.append(Checkpoint(_number(fact["checkpoint"]), _digest(fact["sha256"])))
        elif _number(fact["verified"]) < len(content.job.shards):
            content.verified[fact["verified"]] = _digest(fact["sha256"])
        else:
            raise ValueError("a shard that the merge does not have")
    return content


def _job(content: dict[str, Any]) -> MergeJob:
    shards = tuple(_typed(Shard, shard) for shard in content["shards"])
    segments = tuple(_typed(Segment, segment) for segment in content["segments"])
    if any(part.shard >= len(shards) for part in segments):
        raise ValueError("a segment of no shard")
    return _typed(MergeJob, {**content, "shards": shards, "segments": segments})


def _typed(kind: type[_Value], content: dict[str, Any]) -> _Value:
    """A value of this class, whose texts are texts and whose numbers are numbers."""
    for item in fields(kind):  # type: ignore[arg-type]
        if item.type == "int":
            _number(content[item.name])
        elif item.type == "str" and not isinstance(content[item.name], str):
            raise ValueError(f"{item.name} is no text")
    return kind(**content)


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise ValueError("something that is no number of bytes")
    return value


def _digest(value: Any) -> str:
    if not isinstance(value, str) or _SHA256.fullmatch(value) is None:
        raise ValueError("something that is no sha256")
    return value
