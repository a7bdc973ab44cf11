# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""From a pinned source to the release that a host installs: who builds it, and where it is kept meanwhile.

Everything here happens on the controller. It keeps the sources and what was built of them; hosts of one kind get the
same build. A plan is made first; it is what a run with --check tells.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._build import git, pins, recipe
from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import open_regular
from ansible_collections.gguf.fleet.plugins.module_utils._files.streaming import write_stream
from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import shown
from ansible_collections.gguf.fleet.plugins.module_utils._install import fetch
from ansible_collections.gguf.fleet.plugins.module_utils._install.checksums import SHA256
from ansible_collections.gguf.fleet.plugins.module_utils._install.resolve import HOST_FOLDER

# On the host, closed to all but root: what it builds, until the controller has it.
BUILT_FOLDER = "/var/lib/gguf-fleet/builds"
SOURCE_FOLDER = "/var/lib/gguf-fleet/sources"
_MAX_SOURCE_BYTES = 2 << 30


@dataclass(frozen=True)
class Wanted:
    """The build that a host wants.

    version: the tag. name: what the build is called on the host. url: of the git repository; archive: a file of the
    controller or a URL, with its sha256, instead. number: the build number where the tag does not tell it. pins: file
    of the controller. cache: its directory for sources and builds.
    """

    version: str
    name: str
    url: str
    pins: str
    cache: str
    archive: str = ""
    sha256: str = ""
    number: int = 0
    targets: Tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    native: bool = True


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    builder: the host that builds, empty where nothing is to be built. lacks: tools that this host needs for it first.
    """

    digest: str
    kind: recipe.Kind
    settings: recipe.Settings
    there: bool
    kept: str
    builder: str = ""
    lacks: Tuple[str, ...] = ()
    pin: Optional[pins.Pin] = None
    before: str = ""
    after: str = ""

    @property
    def archive(self) -> Dict[str, str]:
        """As engine_release takes it. It is known by what it was built from."""
        return {"src": os.path.join(HOST_FOLDER, f"{self.digest}.tar.gz"), "origin_sha256": self.digest}

    @property
    def files(self) -> List[Dict[str, str]]:
        """What is copied to the host, once it was built."""
        return [] if self.there else [{"src": self.kept, "dest": self.archive["src"]}]


def plan(wanted: Wanted, name: str, hosts: Mapping[str, Mapping[str, Any]]) -> Plan:
    """Look, and change nothing. Raises a Problem.

    name: of this host. hosts: what engine_info told of it and of the others that are in the run, in their order.
    """
    pin, new, text = _pin(wanted)
    number = pin.number if pin else recipe.number_of(wanted.version, wanted.number)
    commit = pin.commit if pin else wanted.sha256
    settings = recipe.Settings(wanted.name, number, commit, wanted.targets, wanted.options, wanted.native)
    kind = recipe.kind_of(hosts[name], wanted.native, wanted.options)
    digest = recipe.digest(settings, kind)
    kept = os.path.join(wanted.cache, "builds", f"{digest}.tar.gz")
    there = _has(hosts[name], wanted.name, digest)
    builder = "" if there or os.path.isfile(kept) else _builder(wanted, kind, digest, name, hosts)
    lacks: Tuple[str, ...] = ()
    if builder == name:
        _check_archive(wanted)
        lacks = tuple(hosts[name]["build"]["lacks"])
    after = pins.with_pin(text, pin) if new and pin else text
    return Plan(digest, kind, settings, there, kept, builder, lacks, pin if new else None, text, after)


def apply(wanted: Wanted, planned: Plan, name: str) -> str:
    """Pin what is to be pinned; the path of the source's archive, where this host builds it. Raises a Problem."""
    if planned.pin:
        pins.add(wanted.pins, planned.pin)
    if planned.builder != name:
        return ""
    folder = os.path.join(wanted.cache, "sources")
    if not wanted.archive:
        return git.archive(wanted.url, wanted.version, planned.settings.pin, folder)
    if not _is_url(wanted.archive):
        return wanted.archive
    path = os.path.join(folder, wanted.sha256)
    if not os.path.isfile(path):
        Directory.open(folder, make=True).close()
        url, sha256 = wanted.archive, wanted.sha256
        write_stream(path, lambda sink: fetch.fetch(url, sink, sha256, _MAX_SOURCE_BYTES), mode=0o600)
    return path


def sha256_of(path: str) -> str:
    """Of a file of the controller."""
    with os.fdopen(open_regular(os.path.realpath(path)), "rb") as file:
        return fetch.sha256_of(file)


def request(planned: Plan, source: str, sha256: str) -> Dict[str, Any]:
    """What engine_build is asked for, as its options. source: the archive's path on the controller."""
    return {
        "version": planned.settings.version,
        "source": source,
        "source_sha256": sha256,
        "definitions": recipe.definitions(planned.settings, planned.kind),
        "targets": list(planned.settings.targets),
        "dest": os.path.join(BUILT_FOLDER, f"{planned.digest}.tar.gz"),
        "result": planned.kept,
        "room_bytes": recipe.needed_bytes(planned.kind),
    }


def actions(wanted: Wanted, planned: Plan, name: str) -> List[str]:
    """In words."""
    told = []
    if planned.pin:
        told.append(f"pin {planned.pin.tag} of {shown(wanted.url)} as {planned.pin.commit}")
    if planned.lacks:
        told.append(f"install {', '.join(planned.lacks)}")
    if planned.builder == name:
        told.append(f"build {wanted.name} for hosts of this kind ({planned.kind})")
    elif planned.builder:
        told.append(f"take {wanted.name} as {planned.builder} builds it")
    return told


def _pin(wanted: Wanted) -> Tuple[Optional[pins.Pin], bool, str]:
    """The pin of the tag, whether it is a new one, and the text of the file of pins; none for an archive."""
    if wanted.archive:
        if not SHA256.match(wanted.sha256):
            raise BuildProblem(
                f"{shown(wanted.archive)} has no known sha256.",
                "Give it in llama_cpp_source_sha256 (64 hexadecimal digits). Nothing was changed.",
            )
        return None, False, ""
    text = pins.read(wanted.pins)
    known = pins.find(text, wanted.version, wanted.url)
    if known:
        return replace(known, number=wanted.number or known.number), False, text
    commit = git.commit_of(wanted.url, wanted.version)
    return pins.Pin(commit, wanted.version, recipe.number_of(wanted.version, wanted.number), wanted.url), True, text


def _has(host: Mapping[str, Any], name: str, digest: str) -> bool:
    return any(release["version"] == name and release["sha256"] == [digest] for release in host["releases"])


def _builder(wanted: Wanted, kind: recipe.Kind, digest: str, name: str, hosts: Mapping[str, Mapping[str, Any]]) -> str:
    """The first host of the run that is of this kind, wants the same and does not have it."""
    for other, told in hosts.items():
        if other == name:
            return name
        if told.get("build", {}).get("version") != wanted.name or _has(told, wanted.name, digest):
            continue
        try:
            if recipe.kind_of(told, wanted.native, wanted.options) == kind:
                return other
        except BuildProblem:
            continue
    return name


def _check_archive(wanted: Wanted) -> None:
    if not wanted.archive or _is_url(wanted.archive):
        return
    try:
        told = sha256_of(wanted.archive)
    except FileNotFoundError:
        raise BuildProblem(
            f"{wanted.archive} is not a file of the controller.", "Check llama_cpp_source_archive. Nothing was changed."
        ) from None
    fetch.check_digest(told, wanted.sha256, wanted.archive)


def _is_url(place: str) -> bool:
    return place.startswith(("http://", "https://"))
