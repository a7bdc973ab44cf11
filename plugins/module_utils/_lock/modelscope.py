# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Repositories on ModelScope, listed by its own SDK (the package modelscope, 1.38 or newer, on the controller only)."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from typing import Any, Dict, Iterator, List, NoReturn, Optional, Type

from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import origin_of
from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import Listing, listed_file, refuse_duplicates
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import CHECK_THE_WAY, HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request, without_credentials

DEFAULT_REVISION = "master"
HubErrors = Type[Exception]


def list_repository(request: Request, token: Optional[str]) -> Listing:
    """The files of the repository at the revision, pinned to the commit that last changed one of them."""
    try:
        from modelscope_hub import HubApi, get_default_config
        from modelscope_hub.errors import HubError, NotExistError
    except ImportError as error:
        raise HubProblem(
            f"{sys.executable} has no usable package modelscope ({error}).",
            "Install it beside ansible-core: python -m pip install 'modelscope>=1.38'.",
        ) from error
    logging.getLogger("modelscope_hub").setLevel(logging.CRITICAL)
    endpoint = request.endpoint or get_default_config().endpoint
    api = HubApi(endpoint=endpoint, token=token)
    revision = request.revision or DEFAULT_REVISION
    with _secrets_stay_at(endpoint):
        try:
            entries = _files(api, request, revision)
            commit = _newest_commit(entries)
            if commit is not None and not _same_at(api, request, commit, entries, HubError):
                commit = None
        except NotExistError:
            _refuse_missing(api, request, revision, endpoint, HubError)
        except HubError as error:
            raise _problem(error, endpoint) from error
    where = f"{request.repo} on ModelScope"
    files = [
        listed_file(
            entry.get("Path"),
            entry.get("Size"),
            entry.get("Sha256"),
            api.legacy.get_download_url(request.repo, "model", str(entry.get("Path")), commit or revision),
            where=where,
        )
        for entry in entries
    ]
    return Listing(
        hub="modelscope",
        endpoint=endpoint.rstrip("/"),
        repo=request.repo,
        revision=revision,
        commit=commit,
        files=refuse_duplicates(files, where=where),
    )


@contextlib.contextmanager
def _secrets_stay_at(endpoint: str) -> Iterator[None]:
    """The SDK's cookie is for a host name: a redirect to another port, or from https to http, would take it along."""
    import requests

    home, rebuild = origin_of(endpoint), requests.Session.rebuild_auth

    def rebuild_auth(session: Any, prepared: Any, response: Any) -> None:
        rebuild(session, prepared, response)
        if origin_of(prepared.url) != home:
            prepared.headers.pop("Authorization", None)
            prepared.headers.pop("Cookie", None)

    requests.Session.rebuild_auth = rebuild_auth  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        requests.Session.rebuild_auth = rebuild  # type: ignore[method-assign]


def _files(api: Any, request: Request, revision: str) -> List[Dict[str, Any]]:
    # The SDK's own listing without its last step, which drops the commits.
    entries = api.legacy.list_repo_files(request.repo, "model", revision=revision, recursive=True)
    return [entry for entry in entries if entry.get("Type") != "tree"]


def _newest_commit(entries: List[Dict[str, Any]]) -> Optional[str]:
    """The commit of the file that was changed last: the tree of that commit holds all of them."""
    dated = [(entry.get("CommittedDate") or 0, entry.get("Revision") or "") for entry in entries]
    newest = max(dated, default=(0, ""))[1]
    return newest if isinstance(newest, str) and len(newest) == 40 else None


def _same_at(api: Any, request: Request, commit: str, entries: List[Dict[str, Any]], hub_error: HubErrors) -> bool:
    """Whether the hub really serves this commit, with the very files of the listing."""

    def told(files: List[Dict[str, Any]]) -> List[Any]:
        return sorted((str(file.get("Path")), str(file.get("Size")), str(file.get("Sha256"))) for file in files)

    try:
        return told(_files(api, request, commit)) == told(entries)
    except hub_error:
        return False


def _refuse_missing(api: Any, request: Request, revision: str, endpoint: str, hub_error: HubErrors) -> NoReturn:
    """Tell a missing revision from a missing repository."""
    try:
        known = [str(entry.get("Revision")) for entry in api.legacy.list_revisions(request.repo, "model")]
    except hub_error:
        known = []
    if known:
        raise HubProblem(
            f"{request.repo} on ModelScope has no revision {revision}.", f"It has: {', '.join(sorted(known)[:20])}."
        )
    raise HubProblem(
        f"{without_credentials(endpoint)} has no repository {request.repo}, or does not show it to this token.",
        "Look at owner and name on the hub's page; a private repository needs a token.",
    )


def _problem(error: Exception, endpoint: str) -> HubProblem:
    shown = without_credentials(endpoint)
    status = getattr(error, "status_code", None)
    said = str(getattr(error, "message", "") or error)
    if status in (401, 403):
        return HubProblem(f"{shown} refuses: {said} (status {status}).", "Give a token that may read this repository.")
    if status is not None:
        return HubProblem(f"{shown} answered with status {status}: {said}.", "Try later, or name another endpoint.")
    return HubProblem(
        f"{shown} cannot be reached: {_innermost(said)}.",
        CHECK_THE_WAY,
    )


def _innermost(said: str) -> str:
    """The last cause of an error that urllib3 wrapped in others, without their brackets."""
    return re.sub(r"['\"]\)+\Z", "", said.rpartition(": ")[2] or said)
