# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Whether something vouches for the archives of the engines, found out before any host is touched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._install import checksums, resolve
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

# Of hosts that nobody has asked yet.
ARCHITECTURES = ("amd64", "arm64")
_AT_ONCE = 8


@dataclass(frozen=True)
class Release:
    """A release that a host needs. architecture: of the host, empty where it is not known."""

    host: str
    wanted: resolve.Wanted
    architecture: str = ""


@dataclass(frozen=True)
class _Lacking:
    """A release for which nothing here vouches. assets: each set of archives that the host may need."""

    release: Release
    assets: Sequence[Sequence[str]]
    known: Dict[str, str]

    def unknown(self, told: Dict[str, str]) -> Tuple[str, ...]:
        """The archives without a checksum; none where one of the sets has all of its own."""
        lacking = [[name for name in each if name not in self.known and name not in told] for each in self.assets]
        return () if not all(lacking) else tuple(dict.fromkeys(name for each in lacking for name in each))


def problems(releases: Iterable[Release]) -> List[str]:
    """A sentence for each release without a checksum, with its hosts and what to do; each list is asked for once.

    Of a host whose architecture is not known, the archives of one architecture are enough.
    """
    hosts: Dict[str, List[str]] = {}
    lacking: List[_Lacking] = []
    for release in releases:
        if release.wanted.allow_unverified:
            continue
        try:
            assets = _assets(release)
            text = checksums.read_pins(release.wanted.pins) if release.wanted.pins else ""
        except (InstallProblem, OSError) as error:
            hosts.setdefault(str(error), []).append(release.host)
            continue
        known: Dict[str, str] = {}
        for first, *_more in assets:
            known.update(resolve.known_checksums(release.wanted, first, text))
        one = _Lacking(release, assets, known)
        if one.unknown({}):
            lacking.append(one)
    told = _published(dict.fromkeys(resolve.checksum_list(one.release.wanted) for one in lacking))
    for one in lacking:
        published, why = told[resolve.checksum_list(one.release.wanted)]
        unknown = one.unknown(published)
        if unknown:
            problem = resolve.unknown_checksums(one.release.wanted, ", ".join(unknown), why)
            hosts.setdefault(str(problem), []).append(one.release.host)
    return [f"{', '.join(names)}: {text}" for text, names in hosts.items()]


def _published(urls: Iterable[str]) -> Dict[str, Tuple[Dict[str, str], str]]:
    """Of each list, all asked for at once."""
    asked = list(urls)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(asked, pool.map(resolve.published_checksums, asked)))


def _assets(release: Release) -> List[List[str]]:
    found: List[List[str]] = []
    refused: Optional[InstallProblem] = None
    for architecture in [release.architecture] if release.architecture else ARCHITECTURES:
        try:
            found += resolve.possible_assets(release.wanted, architecture)
        except InstallProblem as problem:
            refused = refused or problem
    if not found and refused is not None:
        raise refused
    return found
