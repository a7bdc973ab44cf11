# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""One change of an engine's versions: a plan from what is there and what is wanted, and its execution.

The plan is all that a check tells, so it cannot tell anything else than what a run does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Collection, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import shown
from ansible_collections.gguf.fleet.plugins.module_utils._install import (
    assets,
    engines,
    foreign,
    install,
    record,
    releases,
)
from ansible_collections.gguf.fleet.plugins.module_utils._install.checksums import SHA256
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem


@dataclass(frozen=True)
class Wanted:
    """The version of an engine that a host should have, as the options of engine_release say it.

    archives: with asset (and source_url), url or src each, and sha256 and origin_sha256 as far as they are known.
    adopt: prefix of an installation of install.sh. max_bytes: the most that the archives may unpack to.
    """

    engine: engines.Engine
    root: str
    version: str
    archives: Sequence[Mapping[str, Any]] = ()
    source_url: str = ""
    allow_unverified: bool = False
    max_bytes: int = 32 * 2**30
    activate: bool = True
    links: Mapping[str, str] = field(default_factory=dict)
    adopt: str = ""
    keep: int = 2


@dataclass(frozen=True)
class Plan:
    """What is done, in this order, and how the host is afterwards.

    digests: of the archives, the add-ons' after the release's, as far as they are known.
    """

    actions: Tuple[releases.Action, ...]
    sources: Tuple[install.Source, ...]
    before: releases.Installed
    current: Optional[str]
    previous: Optional[str]
    after: Tuple[str, ...]
    digests: Tuple[str, ...]
    known: Tuple[str, ...]

    @property
    def diff(self) -> Dict[str, str]:
        return versions_diff(self.before, self.current, self.after)


def plan_present(wanted: Wanted) -> Plan:
    """Look, and change nothing. Raises InstallProblem where the version cannot be had."""
    engine, root, version = wanted.engine, wanted.root, releases.check_version(wanted.version)
    archives = [_placed(given, wanted) for given in wanted.archives]
    origins = tuple((a.get("origin_sha256") or a.get("sha256") or "").lower() for a in archives)
    known = origins if archives and all(origins) else ()
    before = record.read(engine, root)
    links_right = not releases.wrong_links(root, wanted.links)
    newest_first = releases.newest_first(root, before)
    actions: List[releases.Action] = []
    state = before
    if wanted.adopt and not before.current:
        found = releases.check_version(foreign.installed_version(engine, wanted.adopt))
        actions.append(releases.Action("adopt", found, "it was installed before, by install.sh"))
        state = _after_adoption(before, found)
        links_right = True
        newest_first = [found, *(name for name in newest_first if name != found)]
    actions += releases.plan_present(
        state,
        releases.Wanted(version, bool(archives), known, wanted.activate, wanted.keep),
        running=releases.running_versions(root),
        links_right=links_right,
        newest_first=newest_first,
    )
    fetches = any(action.verb == "fetch" for action in actions)
    if fetches and not archives:
        have = ", ".join(release.version for release in before.releases) or "none"
        raise InstallProblem(
            f"{engine.title} {version} is not in {root} (there: {have}), and no archive of it is given.",
            "Name a source, or a version that is there.",
        )
    current = version if wanted.activate else state.current
    there = state.get(version)
    gone = {action.version for action in actions if action.verb == "remove"}
    return Plan(
        actions=tuple(actions),
        sources=tuple(_source(given, wanted.allow_unverified) for given in archives) if fetches else (),
        before=before,
        current=current,
        previous=state.current if state.current != current else state.previous,
        after=tuple(sorted({release.version for release in state.releases} - gone | {version})),
        digests=there.digests if there is not None and not fetches else known,
        known=known,
    )


def apply_present(wanted: Wanted, plan: Plan) -> Tuple[Plan, int]:
    """Do what the plan says; the plan with the digests of what came, and the bytes that came over the network."""
    engine, root, fetched_bytes = wanted.engine, wanted.root, 0
    for action in plan.actions:
        if action.verb == "adopt":
            note = record.writer(engine, root, adopted=True)
            releases.switch(root, install.adopt(engine, root, wanted.adopt, note), wanted.links)
        elif action.verb == "fetch":
            note = record.writer(engine, root, plan.known)
            unpacked = install.install(engine, root, wanted.version, plan.sources, wanted.max_bytes, record=note)
            plan = replace(plan, digests=tuple(plan.known or unpacked.digests))
            fetched_bytes = unpacked.bytes_fetched
        elif action.verb in ("switch", "link"):
            releases.switch(root, wanted.version, wanted.links)
        elif action.verb == "remove":
            _remove(root, action.version)
    return plan, fetched_bytes


@dataclass(frozen=True)
class Removal:
    """What goes. unlinked: commands that go; returned: those that the adopted version gets back instead."""

    actions: Tuple[releases.Action, ...]
    unlinked: Tuple[str, ...]
    returned: Tuple[str, ...]
    given_back: Optional[str]
    before: releases.Installed
    current: Optional[str]
    previous: Optional[str]
    left: Tuple[str, ...]

    @property
    def told(self) -> List[str]:
        """In words."""
        return [
            *(str(action) for action in self.actions),
            *(f"put back {path}: {self.given_back} was there before" for path in self.returned),
            *(f"unlink {path}: no version is left" for path in self.unlinked),
        ]

    @property
    def diff(self) -> Dict[str, str]:
        return versions_diff(self.before, self.current, self.left)


def plan_absent(engine: engines.Engine, root: str, version: Optional[str], links: Mapping[str, str]) -> Removal:
    """Look, and change nothing. Only versions that the ledger names, and links that are ours, are to go."""
    before = record.read(engine, root)
    actions = releases.plan_absent(before, version)
    gone = {action.version for action in actions}
    # The command may belong to another installation by now.
    ours = set(links) - set(releases.wrong_links(root, links))
    stays = any(release.ours for release in before.releases if release.version not in gone)
    last = before.current in (None, *gone) and not stays
    dead = [path for path in links if last and path in ours]
    # What install.sh had put there is put there again; its libraries have stayed where they were.
    given_back = record.adopted(engine, root)
    returned = [path for path in dead if given_back in gone and links[path] == f"bin/{engine.program}"]
    return Removal(
        actions=tuple(actions),
        unlinked=tuple(path for path in dead if path not in returned),
        returned=tuple(returned),
        given_back=given_back,
        before=before,
        current=_unless(before.current, gone),
        previous=_unless(before.previous, gone),
        left=tuple(release.version for release in before.releases if release.version not in gone),
    )


def apply_absent(engine: engines.Engine, root: str, links: Mapping[str, str], removal: Removal) -> None:
    """Do what the plan says. Raises InstallProblem while one of the versions runs."""
    running = sorted({action.version for action in removal.actions} & set(releases.running_versions(root)))
    if running:
        raise InstallProblem(
            f"{engine.title} {', '.join(running)} is running from {root}.", "Stop the service first, then run again."
        )
    for path in removal.returned:
        install.give_back(engine, root, str(removal.given_back), path)
    for path in removal.unlinked:
        releases.unlink_ours(root, path, links[path])
    for action in removal.actions:
        _remove(root, action.version)
    releases.drop_dead(root)


def versions_diff(before: releases.Installed, current: Optional[str], after: Iterable[str]) -> Dict[str, str]:
    """What `--diff` shows of the versions."""

    def text(names: Iterable[str], now: Optional[str]) -> str:
        return "".join(f"{name}{' (current)' if name == now else ''}\n" for name in names)

    return {
        "before_header": "versions on the host",
        "after_header": "versions on the host",
        "before": text((release.version for release in before.releases), before.current),
        "after": text(after, current),
    }


def _after_adoption(before: releases.Installed, version: str) -> releases.Installed:
    added = () if before.get(version) else (releases.Release(version, ()),)
    return releases.Installed((*before.releases, *added), version, before.previous)


def _placed(given: Mapping[str, Any], wanted: Wanted) -> Mapping[str, Any]:
    """The archive with its URL or path, where only its name is given."""
    if not given.get("asset"):
        return given
    if not wanted.source_url:
        raise InstallProblem(f"it is not known where {given['asset']} is.", "Give source_url.")
    return {**given, **assets.place(wanted.source_url, wanted.version, given["asset"])}


def _source(given: Mapping[str, Any], allow_unverified: bool) -> install.Source:
    # What is going to be repacked has no checksum of its own while one only plans, and no other archive has that one.
    digest = (given.get("sha256") or given.get("origin_sha256") or "").lower() or None
    url, path = given.get("url"), given.get("src")
    if digest is not None and not SHA256.match(digest):
        raise InstallProblem(f"{digest!r} is not a sha256.", "Give 64 hexadecimal digits.")
    if digest is None and not allow_unverified:
        raise InstallProblem(
            f"no sha256 is known for {path or shown(url or '')}.",
            "Give the checksum of the official release, or say that unverified archives are allowed.",
        )
    return install.Source(url=url, path=path, sha256=digest)


def _unless(version: Optional[str], gone: Collection[str]) -> Optional[str]:
    return None if version in gone else version


def _remove(root: str, version: str) -> None:
    releases.remove(root, version)
    record.forget(root, version)
