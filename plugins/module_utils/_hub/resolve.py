# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From a request to its lock: ask the hub, choose the files, read their headers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Dict, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._hub import huggingface, modelscope, path, url
from ansible_collections.gguf.fleet.plugins.module_utils._hub.headers import read_shard
from ansible_collections.gguf.fleet.plugins.module_utils._hub.listing import ListedFile, Listing
from ansible_collections.gguf.fleet.plugins.module_utils._hub.lock import make_lock
from ansible_collections.gguf.fleet.plugins.module_utils._hub.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._hub.request import Request
from ansible_collections.gguf.fleet.plugins.module_utils._hub.selection import select
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.http import HttpClient

HUBS: Mapping[str, Callable[[Request, Optional[str]], Listing]] = {
    "modelscope": modelscope.list_repository,
    "huggingface": huggingface.list_repository,
    "url": url.list_repository,
    "path": path.list_repository,
}


def resolve(request: Request, *, token: Optional[str] = None, ca_file: Optional[str] = None) -> Dict[str, Any]:
    """The lock of what is asked for. Reads the hub's listing and a few MiB of headers, writes nothing."""
    listing = HUBS[request.hub](request, token)
    chosen = select(listing.files, quant=request.quant, pattern=request.pattern, where=request.shown)
    client = HttpClient(token=token, ca_file=ca_file)
    try:
        shards = [read_shard(_with_given_sum(file, request), client) for file in chosen.files]
    finally:
        client.close()
    return make_lock(listing, chosen.quant, shards)


def _with_given_sum(file: ListedFile, request: Request) -> ListedFile:
    given = request.sum_of(file.path)
    if given is None:
        return file
    if file.sha256 not in (None, given):
        raise HubProblem(
            f"The sha256 given for {file.path} is {given}; the hub lists {file.sha256}.",
            "Find out which of the two is right before any host gets this file.",
        )
    return replace(file, sha256=given)
