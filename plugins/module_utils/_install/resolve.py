# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From the wanted version of an engine to the archives that a host installs, each with its checksum.

Everything here happens on the controller. A plan is made first; it is what a run with --check tells.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import shown
from ansible_collections.gguf.fleet.plugins.module_utils._install import brought, checksums
from ansible_collections.gguf.fleet.plugins.module_utils._install.assets import (
    FILE_SCHEME,
    filled,
    ollama_assets,
    place,
)
from ansible_collections.gguf.fleet.plugins.module_utils._install.engines import ENGINES
from ansible_collections.gguf.fleet.plugins.module_utils._install.llama_assets import (
    AUTO,
    Machine,
    archives_of_build,
    llama_cpp_assets,
)
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

# Nobody but root enters it.
HOST_FOLDER = "/var/lib/gguf-fleet/archives"
OFFICIAL = {"ollama": "https://github.com/ollama/ollama/releases/download/v{version}/{asset}"}
CHECKSUM_LIST = "sha256sum.txt"
_REMEDIES = {
    "ollama": "Give it in ollama_archive_sha256 or ollama_checksums; a mirror's own checksums count with "
    "ollama_trust_mirror_checksums: true, and nothing is checked with ollama_allow_unverified: true. "
    "Nothing was installed.",
    "llama_cpp": "Give it in llama_cpp_checksums; nothing is checked with llama_cpp_allow_unverified: true. "
    "Nothing was installed.",
}


@dataclass(frozen=True)
class Host:
    """What the host is: `architecture` as archives name it, whether it reads `.tar.zst`, the versions that it has.

    releases: C(version) and C(sha256) (a list) of each. glibc and driver (NVIDIA's): empty for none. nvidia, amd: how
    many cards there are.
    """

    architecture: str
    zstd: bool
    releases: Sequence[Mapping[str, Any]]
    glibc: str = ""
    nvidia: int = 0
    driver: str = ""
    amd: int = 0


def host_of(told: Mapping[str, Any]) -> Host:
    """From the result of engine_info. Raises InstallProblem where it says too little."""
    try:
        return Host(
            str(told["architecture"]),
            bool(told["zstd"]),
            tuple(told["releases"]),
            str(told.get("glibc", "")),
            int(told.get("nvidia", 0)),
            str(told.get("nvidia_driver", "")),
            int(told.get("amd", 0)),
        )
    except KeyError as error:
        raise InstallProblem(f"host does not say its {error.args[0]}.", "Give the result of engine_info.") from None


@dataclass(frozen=True)
class Wanted:
    """The release that is wanted.

    assets: the archives' names, none or `auto` for the engine's own. uses: what llama.cpp is going to do on the host;
    where it serves nothing, the archive without GPUs is enough. source_url: a template with {version} and
    {asset}. archive: a file of the controller, host_archive: a file of the host, in the place of the first asset, or
    with {asset} of all. checksums: by asset; sha256: of the first one. pins: the file in which official checksums are
    pinned, empty for none. cache: directory of the controller for repacked archives, empty to repack none.
    """

    engine: str
    version: str
    source_url: str
    addons: Tuple[str, ...] = ()
    assets: Tuple[str, ...] = ()
    uses: Tuple[str, ...] = ()
    archive: str = ""
    host_archive: str = ""
    sha256: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    pins: str = ""
    trust_mirror: bool = False
    allow_unverified: bool = False
    cache: str = ""


@dataclass(frozen=True)
class Plan:
    """The archives, as engine_release takes them, and what is to be done on the controller before."""

    version: str
    archives: Tuple[Mapping[str, str], ...]
    files: Tuple[brought.Brought, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    before: str = ""
    after: str = ""

    @property
    def actions(self) -> List[str]:
        """In words."""
        return [
            *(f"pin {name}: the release publishes its checksum" for name in self.pins),
            *(f"repack {file.src}: the host cannot read .tar.zst" for file in self.files if file.make),
        ]


def plan(wanted: Wanted, host: Host) -> Plan:
    """Ask for what is not known, and say what is to be done. Nothing is written. Raises InstallProblem."""
    assets = _assets(wanted, host)
    text = checksums.read_pins(wanted.pins) if wanted.pins else ""
    known = known_checksums(wanted, assets[0], text)
    there = any(release["version"] == wanted.version and release["sha256"] for release in host.releases)
    new = {} if there or wanted.allow_unverified else _missing(wanted, assets, known)
    known.update(new)
    archives: List[Mapping[str, str]] = []
    files: List[brought.Brought] = []
    for index, asset in enumerate(assets):
        given = _of_all_or_first(wanted.host_archive, index)
        digest = {"sha256": known[asset]} if asset in known else {}
        if given:
            archives.append({"src": filled(given, wanted.version, asset), **digest})
            continue
        file = None if there else _brought(wanted, host, asset, index, known.get(asset))
        if file is None:
            archives.append({"asset": asset, **digest})
        else:
            archives.append(file.archive)
            files.append(file)
    pins = {} if wanted.trust_mirror or not wanted.pins else new
    after = checksums.with_pins(text, wanted.version, pins)
    return Plan(wanted.version, tuple(archives), tuple(files), pins, text, after)


def _assets(wanted: Wanted, host: Host) -> List[str]:
    if wanted.assets not in ((), (AUTO,)):
        return list(wanted.assets)
    if wanted.engine == "ollama":
        return ollama_assets(wanted.version, host.architecture, wanted.addons)
    gpu = "cpu"
    if wanted.uses:
        gpu = "cuda" if host.nvidia else "vulkan" if host.amd else "cpu"
    machine = Machine(host.architecture, host.glibc, gpu, host.driver if gpu == "cuda" else "")
    return llama_cpp_assets(wanted.version, machine)


def apply(planned: Plan, pins_file: str) -> Plan:
    """Do it; the plan with the checksums of what was repacked. Raises InstallProblem."""
    if planned.pins:
        checksums.pin(pins_file, planned.version, planned.pins)
    made = {file.archive["src"]: file.make() for file in planned.files if file.make}
    archives = tuple(made.get(archive.get("src", ""), archive) for archive in planned.archives)
    return replace(planned, archives=archives)


def _missing(wanted: Wanted, assets: Sequence[str], known: Mapping[str, str]) -> Dict[str, str]:
    """What a release publishes of the archives of which no checksum is known."""
    unknown = [asset for asset in assets if asset not in known]
    if not unknown:
        return {}
    told, why = published_checksums(checksum_list(wanted))
    left = [asset for asset in unknown if asset not in told]
    if left:
        raise unknown_checksums(wanted, ", ".join(left), why)
    return {asset: told[asset] for asset in unknown}


def known_checksums(wanted: Wanted, first: str, pins: str) -> Dict[str, str]:
    """By asset: those in the text of the pins, and over them those that were given.

    first: the name of the release's own archive.
    """
    own = {first: wanted.sha256} if wanted.sha256 else {}
    return {**checksums.pinned(pins, wanted.version), **wanted.checksums, **own}


def published_checksums(url: str) -> Tuple[Dict[str, str], str]:
    """What the list at this URL has, by asset; and why an asset is not in it. Nothing where there is no list."""
    if not url:
        return {}, ""
    told, why = ({}, f"{shown(url)} is on the host.") if url.startswith(FILE_SCHEME) else checksums.published(url)
    return told, why or f"{shown(url)} does not name it."


def checksum_list(wanted: Wanted) -> str:
    """The URL of the list that counts: the release's, or that of a mirror which is trusted; empty for none."""
    template = wanted.source_url if wanted.trust_mirror else OFFICIAL.get(wanted.engine, "")
    return filled(template, wanted.version, CHECKSUM_LIST)


def unknown_checksums(wanted: Wanted, assets: str, why: str) -> InstallProblem:
    """That nothing vouches for these."""
    title = ENGINES[wanted.engine].title
    reason = f" ({why})" if why else ""
    return InstallProblem(
        f"no sha256 is known for {assets} of {title} {wanted.version}{reason}.", _REMEDIES[wanted.engine]
    )


def possible_assets(wanted: Wanted, architecture: str) -> List[List[str]]:
    """Each set of archives that a host of this architecture may need, whatever else it is like.

    Raises InstallProblem where there is none.
    """
    if wanted.assets not in ((), (AUTO,)):
        return [list(wanted.assets)]
    if wanted.engine == "ollama":
        return [ollama_assets(wanted.version, architecture, wanted.addons)]
    return archives_of_build(wanted.version, architecture)


def _brought(wanted: Wanted, host: Host, asset: str, index: int, digest: Optional[str]) -> Optional[brought.Brought]:
    """The file to copy, where the host does not fetch the archive by itself."""
    repacked = wanted.cache if asset.endswith(".tar.zst") and not host.zstd else ""
    given = _of_all_or_first(wanted.archive, index)
    if given:
        return brought.from_file(filled(given, wanted.version, asset), digest, HOST_FOLDER, repacked)
    where = place(wanted.source_url, wanted.version, asset)
    return brought.from_url(where["url"], digest, HOST_FOLDER, repacked) if repacked and "url" in where else None


def _of_all_or_first(template: str, index: int) -> str:
    return template if index == 0 or "{asset}" in template else ""


def default_cache(environment: Mapping[str, str]) -> str:
    """Directory of the controller in which repacked archives are kept, under their checksums."""
    base = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME") or "/", ".cache")
    return os.path.join(environment.get("GGUF_FLEET_CACHE") or os.path.join(base, "gguf-fleet"), "releases")
