# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Repositories on Hugging Face and its mirrors (HF_ENDPOINT), listed by the optional package huggingface_hub."""

from __future__ import annotations

import sys
from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import Listing, listed_file, refuse_duplicates
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import CHECK_THE_WAY, HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request, without_credentials

DEFAULT_REVISION = "main"


def list_repository(request: Request, token: Optional[str]) -> Listing:
    """The files of the repository at the commit that the revision names now."""
    try:
        from huggingface_hub import HfApi, hf_hub_url
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise HubProblem(
            f"{sys.executable} has no usable package huggingface_hub ({error}).",
            "Install it beside ansible-core: python -m pip install huggingface_hub.",
        ) from error
    api = HfApi(endpoint=request.endpoint, token=token)
    revision = request.revision or DEFAULT_REVISION
    try:
        commit = api.model_info(request.repo or "", revision=revision).sha
        tree = list(api.list_repo_tree(request.repo or "", recursive=True, revision=commit))
    # Connections fail with the errors of the transport library, which changes with the SDK's version: its common base.
    except (OSError, *HfHubHTTPError.__bases__) as error:
        raise _problem(error, request, revision, api.endpoint) from error
    where = f"{request.repo} on Hugging Face"
    files = [
        listed_file(
            entry.path,
            entry.size,
            _sha256(entry),
            hf_hub_url(request.repo or "", entry.path, revision=commit, endpoint=api.endpoint),
            where=where,
        )
        for entry in tree
        if hasattr(entry, "size")
    ]
    return Listing(
        hub="huggingface",
        endpoint=api.endpoint.rstrip("/"),
        repo=request.repo,
        revision=revision,
        commit=commit,
        files=refuse_duplicates(files, where=where),
    )


def _sha256(entry: Any) -> Optional[str]:
    """Only files in LFS have one; the others' object ids are git's."""
    return str(entry.lfs.sha256) if getattr(entry, "lfs", None) else None


def _problem(error: Exception, request: Request, revision: str, endpoint: str) -> HubProblem:
    kind, shown = type(error).__name__, without_credentials(endpoint)
    if kind == "GatedRepoError":
        return HubProblem(
            f"{request.repo} on {shown} is gated.",
            "Accept its licence on the hub's page and give a token of that account.",
        )
    if kind == "RepositoryNotFoundError":
        return HubProblem(
            f"{shown} has no repository {request.repo}, or does not show it to this token.",
            "Look at owner and name on the hub's page; a private repository needs a token.",
        )
    if kind == "RevisionNotFoundError":
        return HubProblem(
            f"{request.repo} on {shown} has no revision {revision}.", "Look at the branches and tags on the hub's page."
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return HubProblem(f"{shown} refuses with status {status}.", "Give a token that may read this repository.")
    if status is not None:
        return HubProblem(f"{shown} answered with status {status}.", "Try later, or name another endpoint.")
    return HubProblem(
        f"{shown} cannot be reached: {error}.",
        CHECK_THE_WAY,
    )
