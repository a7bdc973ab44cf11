# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What changed between Ollama's versions, as far as its store, its API and its Modelfile are concerned.

Each rule names the upstream file that shows it, at the tag where it changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem


class Version(NamedTuple):
    """A release number; a suffix such as -rc2 counts as the release itself, which it introduces."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


OLDEST_TESTED = Version(0, 5, 7)
NEWEST_TESTED = Version(0, 33, 2)
# What a server that somebody built from source answers (version/version.go).
LOCALLY_BUILT = Version(0, 0, 0)

_VERSION = re.compile(r"^v?(\d+)\.(\d+)\.(\d+)(?:[-+][0-9A-Za-z.+-]*)?$")


def parse_version(text: str) -> Version:
    """`0.5.7`, `v0.33.0-rc2` … as numbers that compare."""
    match = _VERSION.match(str(text).strip())
    if match is None:
        raise OllamaProblem(
            f"'{text}' is not a version of Ollama.",
            "Give three numbers, as in 0.5.7 or 0.33.2.",
        )
    return Version(int(match.group(1)), int(match.group(2)), int(match.group(3)))


@dataclass(frozen=True)
class Span:
    """Versions from `since` up to and without `until`; None leaves a side open."""

    since: Optional[Version] = None
    until: Optional[Version] = None

    def __contains__(self, version: Version) -> bool:
        if self.since is not None and version < self.since:
            return False
        return self.until is None or version < self.until

    def __str__(self) -> str:
        if self.since is not None and self.until is not None:
            return f"from {self.since} to before {self.until}"
        if self.since is not None:
            return f"since {self.since}"
        if self.until is not None:
            return f"before {self.until}"
        return "in every version"


def span(since: str = "", until: str = "") -> Span:
    """`span("0.14.0")`: since then; `span(until="0.7.0")`: before then."""
    return Span(parse_version(since) if since else None, parse_version(until) if until else None)


@dataclass(frozen=True)
class Rules:
    """The answers for one version; made by `rules_for`."""

    version: Version
    # Inside the range that the contract suite covers: the store's format is known, `import: auto` means `store`.
    tested: bool
    # The config blob lists the layers under `rootfs` (types/model/config.go up to 0.32.6).
    config_has_rootfs: bool
    # The model layer of a manifest names the blob's path in `from` (server/create.go before 0.30 hands blob.Name()).
    model_layer_names_its_blob: bool
    # Without TEMPLATE a model gets the bare prompt, unless `create` knew the GGUF's chat_template for one of about
    # twenty (detectChatTemplate in server/model.go); from 0.30 the chat_template itself is used.
    needs_template: bool


def rules_for(version: Version) -> Rules:
    """The rules of `version`; a locally built server (0.0.0) is taken for the newest tested one."""
    known = NEWEST_TESTED if version == LOCALLY_BUILT else version
    return Rules(
        version=known,
        tested=known >= OLDEST_TESTED and known[:2] <= NEWEST_TESTED[:2],
        config_has_rootfs=known < Version(0, 32, 7),
        model_layer_names_its_blob=known < Version(0, 30, 0),
        needs_template=known < Version(0, 30, 0),
    )
