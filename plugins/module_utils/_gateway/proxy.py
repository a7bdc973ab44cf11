# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""HAProxy's files on a host: judged by HAProxy before they are put in place, and taken up by the one that runs.

Root's directory `/etc/gguf-fleet/NAME` holds the configuration, its lists and, below `tls`, certificates with their
keys. The configuration names them by their paths in there, so that the same text is judged in another directory first.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file, remove_tree
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import workshop, write_file
from ansible_collections.gguf.fleet.plugins.module_utils._gateway import admin, certificate, drain, live
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.fragments import DIGEST
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.signed import alternatives, common_name
from ansible_collections.gguf.fleet.plugins.module_utils._host import haproxy
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import run_bounded
from ansible_collections.gguf.fleet.plugins.module_utils._process.programs import find_program

DIRECTORY = "/etc/gguf-fleet"
CONFIGURATION, TRUST = "haproxy.cfg", "tls/ca.pem"
TESTED = ((2, 6), (3, 0), (3, 2))
CHECK_SECONDS = 60.0
_NAME = re.compile(r"(?:[a-z0-9_-]+/)?[a-z0-9_-][a-z0-9_.-]*\Z")
_STATE = re.compile(r"server state file|from server-state")


class ProxyProblem(Problem):
    """HAProxy is missing, or refuses a configuration."""


@dataclass(frozen=True)
class Wanted:
    """A certificate that HAProxy shows. file: in its directory, with its key. content: a new one, if there is one."""

    file: str
    names: Tuple[str, ...]
    usage: str
    content: str = ""


@dataclass(frozen=True)
class Proxy:
    """What HAProxy is to run with.

    name: `gateway` or `door`. files: content by name in its directory, CONFIGURATION among them. trust: certificates of
    the authorities that it trusts, TRUST. issuer: the authority that signs now; what another one signed is due. Empty
    where certificates are given, which only have to hold. live: those of files that are maps and are taken up without
    a reload.
    """

    name: str
    files: Mapping[str, str]
    certificates: Tuple[Wanted, ...] = ()
    trust: str = ""
    issuer: str = ""
    live: Tuple[str, ...] = ()

    @property
    def directory(self) -> str:
        return os.path.join(DIRECTORY, self.name)

    @property
    def socket(self) -> str:
        return admin.socket_path(self.name)


@dataclass(frozen=True)
class Due:
    """A certificate that is to be made, and why."""

    file: str
    names: Tuple[str, ...]
    usage: str
    reason: str

    def as_dict(self) -> Dict[str, object]:
        return {
            "file": self.file,
            "names": list(self.names),
            "common_name": common_name(self.names[0]),
            "alternatives": alternatives(self.names),
            "usage": self.usage,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class State:
    """files: what is there, of those that are wanted and of those that HAProxy's directory holds beside them. running:
    the description of the configuration that runs, None where none does. program: HAProxy's, None where it is missing.
    """

    files: Mapping[str, str]
    due: Tuple[Due, ...]
    not_after: Mapping[str, float]
    running: Optional[str]
    program: Optional[str]
    version: Tuple[int, ...] = ()
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """write: content by name; remove: names; reload: whether the running HAProxy has to take up its files; take_up:
    content by name of maps that it takes up without.
    """

    write: Mapping[str, str] = field(default_factory=dict)
    remove: Tuple[str, ...] = ()
    reload: bool = False
    description: str = ""
    take_up: Mapping[str, str] = field(default_factory=dict)

    @property
    def actions(self) -> List[str]:
        return [
            *(f"write {name}" for name in self.write),
            *(f"remove {name}" for name in self.remove),
            *(["reload HAProxy"] if self.reload else []),
            *(f"take up {name}" for name in self.take_up),
        ]


def look(wanted: Proxy, now: Optional[float] = None) -> State:
    """What is there. Raises HaproxyProblem for one that is too old."""
    moment = time.time() if now is None else now
    files = _files_in(wanted.directory)
    program = find_program(haproxy.NAME)
    due, not_after = [], {}
    for one in wanted.certificates:
        reason, end = _judge(wanted, one, one.file in files, moment)
        if end is not None:
            not_after[one.file] = end
        if reason:
            due.append(Due(one.file, one.names, one.usage, reason))
    running = admin.running(wanted.socket)
    return State(
        files=files,
        due=tuple(due),
        not_after=not_after,
        running=running,
        program=program,
        version=haproxy.version(program) if program else (),
        maps={name: live.running(wanted.socket, name) for name in wanted.live if running is not None},
    )


def plan(wanted: Proxy, found: State) -> Plan:
    """What is to be done, from what is wanted and what is there."""
    files = dict(wanted.files)
    if wanted.trust:
        files[TRUST] = wanted.trust
    for one in wanted.certificates:
        if one.content:
            files[one.file] = one.content
        elif one.file in found.files:
            files[one.file] = found.files[one.file]
    digest = digest_of({name: content for name, content in files.items() if name not in wanted.live})
    files[CONFIGURATION] = files[CONFIGURATION].replace(DIGEST, digest)
    # The configuration last: until it is there, HAProxy would start with what it had.
    order = sorted(files, key=lambda name: (name == CONFIGURATION, name))
    kept = {one.file for one in wanted.certificates}
    reload = found.running is not None and found.running != digest
    stale = [name for name in found.maps if found.maps[name] != live.entries(files[name])]
    return Plan(
        write={name: files[name] for name in order if found.files.get(name) != files[name]},
        remove=tuple(sorted(name for name in found.files if name not in files and name not in kept)),
        reload=reload,
        description=digest,
        take_up={} if reload else {name: files[name] for name in stale},
    )


def trusted(wanted: Proxy) -> List[str]:
    """The fingerprints of the authorities that it trusts."""
    return [certificate.fingerprint(pem) for pem in certificate.certificates_of(wanted.trust)]


def signed_by(wanted: Proxy, found: State) -> List[str]:
    """The fingerprint of the authority that signed all that it shows; a mark of another one where it did not."""
    if not wanted.issuer:
        return []
    return [certificate.fingerprint(wanted.issuer)] if not found.due else ["another"]


def digest_of(files: Mapping[str, str]) -> str:
    """By it is known whether HAProxy runs with these files."""
    whole = sha256()
    for name in sorted(files):
        content = files[name].encode("utf-8", "surrogateescape")
        whole.update(f"{name} {len(content)}\n".encode())
        whole.update(content)
    return whole.hexdigest()


def refuse_incomplete(found: State) -> None:
    """Raises ProxyProblem for what HAProxy cannot start with."""
    if found.program is None:
        raise ProxyProblem("There is no HAProxy on this host.", "Install the distribution's package haproxy.")
    for one in found.due:
        raise ProxyProblem(f"{one.file} cannot be used: {one.reason.rstrip('.')}.", "Give a certificate with its key.")


def is_there(wanted: Proxy) -> bool:
    """Whether there are files of it."""
    return bool(_files_in(wanted.directory))


def is_complete(wanted: Proxy, found: State) -> bool:
    """Whether every certificate has a file, without which HAProxy does not start."""
    return all(one.content or one.file in found.files for one in wanted.certificates)


def check(wanted: Proxy, steps: Plan, found: State) -> List[str]:
    """Let HAProxy judge the files in a directory that only root can enter; its warnings. Raises ProxyProblem."""
    files = {**{name: text for name, text in found.files.items() if name not in steps.remove}, **steps.write}
    with Directory.open_private(DIRECTORY, make=True) as parent, workshop(parent) as inside:
        # Files of servers are read when `default-path` counts no more, so they are named by whole paths.
        files[CONFIGURATION] = files[CONFIGURATION].replace(f"{wanted.directory}/", f"{inside.path}/")
        for name, content in files.items():
            write_file(os.path.join(inside.path, name), _data(content), mode=0o600, make_parents=True)
        judged = run_bounded(
            [str(found.program), "-c", "-f", os.path.join(inside.path, CONFIGURATION)], seconds=CHECK_SECONDS
        )
        text = (judged.stderr + judged.stdout).decode("utf-8", "replace").replace(inside.path, wanted.directory)
    said = [line for line in text.split("\n") if "ALERT" in line or "WARNING" in line]
    if judged.code != 0:
        raise ProxyProblem(
            f"HAProxy {'.'.join(map(str, found.version))} refuses the configuration of the {wanted.name}: "
            f"{' '.join(said[:5]) or text.strip()}",
            "Nothing was changed; HAProxy still runs with its old configuration.",
        )
    # The file for the servers' state is made beside the files, after this, and what it tells of engines is no news.
    return [line for line in said if "WARNING" in line and not _STATE.search(line)]


def apply(wanted: Proxy, steps: Plan, found: State) -> None:
    """Put the files in place and let the HAProxy that runs take them up; where it does not, put back what was there."""
    before = {name: found.files.get(name) for name in (*steps.write, *steps.remove)}
    drain.make_state_file(wanted.name)
    _put(wanted.directory, {**steps.write, **dict.fromkeys(steps.remove)})
    for name, content in steps.take_up.items():
        live.take_up(wanted.socket, name, content)
    if not steps.reload:
        return
    try:
        # What is drained stays so in the process that follows.
        drain.save_state(wanted.socket, wanted.name)
        admin.reload(wanted.socket, steps.description)
    except admin.AdminProblem as problem:
        _put(wanted.directory, before)
        # Its master waits for files that it can start with.
        with contextlib.suppress(admin.AdminProblem):
            admin.reload(wanted.socket, found.running or "")
        raise ProxyProblem(
            f"{problem.problem} The old files are back; HAProxy still runs with its old configuration.", problem.remedy
        ) from problem


def prove(wanted: Proxy, steps: Plan, seconds: float = 30.0) -> None:
    """Wait until HAProxy runs with these files. Raises ProxyProblem."""
    end = time.monotonic() + seconds
    while True:
        told = admin.running(wanted.socket)
        if told == steps.description:
            return
        if time.monotonic() >= end:
            what = "does not run" if told is None else "runs with another configuration"
            raise ProxyProblem(
                f"The {wanted.name}'s HAProxy {what} after {seconds:.0f} s.",
                f"Look at the log of the service gguf-fleet-{wanted.name}: a port that another program has, most of "
                "the time.",
            )
        time.sleep(0.2)


def remove(name: str) -> bool:
    """Take away all that was written; whether there was anything."""
    remove_file(admin.socket_path(name))
    remove_tree(os.path.dirname(drain.state_file(name)))
    return remove_tree(os.path.join(DIRECTORY, name))


def check_names(files: Sequence[str]) -> None:
    """Raises ProxyProblem for a name that could leave the directory."""
    for name in files:
        if not _NAME.match(name):
            raise ProxyProblem(f"{name!r} is not the name of a file of HAProxy.", "Take letters, digits and dots.")


def _judge(wanted: Proxy, one: Wanted, is_there: bool, now: float) -> Tuple[str, Optional[float]]:
    """Why this certificate is due, empty where it is not; until when it holds, where it does."""
    if one.content:
        return "", None
    if not is_there:
        return "there is none", None
    path = os.path.join(wanted.directory, one.file)
    try:
        told = certificate.look(path, one.usage, trust=wanted.issuer)
    except certificate.CertificateProblem as problem:
        return problem.problem, None
    missing = certificate.missing_names(told, one.names)
    if missing:
        return f"it is not for {', '.join(missing)}", told.not_after
    if wanted.issuer and told.is_due(now):
        return f"it ends in {told.seconds_left(now) / certificate.DAY:.0f} days", told.not_after
    return "", told.not_after


def _files_in(directory: str) -> Dict[str, str]:
    """What is in HAProxy's directory and the directories in there, by name."""
    found: Dict[str, str] = {}
    try:
        with Directory.open_private(directory) as top:
            names = _regular(top, "")
            for name in top.names():
                if name not in names and not name.startswith("."):
                    with top.enter(name) as below:
                        names += _regular(below, f"{name}/")
    except FileNotFoundError:
        return {}
    for name in names:
        found[name] = read_file(os.path.join(directory, name)).decode("utf-8", "surrogateescape")
    return found


def _regular(directory: Directory, prefix: str) -> List[str]:
    found = []
    for name in directory.names():
        status = directory.status(name)
        if status is not None and stat.S_ISREG(status.st_mode) and not name.startswith("."):
            found.append(prefix + name)
    return found


def _put(directory: str, files: Mapping[str, Optional[str]]) -> None:
    for name, content in files.items():
        path = os.path.join(directory, name)
        if content is None:
            remove_file(path)
        else:
            # HAProxy reads them all as root, before it becomes another user.
            write_file(path, _data(content), mode=0o600, make_parents=True)


def _data(content: str) -> bytes:
    return content.encode("utf-8", "surrogateescape")
