# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From a lock to verified files on this host: look, plan, fetch, prove, name."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Union

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import take_name
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError, NeedMore
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._host.mounts import is_shared
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Entry, Ledger, sync_directory
from ansible_collections.gguf.fleet.plugins.module_utils._lock.existing_files import MERGED as MERGED_COPY
from ansible_collections.gguf.fleet.plugins.module_utils._lock.existing_files import (
    LocalCopy,
    default_caches,
    local_copies,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk import existing as adopt
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import (
    Storage,
    check_room,
    needed_bytes,
    write_problem,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import MISSING, WRITTEN, Journal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.lease import (
    Held,
    Hold,
    acquire,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.sources import (
    Source,
    best_of,
    local_source,
    mirror_source,
    origin_source,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.workers import Stopped
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.pipeline import (
    Outcome,
    Transfer,
    WrongHeader,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan import headers as gguf_headers
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import (
    MERGED,
    Plan,
    plan_merged,
    plan_shards,
    plan_single,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request, Result
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import (
    Meter,
    Status,
    StatusFile,
    read_status,
    shown_bytes,
    shown_seconds,
    status_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.removal import remove_leftovers

Tick = Callable[[Status], None]
_ATTACH_LOOK_SECONDS = 0.5


def present(request: Request, ledger: Ledger, *, check: bool = False, tick: Optional[Tick] = None) -> Result:
    """Make the files be there, proved by their sums; with ``check`` say what that would take."""
    done = already_there(request, ledger)
    if done is not None:
        return done
    if check:
        return _foretell(request, ledger, sources_of(request))
    # Hours later would be a bad time to find that it cannot be written.
    ledger.prepare()
    while True:
        hold = _acquire_or_attach(request, ledger, tick)
        if isinstance(hold, Result):
            return hold
        try:
            # Somebody may have finished between the first look and the lock.
            return already_there(request, ledger) or _fetch_all(request, ledger, hold, tick)
        except Held:
            # This process stood still, and another host goes on with it: wait for that one.
            continue
        finally:
            hold.release()


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


def _is_wanted(entry: Entry, request: Request, index: int) -> bool:
    expected = request.expected(index)
    if expected is not None:
        return entry.sha256 == expected
    return bool(entry.notes.get("lock") == request.fingerprint)


def sources_of(request: Request) -> List[Source]:
    """All places to ask, the ones on this host first."""
    found = [
        local_source(copy.path, copy.file, request.files, copy.found_in)
        for copy in _copies(request)
        if copy.file != MERGED_COPY
    ]
    return [*found, *_remote_sources(request)]


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
    if mirrors and not all(file.url for file in request.files):
        return mirrors
    return [*mirrors, origin_source(request.files, request.access)]


def _acquire_or_attach(request: Request, ledger: Ledger, tick: Optional[Tick]) -> Union[Hold, Result]:
    """The lock, or the result of the run that had it."""
    places = request.places
    try:
        Directory.open(os.path.dirname(places.anchor), make=True).close()
    except OSError as error:
        raise write_problem(os.path.dirname(places.anchor), error) from error
    shared = is_shared(places.anchor)
    while True:
        try:
            return acquire(places, shared=shared)
        except Held as held:
            status = read_status(places.status)
            if tick is not None and status is not None:
                shown = status_of(status)
                shown.message = f"done by {held.holder}"
                tick(shown)
            time.sleep(_ATTACH_LOOK_SECONDS)
        done = already_there(request, ledger)
        if done is not None:
            done.changed = True
            done.actions.append("waited for the run that was fetching it already")
            return done


def _fetch_all(request: Request, ledger: Ledger, hold: Hold, tick: Optional[Tick]) -> Result:
    status_file = StatusFile(request.places.status, dict(hold.holder.__dict__))
    written_at = 0.0

    def observe(status: Status) -> None:
        nonlocal written_at
        now = time.monotonic()
        hold.check()
        if now - written_at >= 1.0 or status.phase in ("failed", "stopped"):
            with contextlib.suppress(OSError):
                status_file.write(status)
            written_at = now
        if tick is not None:
            tick(status)
        if hold.stop_requested() and status.phase != "stopped":
            raise Stopped

    last = Status("headers", 0, sum(file.size_bytes for file in request.files))

    def remember(status: Status) -> None:
        nonlocal last
        last = status
        observe(status)

    try:
        for _attempt in range(2):
            try:
                return _fetch_once(request, ledger, remember)
            except WrongHeader:
                # A header that was wrong gave a wrong layout, so nothing that was placed by it is of use.
                remove_leftovers(request)
        raise TransferError(
            "The headers of the shards changed between two fetches.", "Resolve again.", reason="changed"
        )
    except Stopped:
        last.phase, last.message = "stopped", "stopped on request; the next run continues"
        with contextlib.suppress(OSError):
            status_file.write(last)
        raise TransferError(
            f"The transfer was stopped on request, with {shown_bytes(last.bytes_done)} on the disk.",
            "Run again to continue it.",
            reason="stopped",
        ) from None
    except (TransferError, OSError) as error:
        known = error if isinstance(error, TransferError) else write_problem(request.places.journal, error)
        last.phase, last.message = "failed", str(known)
        with contextlib.suppress(OSError):
            status_file.write(last)
        raise known from error


def _fetch_once(request: Request, ledger: Ledger, tick: Tick) -> Result:
    began = time.monotonic()
    sources = sources_of(request)
    meter = Meter()
    journal = _continued(request)
    plan = _plan(request, sources, journal, meter, tick)
    if journal is None:
        adopted = _adopt(request, plan, ledger, tick)
        if adopted is not None:
            return adopted
        copied = _copy_merged(request, plan, ledger, tick)
        if copied is not None:
            return copied
    needed = check_room(plan.outputs, 0 if journal else plan.block_count + plan.journal_bytes)
    fresh = journal is None
    if journal is None:
        try:
            journal = Journal.create(
                request.places.journal, plan.files, plan.layout, plan.block_count, list(plan.headers)
            )
        except OSError as error:
            raise write_problem(request.places.journal, error) from error
    try:
        storage = Storage.open(plan, journal)
        try:
            if fresh:
                sync_directory(os.path.dirname(request.places.anchor))
                _place_headers(plan, storage, journal)
            outcome = Transfer(plan, storage, journal, sources, settings=request.settings, meter=meter).run(tick)
            sealed = storage.seal()
        finally:
            storage.close()
    finally:
        journal.close()
    result = _name(request, plan, ledger, outcome, sealed)
    result.disk_bytes = needed
    result.seconds = time.monotonic() - began
    return result


def _adopt(request: Request, plan: Plan, ledger: Ledger, tick: Tick, *, check: bool = False) -> Optional[Result]:
    """The result when the files are there and only the ledger did not know: made by hand, or before a crash."""
    sums = adopt.prove(plan, request.paths, tick)
    if sums is None:
        return None
    by_path = {output.path: _sum_of(plan, index, sums) for index, output in enumerate(plan.outputs)}
    if not check:
        remove_leftovers(request)
        for path, digest in by_path.items():
            ledger.record(path, sha256=digest, kind="file", lock=request.fingerprint)
    return Result(
        changed=False,
        paths=request.paths,
        size_bytes=sum(output.size_bytes for output in plan.outputs),
        sha256=by_path,
        file_sha256=_file_sums(plan, sums),
        actions=[f"proved {path}, which was there already" for path in request.paths],
    )


def _copy_merged(request: Request, plan: Plan, ledger: Ledger, tick: Tick) -> Optional[Result]:
    """The result when another directory or store of this host has the merged file: proved there, then copied."""
    for copy in _copies(request) if plan.merged_header else ():
        sums = adopt.prove(plan, (copy.path,), tick) if copy.file == MERGED_COPY else None
        if sums is None:
            continue
        file = {"path": os.path.basename(copy.path), "size_bytes": copy.size_bytes, "sha256": sums[MERGED]}
        lock = {"files": [{**file, "url": copy.path, "header_bytes": None}]}
        result = _fetch_once(replace(request, lock=lock, mirrors=(), find_in=(), ollama_stores=()), ledger, tick)
        ledger.record(request.dest, sha256=sums[MERGED], kind="file", lock=request.fingerprint)
        result.file_sha256 = _file_sums(plan, sums)
        result.actions = [f"copied {copy.path} ({copy.found_in})"]
        return result
    return None


def _sum_of(plan: Plan, index: int, sums: Mapping[str, str]) -> Optional[str]:
    """The sum of an output."""
    whole = sums.get(MERGED) if plan.merged_header else None
    return whole or sums.get(plan.files[index].path) or plan.files[index].sha256


def _file_sums(plan: Plan, sums: Mapping[str, str]) -> Dict[str, str]:
    return {file.path: sums[file.path] for file in plan.files if file.path in sums}


def _continued(request: Request) -> Optional[Journal]:
    """The journal of an earlier run for the very same bytes; what belongs to others is removed."""
    journal = Journal.open(request.places.journal)
    usable = (
        journal is not None
        and journal.belongs_to(request.files, request.layout)
        and all(os.path.exists(path + ".partial") for path in request.paths)
    )
    if usable:
        return journal
    if journal is not None:
        journal.close()
    remove_leftovers(request)
    return None


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


def _place_headers(plan: Plan, storage: Storage, journal: Journal) -> None:
    """Blocks that the headers cover wholly are there already."""
    for file, raw in enumerate(plan.headers):
        for block in plan.blocks_of(file):
            _file, offset, length = plan.locate(block)
            if offset + length > len(raw):
                break
            storage.write(file, offset, memoryview(raw)[offset : offset + length])
            journal.note((block,), WRITTEN)


def _name(request: Request, plan: Plan, ledger: Ledger, outcome: Outcome, sealed: Sequence[os.stat_result]) -> Result:
    """All is proved: the files get their names, the ledger learns of them, and the journal goes."""
    sums: Dict[str, Optional[str]] = {}
    for index, output in enumerate(plan.outputs):
        try:
            with parent_of(output.path) as (directory, name):
                take_name(directory, os.path.basename(output.partial), name, sealed[index])
        except OSError as error:
            raise write_problem(output.path, error) from error
        sums[output.path] = _sum_of(plan, index, outcome.sums)
    sync_directory(os.path.dirname(request.places.anchor))
    # Before the ledger: what a crash leaves here is a file to prove again, never a journal that nobody removes.
    remove_leftovers(request)
    rate = outcome.bytes_moved / outcome.seconds if outcome.bytes_moved and outcome.seconds else None
    for output, status in zip(plan.outputs, sealed):
        ledger.record(
            output.path,
            sha256=sums[output.path],
            kind="file",
            status=status,
            lock=request.fingerprint,
            bytes_per_second=rate,
            fetched_at=time.time(),
        )
    return Result(
        changed=True,
        paths=request.paths,
        size_bytes=sum(output.size_bytes for output in plan.outputs),
        sha256=sums,
        file_sha256=_file_sums(plan, outcome.sums),
        bytes_moved=outcome.bytes_moved,
        sources=outcome.sources,
        actions=[f"fetched {shown_bytes(count)} from {name}" for name, count in outcome.sources.items()]
        + outcome.notes,
    )


def _foretell(request: Request, ledger: Ledger, sources: Sequence[Source]) -> Result:
    """What a run would move and take; headers are read, nothing is written."""
    journal = Journal.open(request.places.journal)
    if journal is not None and not journal.belongs_to(request.files, request.layout):
        journal.close()
        journal = None
    try:
        plan = _plan(request, sources, journal, Meter(), lambda status: None)
        adopted = _adopt(request, plan, ledger, lambda status: None, check=True) if journal is None else None
        if adopted is not None:
            return adopted
        states = bytes(journal.states if journal is not None else plan.block_count)
        room = needed_bytes(plan.outputs)
        check_room(plan.outputs, 0 if journal else plan.block_count + plan.journal_bytes)
    finally:
        if journal is not None:
            journal.close()
    moves = _moves(plan, states, sources)
    if plan.merged_header and journal is None:
        moves = next(
            (
                {f"{copy.path} ({copy.found_in})": copy.size_bytes}
                for copy in _copies(request)
                if copy.file == MERGED_COPY
            ),
            moves,
        )
    missing, rate = sum(moves.values()), _last_rate(ledger)
    actions = [f"fetch {shown_bytes(count)} ({count:,} bytes) from {name}" for name, count in moves.items()]
    actions.append(f"take {shown_bytes(room)} of disk ({room:,} bytes)")
    if rate:
        actions.append(
            f"take about {shown_seconds(missing / rate)} at the rate of the last download ({shown_bytes(rate)}/s)"
        )
    return Result(
        changed=True,
        paths=request.paths,
        size_bytes=sum(output.size_bytes for output in plan.outputs),
        sha256={output.path: output.sha256 for output in plan.outputs},
        bytes_to_move=missing,
        disk_bytes=room,
        expected_seconds=missing / rate if rate else None,
        sources=moves,
        actions=actions,
    )


def _moves(plan: Plan, states: bytes, sources: Sequence[Source]) -> Dict[str, int]:
    """How many of the missing bytes come from where; sources that share the work are one place here."""
    moves: Dict[str, int] = {}
    for index, _file in enumerate(plan.files):
        missing = sum(plan.locate(block)[2] for block in plan.blocks_of(index) if states[block] == MISSING)
        if missing:
            name = " or ".join(source.name for source in best_of(sources, index))
            moves[name] = moves.get(name, 0) + missing
    return moves


def _last_rate(ledger: Ledger) -> Optional[float]:
    """Bytes a second of the download that ended last on this host."""
    measured = [entry.notes for entry in ledger.entries("file") if entry.notes.get("bytes_per_second")]
    last = max(measured, key=lambda notes: float(notes.get("fetched_at", 0)), default=None)
    return float(last["bytes_per_second"]) if last else None
