# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Decide what a merge has to do, from what is on disk. Nothing is changed and no tensor is read here."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from typing import Any, Mapping, Optional, Sequence, TypeVar

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, Header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.shards import (
    ShardName,
    first_shard,
    read_shard,
    require_all,
)
from ansible_collections.gguf.fleet.plugins.module_utils._host.disk import free_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import shown_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Entry, Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._merge.consume import why_kept
from ansible_collections.gguf.fleet.plugins.module_utils._merge.journal import (
    JournalContent,
    MergeJob,
    Shard,
    read_journal,
)

# What a merge can come to
UNCHANGED = "unchanged"  # the merged file is there and recorded
RECORD = "record"  # it is there and ours; a crash came before the ledger knew
HASH = "hash"  # it is there and recorded; its bytes are to be read
COMPARE = "compare"  # a file is there that we did not write; it must be the merge, or we refuse
MERGE = "merge"


Part = TypeVar("Part")


def known(part: Optional[Part]) -> Part:
    """A part of a plan that plans of its outcome always have."""
    if part is None:
        raise AssertionError("the plan lacks a part that its outcome needs")
    return part


@dataclass(frozen=True)
class MergeRequest:
    src: str  # the first shard
    dest: str
    consume: bool = False
    get_sha256: bool = True
    sha256: Optional[str] = None  # expected of the merged file
    shard_sha256: Mapping[str, str] = field(default_factory=dict)  # expected, by file name
    verify_full: bool = False

    @property
    def temporary(self) -> str:
        return _beside(self.dest, ".merging")

    @property
    def journal(self) -> str:
        return _beside(self.dest, ".merge-journal")

    @property
    def status(self) -> str:
        return _beside(self.dest, ".merge-status")


@dataclass(frozen=True)
class MergePlan:
    request: MergeRequest
    outcome: str
    job: Optional[MergeJob] = None
    header: Optional[bytes] = None  # of the merged file; None when consumed shards took it along and it is on disk
    expected: Mapping[int, str] = field(default_factory=dict)  # shard -> checksum
    journal: Optional[JournalContent] = None  # of the merge to resume
    trusted_limit: int = 0  # no byte of the temporary file counts behind this offset
    entry: Optional[Entry] = None
    remove: tuple[tuple[str, int], ...] = ()  # shards that go, in the order of their going, and their bytes
    disk_needed_bytes: int = 0
    disk_free_bytes: int = 0

    @property
    def changed(self) -> bool:
        return self.outcome == MERGE or bool(self.remove)

    @property
    def actions(self) -> list[dict[str, Any]]:
        """The plan for people: what is done to which path, with the bytes that move."""
        steps: list[dict[str, Any]] = []
        if self.outcome != UNCHANGED:
            steps.append({"action": self.outcome, "path": self.request.dest, "size_bytes": self._size_bytes})
        steps += [{"action": "remove", "path": path, "size_bytes": size_bytes} for path, size_bytes in self.remove]
        return steps

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the result before anything is done."""
        notes: Mapping[str, Any] = self.entry.notes if self.entry is not None else {}
        return {
            "size_bytes": self._size_bytes,
            "sha256": self.entry.sha256 if self.entry is not None else None,
            "shards": len(self.job.shards) if self.job is not None else len(notes.get("sources", ())),
            "tensors": self.job.tensors if self.job is not None else notes.get("tensors"),
            "tail_padding_bytes": self.job.tail_padding_bytes
            if self.job is not None
            else notes.get("tail_padding_bytes"),
        }

    @property
    def _size_bytes(self) -> int:
        if self.job is not None:
            return self.job.size_bytes
        return known(self.entry).size_bytes


def plan_merge(request: MergeRequest, ledger: Ledger) -> MergePlan:
    """What has to be done so that dest is the merge of the set that src begins."""
    name = first_shard(request.src)
    _check_dest(request, name)
    entry = ledger.lookup(request.dest, kind="file")
    if entry is not None:
        return _plan_recorded(request, name, entry)
    journal = read_journal(request.journal)
    if os.path.lexists(request.dest):
        if journal is not None and _is_inode(request.dest, journal):
            _check_digest(request, final_digest(journal))
            return MergePlan(
                request, RECORD, job=journal.job, journal=journal, remove=_verified(request, name, journal)
            )
        return _plan_compare(request, name, None)
    return _plan_new(request, name, journal, ledger)


def _plan_recorded(request: MergeRequest, name: ShardName, entry: Entry) -> MergePlan:
    _check_digest(request, entry.sha256)
    known = {source["path"]: source for source in entry.notes.get("sources", [])}
    present = [path for path in name.paths if os.path.exists(path)]
    foreign = [path for path in present if not _is_recorded(path, known.get(os.path.abspath(path)))]
    if foreign and len(present) == name.count:
        # the shards are not those that were merged: only their bytes can tell whether the result would differ
        return _plan_compare(request, name, entry)
    remove: tuple[tuple[str, int], ...] = ()
    if request.consume:
        verified = [path for path in present if path not in foreign and known[os.path.abspath(path)]["sha256"]]
        remove = tuple((path, os.path.getsize(path)) for path in verified if why_kept(path) is None)
    must_read = request.verify_full or (request.get_sha256 and entry.sha256 is None)
    return MergePlan(request, HASH if must_read else UNCHANGED, entry=entry, remove=remove)


def _plan_compare(request: MergeRequest, name: ShardName, entry: Optional[Entry]) -> MergePlan:
    dest = request.dest
    if not os.path.isfile(dest):
        raise GgufError(f"{dest} exists and is not a file.", "Choose another dest.")
    job, header = _job(require_all(name))
    size_bytes = os.path.getsize(dest)
    if size_bytes != job.size_bytes:
        raise GgufError(
            f"{dest} exists and is something else: {size_bytes:,} bytes, while the merge has {job.size_bytes:,}.",
            "Move it away, or choose another dest.",
        )
    return MergePlan(request, COMPARE, job=job, header=header, entry=entry)


def _plan_new(request: MergeRequest, name: ShardName, journal: Optional[JournalContent], ledger: Ledger) -> MergePlan:
    limit = 0
    if journal is not None:
        limit = _resume_limit(request, name, journal)
    if journal is None or not limit:
        journal, limit = None, 0
        job, header = _job(require_all(name))
    elif all(os.path.exists(path) for path in name.paths):
        job, header = _job(name.paths)
    else:
        # shards that were fetched anew since are other files
        job, header = replace(journal.job, shards=tuple(map(_as_it_is_now, journal.job.shards))), None
    expected = _expected_digests(request, job, ledger)
    gone = {index for index, shard in enumerate(job.shards) if not os.path.exists(shard.path)}
    remove: tuple[tuple[str, int], ...] = ()
    if request.consume:
        _check_consumable(request, job, expected, gone, journal)
        remove = tuple((shard.path, shard.size_bytes) for index, shard in enumerate(job.shards) if index not in gone)
    plan = MergePlan(
        request,
        MERGE,
        job=job,
        header=header,
        expected=expected,
        journal=journal,
        trusted_limit=limit,
        remove=remove,
        disk_needed_bytes=_disk_needed(request, job, gone),
        disk_free_bytes=free_bytes(os.path.dirname(os.path.abspath(request.dest))),
    )
    if plan.disk_needed_bytes > plan.disk_free_bytes:
        raise GgufError(
            f"the merge needs {shown_bytes(plan.disk_needed_bytes)} ({plan.disk_needed_bytes:,} bytes) in "
            f"{os.path.dirname(request.dest) or '.'}, "
            f"which has {shown_bytes(plan.disk_free_bytes)} ({plan.disk_free_bytes:,} bytes) free.",
            "Make room, or let the merge consume the shards (consume: true; their checksums must be known).",
        )
    return plan


def _resume_limit(request: MergeRequest, name: ShardName, journal: JournalContent) -> int:
    """How many bytes of the temporary file may count, if they prove right; 0 to start anew."""
    job = journal.job
    lost = [index for index in sorted(journal.verified) if not os.path.exists(job.shards[index].path)]
    stuck = f"Shards of this merge were consumed; put the others back as they were, and keep {request.temporary}."
    if [shard.path for shard in job.shards] != [os.path.abspath(path) for path in name.paths]:
        if lost:
            raise GgufError(f"{request.journal} is of a merge of other shards.", stuck)
        return 0
    if not os.path.exists(request.temporary) or not _is_inode(request.temporary, journal):
        if lost:
            raise GgufError(f"{request.temporary} is gone, and with it the bytes of consumed shards.", stuck)
        return 0
    limit = job.size_bytes
    for index, shard in enumerate(job.shards):
        if index in journal.verified:
            continue
        if not os.path.exists(shard.path):
            raise GgufError(f"{shard.path} is missing.", "Download it, then run again; the merge goes on.")
        header, status = read_shard(shard.path)
        if _describe_shard(shard.path, header, status).header_sha256 != shard.header_sha256:
            if lost:
                raise GgufError(f"{shard.path} is not the shard that this merge began with.", stuck)
            return 0
        if not shard.is_same_file(status):
            limit = min(limit, job.dest_start(index))
    return limit


def _job(paths: Sequence[str]) -> tuple[MergeJob, bytes]:
    found = [read_shard(path) for path in paths]
    layout = merge_layout([header for header, _status in found])
    return (
        MergeJob(
            shards=tuple(_describe_shard(path, header, status) for path, (header, status) in zip(paths, found)),
            segments=layout.segments,
            header_bytes=len(layout.header),
            header_sha256=hashlib.sha256(layout.header).hexdigest(),
            size_bytes=layout.size_bytes,
            tail_padding_bytes=layout.tail_padding_bytes,
            tensors=len(layout.tensors),
        ),
        layout.header,
    )


def _as_it_is_now(shard: Shard) -> Shard:
    if not os.path.exists(shard.path):
        return shard
    header, status = read_shard(shard.path)
    return _describe_shard(shard.path, header, status)


def _describe_shard(path: str, header: Header, status: os.stat_result) -> Shard:
    return Shard(
        path=os.path.abspath(path),
        size_bytes=status.st_size,
        device=status.st_dev,
        inode=status.st_ino,
        mtime_ns=status.st_mtime_ns,
        header_sha256=hashlib.sha256(header.raw).hexdigest(),
    )


def _expected_digests(request: MergeRequest, job: MergeJob, ledger: Ledger) -> dict[int, str]:
    digests: dict[int, str] = {}
    for index, shard in enumerate(job.shards):
        known = request.shard_sha256.get(os.path.basename(shard.path))
        if known is None:
            entry = ledger.lookup(shard.path, kind="file")
            known = entry.sha256 if entry is not None else None
        if known is not None:
            digests[index] = known.lower()
    return digests


def _check_consumable(
    request: MergeRequest,
    job: MergeJob,
    expected: Mapping[int, str],
    gone: set[int],
    journal: Optional[JournalContent],
) -> None:
    if not request.get_sha256:
        raise GgufError(
            "consume needs the checksums of what was written.", "Leave get_checksum on, or turn consume off."
        )
    verified = journal.verified if journal is not None else {}
    for index, shard in enumerate(job.shards):
        if index in gone:
            continue
        if index not in expected and index not in verified:
            raise GgufError(
                f"{shard.path} cannot be consumed: its sha256 is not known.",
                "Give a lock or shard_checksums, or turn consume off.",
            )
        reason = why_kept(shard.path)
        if reason is not None:
            raise GgufError(f"{shard.path} cannot be consumed: {reason}.", "End the other use, or turn consume off.")


def _disk_needed(request: MergeRequest, job: MergeJob, gone: set[int]) -> int:
    """The most that is on disk at once beyond what is there now."""
    there = os.stat(request.temporary).st_blocks * 512 if os.path.exists(request.temporary) else 0
    if not request.consume:
        return max(0, job.size_bytes - there)
    needed = freed = 0
    for index, shard in enumerate(job.shards):
        needed = max(needed, job.dest_start(index + 1) - there - freed)
        freed += 0 if index in gone else shard.size_bytes
    return needed


def _check_dest(request: MergeRequest, name: ShardName) -> None:
    directory = os.path.dirname(os.path.abspath(request.dest))
    if not os.path.isdir(directory):
        raise GgufError(f"the directory {directory} does not exist.", "Create it first.")
    if os.path.abspath(request.dest) in [os.path.abspath(path) for path in name.paths]:
        raise GgufError(f"{request.dest} is one of the shards.", "Choose another dest.")
    if os.path.islink(request.dest) and not os.path.exists(request.dest):
        raise GgufError(
            f"{request.dest} is a symbolic link to a file that does not exist.", "Remove it, or choose another dest."
        )


def _check_digest(request: MergeRequest, actual: Optional[str]) -> None:
    if request.sha256 is not None and actual is not None and request.sha256.lower() != actual:
        raise GgufError(
            f"{request.dest} has sha256 {actual}, not {request.sha256.lower()}.",
            "Move it away to merge again; if it is right, correct the expected checksum.",
        )


def _verified(request: MergeRequest, name: ShardName, journal: JournalContent) -> tuple[tuple[str, int], ...]:
    """The shards that a finished merge verified and did not get to remove."""
    shards = [journal.job.shards[index] for index in sorted(journal.verified)] if request.consume else []
    # no other file goes, whatever journal lies there
    ours = {os.path.abspath(path) for path in name.paths}
    shards = [shard for shard in shards if shard.path in ours]
    present = [shard for shard in shards if os.path.exists(shard.path) and shard.is_same_file(os.stat(shard.path))]
    return tuple((shard.path, shard.size_bytes) for shard in present if why_kept(shard.path) is None)


def final_digest(journal: JournalContent) -> Optional[str]:
    last = journal.checkpoints[-1] if journal.checkpoints else None
    return last.sha256 if last is not None and last.offset == journal.job.size_bytes else None


def _is_inode(path: str, journal: JournalContent) -> bool:
    status = os.stat(path)
    return (status.st_dev, status.st_ino) == (journal.device, journal.inode)


def _is_recorded(path: str, source: Optional[Mapping[str, Any]]) -> bool:
    status = os.stat(path)
    return source is not None and (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) == (
        source["device"],
        source["inode"],
        source["size_bytes"],
        source["mtime_ns"],
    )


def _beside(dest: str, suffix: str) -> str:
    directory, name = os.path.split(os.path.abspath(dest))
    return os.path.join(directory, f".{name}{suffix}")
