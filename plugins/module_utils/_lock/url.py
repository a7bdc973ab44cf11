# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Plain addresses of files: each shard's, or the first one's, whose name tells the others."""

from __future__ import annotations

import re
import urllib.parse
from typing import List, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.shard_names import shard_name_of
from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import Listing, listed_file, refuse_duplicates
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request, without_credentials

# .../resolve/<revision>/<path>, as ModelScope, Hugging Face and their mirrors link to files.
_RESOLVE = re.compile(r"/resolve/[^/]+/(.+)\Z")
MAX_SHARDS = 1000


def list_repository(request: Request, token: Optional[str]) -> Listing:
    """The files that the addresses name. Sizes, and digests where the server tells them, come with the headers."""
    files = [listed_file(path_of(url), None, None, url, where="the urls") for url in whole_set(request.urls)]
    first = urllib.parse.urlsplit(files[0].url)
    return Listing(
        hub="url",
        endpoint=f"{first.scheme}://{first.netloc}",
        repo=None,
        revision=None,
        commit=None,
        files=refuse_duplicates(files, where="the urls"),
    )


def whole_set(urls: Sequence[str]) -> List[str]:
    """The addresses of all shards when only one is given; the addresses as they are otherwise."""
    if len(urls) != 1:
        return list(urls)
    parts = urllib.parse.urlsplit(urls[0])
    shard = shard_name_of(parts.path)
    if shard is None:
        return list(urls)
    if not 0 < shard.count <= MAX_SHARDS:
        raise HubProblem(
            f"{without_credentials(urls[0])} would be one of {shard.count} shards.", "Look at the address again."
        )
    return [urllib.parse.urlunsplit(parts._replace(path=path)) for path in shard.paths]


def path_of(url: str) -> str:
    """The file's path in its repository where the address tells it, else its name."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    resolve = _RESOLVE.search(path)
    if resolve is not None:
        return resolve.group(1)
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    return query.get("FilePath", [path.rpartition("/")[2]])[0]
