# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From locks to verified files on this host: room for all of them, then one after the other fetched, proved, named."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from typing import Dict, List, Optional, Sequence, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import take_name
from ansible_collections.gguf.fleet.plugins.module_utils._host.mounts import is_shared
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import shown_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import TransferError
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger, sync_directory
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.files import Storage, write_problem
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.disk.journal import WRITTEN, Journal
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.known import (
    Known,
    known_files,
    known_folders,
    known_stores,
    link_files,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.lease import Held, Hold, acquire
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.network.workers import Stopped
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.pipeline import Outcome, Transfer, WrongHeader
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import Plan
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.request import Request, Result
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.progress import (
    Status,
    StatusFile,
    read_status,
    status_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.removal import remove_leftovers
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.room import check_room_together
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.work import (
    Tick,
    Work,
    already_there,
    digest_of,
    file_digests,
    foretold,
    foretold_by_lock,
    prepare,
    proved_result,
)

_ATTACH_LOOK_SECONDS = 0.5
STOPPED = "stopped"


def present_all(
    requests: Sequence[Request], ledger: Ledger, *, check: bool = False, tick: Optional[Tick] = None
) -> List[Union[Result, Problem]]:
    """Make all these files be there, one download after the other, since they share the line.

    What is complete stays, whatever becomes of the others, and those after a failed one are fetched all the same. A
    transfer that somebody stopped ends the whole.

    Returns:
        the result of each request, or why there is none.

    Raises:
        TransferError: before anything moves, when a file system has no room for all that is still to come, or two
            requests mean different files by one path.
    """
    check_room_together(requests, ledger)
    folders, stores = known_folders(ledger), known_stores(ledger)
    answers: List[Union[Result, Problem]] = []
    for request in requests:
        stopped = next((one for one in answers if getattr(one, "reason", "") == STOPPED), None)
        if stopped is not None:
            said = f"{request.shown_name} was not begun, since another transfer of this run was stopped."
            answers.append(TransferError(said, "Run again to fetch it.", reason=STOPPED))
            continue
        try:
            wide = replace(
                request,
                find_in=tuple(dict.fromkeys([*request.find_in, *folders])),
                ollama_stores=tuple(dict.fromkeys([*request.ollama_stores, *stores])),
            )
            answers.append(present(wide, ledger, check=check, tick=tick))
        except Problem as problem:
            answers.append(problem)
    return answers


def present(request: Request, ledger: Ledger, *, check: bool = False, tick: Optional[Tick] = None) -> Result:
    """Make the files be there, proved by their checksums; with ``check`` say what that would take."""
    done = already_there(request, ledger)
    if done is not None:
        return done
    known = known_files(request, ledger)
    if check and known is not None:
        return _linked(request, known)
    if check:
        by_lock = foretold_by_lock(request)
        if by_lock is not None:
            return by_lock
        work = prepare(request, lambda status: None)
        try:
            return foretold(work, ledger)
        finally:
            work.close()
    # Hours later would be a bad time to find that it cannot be written.
    ledger.prepare()
    while True:
        hold = _acquire_or_attach(request, ledger, tick)
        if isinstance(hold, Result):
            return hold
        try:
            # Somebody may have finished between the first look and the lock.
            done = already_there(request, ledger)
            if done is None and known is not None and link_files(known, ledger, lock=request.fingerprint):
                remove_leftovers(request)
                done = _linked(request, known)
            return done or _fetch_all(request, ledger, hold, tick)
        except Held:
            # This process stood still, and another host goes on with it: wait for that one.
            continue
        finally:
            hold.release()


def _linked(request: Request, known: Sequence[Known]) -> Result:
    return Result(
        changed=True,
        paths=request.paths,
        size_bytes=sum(file.entry.size_bytes for file in known),
        sha256={file.path: file.sha256 for file in known},
        actions=[f"linked {file.path} to {file.entry.path}, the same file on this host" for file in known],
    )


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
                shown.message = f"done by {held.holder}, with its settings"
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
            reason=STOPPED,
        ) from None
    except (TransferError, OSError) as error:
        known = error if isinstance(error, TransferError) else write_problem(request.places.journal, error)
        last.phase, last.message = "failed", str(known)
        with contextlib.suppress(OSError):
            status_file.write(last)
        raise known from error


def _fetch_once(request: Request, ledger: Ledger, tick: Tick) -> Result:
    began = time.monotonic()
    work = prepare(request, tick)
    try:
        result = _carry_out(work, ledger, tick)
    finally:
        work.close()
    result.seconds = time.monotonic() - began if result.changed else 0.0
    return result


def _carry_out(work: Work, ledger: Ledger, tick: Tick) -> Result:
    request = work.request
    if work.journal is None:
        # What another download, or another version of this one, left in the same places.
        remove_leftovers(request)
    if work.proved is not None:
        result = proved_result(work)
        for path, digest in result.sha256.items():
            ledger.record(path, sha256=digest, kind="file", lock=request.fingerprint)
        return result
    if work.copy is not None:
        return _copy(work, ledger, tick)
    outcome, sealed = _transfer(work, tick)
    result = _name(work, ledger, outcome, sealed)
    result.disk_bytes = work.needed_bytes
    return result


def _copy(work: Work, ledger: Ledger, tick: Tick) -> Result:
    """The merged file from its place elsewhere on this host, proved once more as it is copied."""
    copying = prepare(work.copied(), tick, look_for_files=False)
    try:
        result = _carry_out(copying, ledger, tick)
    finally:
        copying.close()
    ledger.record(
        work.request.dest, sha256=result.sha256[work.request.dest], kind="file", lock=work.request.fingerprint
    )
    result.file_sha256 = file_digests(work.plan, work.copy_digests)
    result.actions = [f"copied {name}" for name in work.moves()]
    return result


def _transfer(work: Work, tick: Tick) -> Tuple[Outcome, List[os.stat_result]]:
    """All bytes to their places, and what the files are then."""
    request, plan, fresh = work.request, work.plan, work.journal is None
    if work.journal is None:
        try:
            work.journal = Journal.create(
                request.places.journal, plan.files, plan.layout, plan.block_count, list(plan.headers)
            )
        except OSError as error:
            raise write_problem(request.places.journal, error) from error
    storage = Storage.open(plan, work.journal)
    try:
        if fresh:
            sync_directory(os.path.dirname(request.places.anchor))
            _place_headers(plan, storage, work.journal)
        transfer = Transfer(plan, storage, work.journal, work.sources, settings=request.settings, meter=work.meter)
        return transfer.run(tick), storage.seal()
    finally:
        storage.close()


def _place_headers(plan: Plan, storage: Storage, journal: Journal) -> None:
    """Blocks that the headers cover wholly are there already."""
    for file, raw in enumerate(plan.headers):
        for block in plan.blocks_of(file):
            _file, offset, length = plan.locate(block)
            if offset + length > len(raw):
                break
            storage.write(file, offset, memoryview(raw)[offset : offset + length])
            journal.note((block,), WRITTEN)


def _name(work: Work, ledger: Ledger, outcome: Outcome, sealed: Sequence[os.stat_result]) -> Result:
    """All is proved: the files get their names, the ledger learns of them, and the journal goes."""
    request, plan = work.request, work.plan
    work.close()
    digests: Dict[str, Optional[str]] = {}
    for index, output in enumerate(plan.outputs):
        try:
            with parent_of(output.path) as (directory, name):
                take_name(directory, os.path.basename(output.partial), name, sealed[index])
        except OSError as error:
            raise write_problem(output.path, error) from error
        digests[output.path] = digest_of(plan, index, outcome.digests)
    sync_directory(os.path.dirname(request.places.anchor))
    # Before the ledger: what a crash leaves here is a file to prove again, never a journal that nobody removes.
    remove_leftovers(request)
    rate = outcome.bytes_moved / outcome.seconds if outcome.bytes_moved and outcome.seconds else None
    for output, status in zip(plan.outputs, sealed):
        ledger.record(
            output.path,
            sha256=digests[output.path],
            kind="file",
            status=status,
            lock=request.fingerprint,
            bytes_per_second=rate,
            fetched_at=time.time(),
        )
    return Result(
        changed=True,
        paths=request.paths,
        size_bytes=work.size_bytes,
        sha256=digests,
        file_sha256=file_digests(plan, outcome.digests),
        bytes_moved=outcome.bytes_moved,
        sources=outcome.sources,
        actions=[f"fetched {shown_bytes(count)} from {name}" for name, count in outcome.sources.items()]
        + outcome.notes,
    )
