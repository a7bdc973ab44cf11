# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What is asked for: a hub, a repository and a quant in the words of an inventory, and the mistakes made there."""

from __future__ import annotations

import os
import re
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping, NoReturn, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import is_sha256
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control

HUBS = ("modelscope", "huggingface", "url", "path")

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*\Z", re.ASCII)
# https://modelscope.cnhttps//modelscope.cn/models/...: two links in one, as a template engine makes them.
_DOUBLED = re.compile(r"https?://[^/]*?(https?):?//+(.+)\Z")
# Links to a hub's pages: modelscope.cn/models/<repo>/..., huggingface.co/<repo>/...
_PAGE = re.compile(r"(?P<site>https?://[^/]+)(?P<models>/models)?/(?P<repo>[^/]+/[^/]+)(?P<rest>/.*)?\Z")
_FILE_PAGE = re.compile(r"/(?:blob|raw|file/view|resolve)/(?P<revision>[^/]+)/(?P<path>.+)\Z")


@dataclass(frozen=True)
class Request:
    """Where the files of one model come from. Checked on construction."""

    hub: str
    repo: Optional[str] = None
    revision: Optional[str] = None
    quant: Optional[str] = None
    pattern: Optional[str] = None
    urls: Tuple[str, ...] = ()
    path: Optional[str] = None
    endpoint: Optional[str] = None
    sha256: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for text in (self.repo, self.endpoint, *self.urls):
            _refuse_doubled(text)
        if self.endpoint is not None and not is_address(self.endpoint):
            raise HubProblem(
                f"The endpoint {without_credentials(self.endpoint)} is not an http or https address.",
                "Give it whole, as in https://modelscope.cn.",
            )
        if self.hub in ("modelscope", "huggingface"):
            _check_repo(self.hub, self.repo)
        if self.hub == "url":
            _check_urls(self.urls)
        if self.hub == "path" and not self.path:
            raise HubProblem("The hub path needs the option path.", "Give the folder that holds the shards.")
        if self.quant and self.pattern:
            raise HubProblem(
                f"Both the quant {self.quant} and the pattern {self.pattern} are given.", "Give one of the two."
            )
        for name, digest in self.sha256.items():
            if not is_sha256(digest):
                raise HubProblem(
                    f"The sha256 given for {name} is {digest!r}.", "A sha256 has 64 digits from 0 to 9 and a to f."
                )

    def digest_of(self, path: str) -> Optional[str]:
        """The checksum that was given for a file, by its path or by its name."""
        return self.sha256.get(path) or self.sha256.get(path.rpartition("/")[2])

    @property
    def shown(self) -> str:
        """The source in a few words, for messages."""
        where = self.repo or self.path or (without_credentials(self.urls[0]) if self.urls else "")
        return f"{where} at {self.revision}" if self.revision else where


def folder_of(request: Request) -> Path:
    """The folder of the hub path, whole."""
    return Path(os.path.abspath(os.path.expanduser(request.path or "")))


def is_address(url: object, schemes: Tuple[str, ...] = ("http", "https")) -> bool:
    """True for an address with one of the schemes, and with a host unless it is a file's."""
    if not isinstance(url, str) or has_control(url):
        return False
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname or parts.scheme == "file") and (parts.port or 1) > 0
    except ValueError:
        return False


def is_repo(name: object) -> bool:
    """True for owner/name, of letters, digits, dots, dashes and underscores."""
    return isinstance(name, str) and _REPO.match(name) is not None and ".." not in name


def without_credentials(url: str) -> str:
    """The URL without user and password, fit for messages and for the lock."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "(not an address)"
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _refuse_doubled(text: Optional[str]) -> None:
    match = _DOUBLED.match(text or "")
    if match is not None:
        raise HubProblem(
            f"The link {without_credentials(text or '')} holds two links, one in the other.",
            f"Use {match.group(1)}://{match.group(2)}",
        )


def _check_repo(hub: str, repo: Optional[str]) -> None:
    if not repo:
        raise HubProblem(f"The hub {hub} needs the option repo.", "Give it as owner/name.")
    if "://" in repo:
        _refuse_link(repo)
    if not is_repo(repo):
        raise HubProblem(
            f"{repo!r} is not the name of a repository.", "Give it as owner/name, as in unsloth/DeepSeek-R1-GGUF."
        )


def _refuse_link(link: str) -> NoReturn:
    page = _PAGE.match(without_credentials(link))
    if page is None:
        raise HubProblem(f"repo is the link {without_credentials(link)}.", "Give the repository as owner/name.")
    remedy = f"Write repo: {page.group('repo')}"
    file = _FILE_PAGE.match(page.group("rest") or "")
    if file is not None:
        remedy += f", revision: {file.group('revision')} and pattern: {file.group('path')}"
    raise HubProblem(f"repo is the link {without_credentials(link)}.", remedy + ".")


def _check_urls(urls: Tuple[str, ...]) -> None:
    if not urls:
        raise HubProblem("The hub url needs the option urls.", "Give the address of each shard, or of the first one.")
    for url in urls:
        if not is_address(url):
            raise HubProblem(
                f"{without_credentials(url)} is not an http or https address.",
                "Give a whole link, with scheme and host.",
            )
        for page, file in (("/blob/", "/resolve/"), ("/file/view/", "/resolve/")):
            if page in urllib.parse.urlsplit(url).path:
                raise HubProblem(
                    f"{without_credentials(url)} is a page about the file, not the file.",
                    f"Use {without_credentials(url).replace(page, file, 1)}",
                )
