# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From requests to their locks: ask the hubs, choose the files, read their headers."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import GgufError
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.info import describe
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._http.client import HttpClient
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import hub_secrets
from ansible_collections.gguf.fleet.plugins.module_utils._lock import huggingface, modelscope, path, url
from ansible_collections.gguf.fleet.plugins.module_utils._lock.headers import Shard, read_shard
from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import ListedFile, Listing
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import LOCK_VERSION
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import CHECK_THE_WAY, HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request, without_credentials
from ansible_collections.gguf.fleet.plugins.module_utils._lock.selection import select

# Thousands of files take a hub some seconds.
LISTING_SECONDS = 300.0

HUBS: Mapping[str, Callable[[Request, Optional[str]], Listing]] = {
    "modelscope": modelscope.list_repository,
    "huggingface": huggingface.list_repository,
    "url": url.list_repository,
    "path": path.list_repository,
}


_Listings = Dict[Tuple[Any, ...], Union[Listing, HubProblem]]
# Of small reads: more only make a hub say that it is busy.
_READERS = 8


@dataclass(frozen=True)
class _Chosen:
    """What a request means at its hub."""

    request: Request
    token: Optional[str]
    listing: Listing
    quant: str
    files: Tuple[ListedFile, ...]

    def read(self, file: ListedFile, ca_file: Optional[str]) -> Union[Shard, HubProblem]:
        """One of its files, by connections of its own."""
        told = hub_secrets({"hub": self.listing.hub, "endpoint": self.listing.endpoint}, self.token)
        client = HttpClient(secrets=told, ca_file=ca_file)
        try:
            return read_shard(_with_given_digest(file, self.request), client)
        except HubProblem as problem:
            return problem
        finally:
            client.close()


def resolve(request: Request, *, token: Optional[str] = None, ca_file: Optional[str] = None) -> Dict[str, Any]:
    """The lock of what is asked for. Reads the hub's listing and a few MiB of headers, writes nothing."""
    found = resolve_all([(request, token)], ca_file=ca_file)[0]
    if isinstance(found, HubProblem):
        raise found
    return found


def resolve_all(
    asked: Sequence[Tuple[Request, Optional[str]]], *, ca_file: Optional[str] = None
) -> List[Union[Dict[str, Any], HubProblem]]:
    """The lock of each request with its token, or why there is none.

    A repository is listed once, however many of its quants are asked for, and one after the other, since the SDKs keep
    what they do in global places. The headers of all files are read side by side.
    """
    listings: _Listings = {}
    found = [_choose(request, token, listings) for request, token in asked]
    sets = [one for one in found if isinstance(one, _Chosen)]
    with ThreadPoolExecutor(_READERS) as readers:
        reading = [[readers.submit(one.read, file, ca_file) for file in one.files] for one in sets]
        locks = iter([_made(one, [each.result() for each in files]) for one, files in zip(sets, reading)])
    return [next(locks) if isinstance(one, _Chosen) else one for one in found]


def _choose(request: Request, token: Optional[str], listings: _Listings) -> Union[_Chosen, HubProblem]:
    place = (request.hub, request.repo, request.revision, request.endpoint, request.urls, request.path, token)
    try:
        if place not in listings:
            listings[place] = _listing(request, token, LISTING_SECONDS)
        listing = listings[place]
        if isinstance(listing, HubProblem):
            return listing
        chosen = select(listing.files, quant=request.quant, pattern=request.pattern, where=request.shown)
    except HubProblem as problem:
        listings.setdefault(place, problem)
        return problem
    return _Chosen(request, token, listing, chosen.quant, tuple(chosen.files))


def _made(chosen: _Chosen, read: Sequence[Union[Shard, HubProblem]]) -> Union[Dict[str, Any], HubProblem]:
    shards = [one for one in read if isinstance(one, Shard)]
    try:
        if len(shards) < len(read):
            return next(one for one in read if isinstance(one, HubProblem))
        return make_lock(chosen.listing, chosen.quant, shards)
    except HubProblem as problem:
        return problem


def _listing(request: Request, token: Optional[str], seconds: float) -> Listing:
    """The hub's listing, in time: the SDKs wait for ever for an answer that comes byte by byte."""
    outcome: List[Union[Listing, BaseException]] = []

    def ask() -> None:
        try:
            outcome.append(HUBS[request.hub](request, token))
        except BaseException as error:  # pylint: disable=broad-except
            outcome.append(error)

    # The SDKs print, also while they are imported: a module's output has to stay clean.
    with contextlib.redirect_stdout(sys.stderr):
        thread = threading.Thread(target=ask, name="listing", daemon=True)
        thread.start()
        thread.join(seconds)
    found = outcome[0] if outcome else None
    if isinstance(found, Listing):
        return found
    if found is None:
        raise HubProblem(f"The listing of {request.shown} did not come within {seconds:g} s.", CHECK_THE_WAY)
    if isinstance(found, HubProblem) or not isinstance(found, Exception):
        raise found  # pylint: disable=raising-bad-type
    # What an SDK makes of an answer that its authors did not think of.
    raise HubProblem(
        f"The listing of {request.shown} cannot be read ({type(found).__name__}: {str(found)[:300]}).", CHECK_THE_WAY
    ) from found


def _with_given_digest(file: ListedFile, request: Request) -> ListedFile:
    given = request.digest_of(file.path)
    if given is None:
        return file
    if file.sha256 not in (None, given):
        raise HubProblem(
            f"The sha256 given for {file.path} is {given}; the hub lists {file.sha256}.",
            "Find out which of the two is right before any host gets this file.",
        )
    return replace(file, sha256=given)


def make_lock(listing: Listing, quant: str, shards: Sequence[Shard]) -> Dict[str, Any]:
    """The lock of these shards, given in their order."""
    headers = [shard.header for shard in shards]
    try:
        facts = describe(headers)
        if len(shards) > 1:
            layout = merge_layout(headers)
            merged: Dict[str, Any] = {"size_bytes": layout.size_bytes, "sha256": None}
        else:
            merged = {"size_bytes": shards[0].size_bytes, "sha256": shards[0].file.sha256}
            if not facts["complete"]:
                raise GgufError(
                    f"{shards[0].file.path} is one of {facts['split']['count']} shards.",
                    "Ask for the whole set, by a quant or a pattern.",
                )
    except GgufError as error:
        raise HubProblem(f"The set of {shards[0].file.path}: {error.problem}", error.remedy) from error
    return {
        "lock_version": LOCK_VERSION,
        "hub": listing.hub,
        "endpoint": listing.endpoint and without_credentials(listing.endpoint),
        "repo": listing.repo,
        "revision": listing.revision,
        "commit": listing.commit,
        "quant": quant,
        "files": [
            {
                "path": shard.file.path,
                "size_bytes": shard.size_bytes,
                "sha256": shard.file.sha256,
                "url": without_credentials(shard.file.url),
                "header_bytes": shard.header.header_bytes,
                "header_sha256": hashlib.sha256(shard.header.raw).hexdigest(),
            }
            for shard in shards
        ],
        "gguf": facts,
        "merged": merged,
    }
