# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What there is to do for a download, found out without changing anything: check mode tells it, a run does it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._action import sentence
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, NeedMore
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import shown_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Entry, Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._lock.existing_files import MERGED as MERGED_COPY
from ansible_collections.gguf.fleet.plugins.module_utils._lock.existing_files import (
    LocalCopy,
    default_caches,
    local_copies,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk import existing
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import check_room
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import MISSING, Journal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.controller import NAME as CONTROLLER
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.controller import (
    ROOM_BYTES,
    ControllerSource,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import (
    Source,
    best_of,
    local_source,
    mirror_source,
    origin_source,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan import headers as gguf_headers
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import (
    MERGED,
    Output,
    Plan,
    plan_merged,
    plan_shards,
    plan_single,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request, Result
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import (
    Meter,
    Status,
    shown_seconds,
)

Tick = Callable[[Status], None]


@dataclass
class Work:
    """What is to be done for a request, and what that was found out by.

    journal: of an earlier run for the very same bytes, open; None when it begins anew. proved: digests of files that
    are in their places already. copy, copy_digests: the merged file elsewhere on this host. needed_bytes: of the disk.
    """

    request: Request
    sources: Sequence[Source]
    plan: Plan
    meter: Meter
    journal: Optional[Journal] = None
    proved: Optional[Mapping[str, str]] = None
    copy: Optional[LocalCopy] = None
    copy_digests: Mapping[str, str] = field(default_factory=dict)
    needed_bytes: int = 0

    def close(self) -> None:
        if self.journal is not None:
            self.journal.close()
            self.journal = None

    @property
    def size_bytes(self) -> int:
        return sum(output.size_bytes for output in self.plan.outputs)

    def copied(self) -> Request:
        """The request that fetches the merged file from its copy."""
        file: Dict[str, Any] = {"sha256": self.copy_digests[MERGED], "header_bytes": None}
        if self.copy is not None:
            path = self.copy.path
            file.update(path=os.path.basename(path), size_bytes=self.copy.size_bytes, url=path)
        lock = {"files": [file]}
        return replace(self.request, lock=lock, mirrors=(), find_in=(), ollama_stores=(), from_controller=False)

    def moves(self) -> Dict[str, int]:
        """How many of the missing bytes come from where; sources that share the work are one place here."""
        if self.copy is not None:
            return {f"{self.copy.path} ({self.copy.found_in})": self.copy.size_bytes}
        states = bytes(self.journal.states if self.journal is not None else self.plan.block_count)
        moves: Dict[str, int] = {}
        for index, _file in enumerate(self.plan.files):
            blocks = self.plan.blocks_of(index)
            missing = sum(self.plan.locate(block)[2] for block in blocks if states[block] == MISSING)
            if missing:
                name = " or ".join(source.name for source in best_of(self.sources, index))
                moves[name] = moves.get(name, 0) + missing
        return moves


def already_there(request: Request, ledger: Ledger) -> Optional[Result]:
    """The result when every file is the one that was proved before: no byte is read for that."""
    entries: List[Entry] = []
    for index, path in enumerate(request.paths):
        entry = ledger.lookup(path, kind="file")
        if entry is None or not _is_wanted(entry, request, index):
            return None
        entries.append(entry)
    return Result(
        changed=False,
        paths=request.paths,
        size_bytes=sum(entry.size_bytes for entry in entries),
        sha256={entry.path: entry.sha256 for entry in entries},
    )


def prepare(request: Request, tick: Tick, *, look_for_files: bool = True) -> Work:
    """Find out what is to be done. Reads the shards' headers, and every byte of files that may be the right ones.

    Raises TransferError, also when the disk is too small for it.
    """
    sources, meter = sources_of(request), Meter()
    journal = usable_journal(request)
    try:
        work = Work(request, sources, _plan(request, sources, journal, meter, tick), meter, journal)
        if journal is None and look_for_files:
            work.proved = existing.prove(work.plan, request.paths, tick)
            if work.proved is None:
                _look_for_a_copy(work, tick)
        if work.proved is None:
            new = 0 if journal else work.plan.block_count + work.plan.journal_bytes
            new += ROOM_BYTES if request.from_controller else 0
            work.needed_bytes = check_room(work.plan.outputs, new)
    except BaseException:
        if journal is not None:
            journal.close()
        raise
    return work


def foretold(work: Work, ledger: Ledger) -> Result:
    """The result of a run that did not happen."""
    if work.proved is not None:
        return proved_result(work)
    moves = work.moves()
    missing, rate = sum(moves.values()), _last_rate(ledger)
    actions = [
        sentence("fetch", f"{shown_bytes(count)} from {name}", size_bytes=count) for name, count in moves.items()
    ]
    actions.append(sentence("take", f"{shown_bytes(work.needed_bytes)} of disk", size_bytes=work.needed_bytes))
    if rate:
        actions.append(
            f"take about {shown_seconds(missing / rate)} at the rate of the last download ({shown_bytes(rate)}/s)"
        )
    return Result(
        changed=True,
        paths=work.request.paths,
        size_bytes=work.size_bytes,
        sha256={output.path: output.sha256 for output in work.plan.outputs},
        bytes_to_move=missing,
        disk_bytes=work.needed_bytes,
        expected_seconds=missing / rate if rate else None,
        sources=moves,
        actions=actions,
    )


def foretold_by_lock(request: Request) -> Optional[Result]:
    """The same for files of the controller whose headers only a run would bring; None where they are not needed."""
    if not request.from_controller or request.layout != MERGED or len(request.files) == 1:
        return None
    journal = usable_journal(request)
    if journal is not None:
        journal.close()
        return None
    here = {copy.file for copy in _copies(request)}
    count = sum(file.size_bytes for index, file in enumerate(request.files) if index not in here)
    disk_bytes = check_room([Output(request.dest, request.sizes[0], None)], ROOM_BYTES)
    return Result(
        changed=True,
        paths=request.paths,
        size_bytes=sum(request.sizes),
        sha256={request.dest: request.expected(0)},
        bytes_to_move=count,
        disk_bytes=disk_bytes,
        sources={CONTROLLER: count},
        actions=[
            sentence("fetch", f"{shown_bytes(count)} from {CONTROLLER}", size_bytes=count),
            sentence("take", f"{shown_bytes(disk_bytes)} of disk", size_bytes=disk_bytes),
        ],
    )


def proved_result(work: Work) -> Result:
    """The result where only the ledger did not know the files: made by hand, or before a crash."""
    digests = work.proved or {}
    return Result(
        changed=False,
        paths=work.request.paths,
        size_bytes=work.size_bytes,
        sha256={output.path: digest_of(work.plan, index, digests) for index, output in enumerate(work.plan.outputs)},
        file_sha256=file_digests(work.plan, digests),
        actions=[f"checked {path}, which was there already" for path in work.request.paths],
    )


def digest_of(plan: Plan, index: int, digests: Mapping[str, str]) -> Optional[str]:
    """The checksum of an output."""
    whole = digests.get(MERGED) if plan.merged_header else None
    return whole or digests.get(plan.files[index].path) or plan.files[index].sha256


def file_digests(plan: Plan, digests: Mapping[str, str]) -> Dict[str, str]:
    """The checksums of the locked files that were computed."""
    return {file.path: digests[file.path] for file in plan.files if file.path in digests}


def usable_journal(request: Request) -> Optional[Journal]:
    """The journal of an earlier run for the very same bytes, open."""
    journal = Journal.open(request.places.journal)
    if journal is None:
        return None
    if journal.belongs_to(request.files, request.layout) and all(
        os.path.exists(path + ".partial") for path in request.paths
    ):
        return journal
    journal.close()
    return None


def sources_of(request: Request) -> List[Source]:
    """All places to ask, the ones on this host first."""
    found = [
        local_source(copy.path, copy.file, request.files, copy.found_in)
        for copy in _copies(request)
        if copy.file != MERGED_COPY
    ]
    return [*found, *_remote_sources(request)]


def _is_wanted(entry: Entry, request: Request, index: int) -> bool:
    expected = request.expected(index)
    if expected is not None:
        return entry.sha256 == expected
    return bool(entry.notes.get("lock") == request.fingerprint)


def _look_for_a_copy(work: Work, tick: Tick) -> None:
    """The merged file in another directory or store of this host, if it is the right one."""
    for copy in _copies(work.request) if work.plan.merged_header else ():
        digests = existing.prove(work.plan, (copy.path,), tick) if copy.file == MERGED_COPY else None
        if digests is not None:
            work.copy, work.copy_digests = copy, digests
            return


def _copies(request: Request) -> List[LocalCopy]:
    caches = default_caches(os.path.expanduser("~"), os.environ)
    copies = local_copies(
        request.lock,
        folders=request.find_in,
        ollama_stores=request.ollama_stores,
        modelscope_caches=caches["modelscope_caches"],
        huggingface_caches=caches["huggingface_caches"],
    )
    return [copy for copy in copies if copy.path not in request.paths]


def _remote_sources(request: Request) -> List[Source]:
    mirrors = [mirror_source(mirror, request.files, request.lock, request.access) for mirror in request.mirrors]
    if request.from_controller:
        return [*mirrors, ControllerSource(request.places.spool, request.files)]
    if mirrors and not all(file.url for file in request.files):
        return mirrors
    return [*mirrors, origin_source(request.files, request.access)]


def _plan(request: Request, sources: Sequence[Source], journal: Optional[Journal], meter: Meter, tick: Tick) -> Plan:
    if request.layout != MERGED:
        return plan_shards(request.lock, request.dest)
    if len(request.files) == 1:
        return plan_single(request.lock, request.dest)
    files = request.files
    total = sum(file.size_bytes for file in files)
    try:
        if journal is not None:
            raws = journal.headers()
            parsed = [gguf_headers.parse(file, raw) for file, raw in zip(files, raws)]
        else:
            found = gguf_headers.fetch_headers(
                files,
                sources,
                retries=request.settings.retries,
                meter=meter,
                tick=lambda _count: tick(Status("headers", meter.total, total, bytes_moved=meter.total)),
            )
            raws, parsed = [raw for raw, _header in found], [header for _raw, header in found]
        return plan_merged(request.lock, request.dest, merge_layout(parsed), raws)
    except (GgufError, NeedMore) as error:
        problem = getattr(error, "problem", str(error))
        remedy = getattr(error, "remedy", "Resolve again.")
        raise TransferError(f"The locked files are not one model: {problem}", remedy, reason="not-gguf") from error


def _last_rate(ledger: Ledger) -> Optional[float]:
    """Bytes a second of the download that ended last on this host."""
    measured = [entry.notes for entry in ledger.entries("file") if entry.notes.get("bytes_per_second")]
    last = max(measured, key=lambda notes: float(notes.get("fetched_at", 0)), default=None)
    return float(last["bytes_per_second"]) if last else None
