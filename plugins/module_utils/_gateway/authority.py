# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The fleet's own certificate authority on the controller: what is there, what is due, and how one follows another.

A change takes three steps, so that no connection breaks whichever host a run reaches: everybody trusts both, then the
new one signs, then the old one is trusted no more. Each step waits until every member has made the one before.

    ca.pem ca.key              the authority that signs
    ca-next.pem ca-next.key    the one that will, as soon as every member trusts it
    ca-old.pem                 the one that did, as long as a member shows what it signed
    members.json               what each member trusts and shows
"""

from __future__ import annotations

import json
import os
import secrets
import ssl
import time
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.certificate import (
    Certificate,
    CertificateProblem,
    fingerprint,
)

CURRENT, NEXT, OLD = "ca", "ca-next", "ca-old"
MEMBERS, PASSPHRASE = "members.json", "ca.passphrase"
_IGNORE = "# Keys of the fleet's certificate authority: for nobody else, and never committed.\n*\n"


@dataclass(frozen=True)
class Member:
    """A host with a gateway or a door: the authorities that it trusts and that signed what it shows, by fingerprint."""

    trusts: Tuple[str, ...] = ()
    signed_by: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Authority:
    """What is in the directory. The certificates are PEM, empty where there is none."""

    directory: str
    current: str = ""
    coming: str = ""
    old: str = ""
    members: Mapping[str, Member] = field(default_factory=dict)

    @property
    def trust(self) -> str:
        """What members are to trust now."""
        return "".join(dict.fromkeys(self._counting.values()))

    @property
    def trust_files(self) -> List[str]:
        """Where these certificates are, for clients."""
        return [self.path(f"{name}.pem") for name in self._counting]

    @property
    def trusted(self) -> Tuple[str, ...]:
        return tuple(map(fingerprint, self._counting.values()))

    @property
    def _counting(self) -> Dict[str, str]:
        """The certificates that are there, by the names of their files."""
        found = {CURRENT: self.current, NEXT: self.coming, OLD: self.old}
        return {name: pem for name, pem in found.items() if pem}

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)


def load(directory: str, passphrase: Optional[str]) -> Authority:
    """The authority of this directory; an empty one where there is none.

    passphrase: of its keys; None where that is to be read from its file.

    Raises CertificateProblem where something of it is missing or does not belong together.
    """
    finish(directory)
    current, coming, old = (_text(directory, f"{name}.pem") for name in (CURRENT, NEXT, OLD))
    found = Authority(directory, current, coming, "" if old == current else old, _members(directory))
    if current:
        _check_key(found, CURRENT, passphrase)
    if coming:
        _check_key(found, NEXT, passphrase)
    return found


def to_make(found: Authority, now: float, *, renew: bool = False) -> str:
    """Which authority is to be made: CURRENT where there is none, NEXT where one is to follow, empty for neither.

    renew: whether one is to follow although that is not due. One change ends before the next one begins.
    """
    if not found.current:
        return CURRENT
    if found.coming or found.old:
        return ""
    return NEXT if renew or dates(found.current, found.path(f"{CURRENT}.pem")).is_due(now) else ""


def next_step(found: Authority, members: Sequence[str]) -> str:
    """The step of a change that can be made now: NEXT begins to sign, or OLD is dropped; empty for none.

    members: all hosts with a gateway or a door, whether this run reaches them or not.
    """
    known = [found.members.get(name, Member()) for name in members]
    if not known:
        return ""
    if found.coming and all(fingerprint(found.coming) in member.trusts for member in known):
        return NEXT
    if found.old and not found.coming:
        signer = fingerprint(found.current)
        if all(member.signed_by == (signer,) for member in known):
            return OLD
    return ""


def noted(found: Authority, seen: Mapping[str, Member], members: Sequence[str]) -> Authority:
    """With what members were seen with in this run; who is a member no more is forgotten."""
    known = {**found.members, **seen}
    return replace(found, members={name: known[name] for name in members if name in known})


def make_step(found: Authority, step: str) -> Authority:
    """Make this step, by files. Raises OSError."""
    if step == NEXT:
        _write(found.path(f"{OLD}.pem"), found.current, 0o644)
        _rename(found.directory, f"{NEXT}.key", f"{CURRENT}.key")
        finish(found.directory)
        return replace(found, current=found.coming, coming="", old=found.current)
    if step == OLD:
        remove_file(found.path(f"{OLD}.pem"))
        return replace(found, old="")
    return found


def finish(directory: str) -> None:
    """End what a run that was killed began: the key of the one that follows is the current one already."""
    try:
        with Directory.open(directory) as folder:
            names = folder.names()
    except FileNotFoundError:
        return
    if f"{NEXT}.pem" in names and f"{NEXT}.key" not in names:
        _rename(directory, f"{NEXT}.pem", f"{CURRENT}.pem")


def save_members(found: Authority) -> None:
    """Raises OSError."""
    content = {
        name: {"trusts": list(member.trusts), "signed_by": list(member.signed_by)}
        for name, member in sorted(found.members.items())
    }
    _write(found.path(MEMBERS), json.dumps(content, indent=1) + "\n", 0o600)


def prepare(directory: str, *, own_passphrase: bool) -> bool:
    """Make the directory and, with `own_passphrase`, a passphrase where there is none; whether one was made."""
    with Directory.open(directory, make=True, mode=0o700) as folder:
        names = folder.names()
    if ".gitignore" not in names:
        _write(os.path.join(directory, ".gitignore"), _IGNORE, 0o600)
    if not own_passphrase or PASSPHRASE in names:
        return False
    # Without a line end: whoever reads the file gets the passphrase.
    _write(os.path.join(directory, PASSPHRASE), secrets.token_urlsafe(32), 0o600)
    return True


def dates(pem: str, path: str) -> Certificate:
    """How long an authority holds. Raises CertificateProblem for what is no certificate of an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem)
        told: List[Dict[str, Any]] = [dict(one) for one in context.get_ca_certs()]
    except (ssl.SSLError, ValueError) as error:
        raise CertificateProblem(f"{path} cannot be read: {error}.", "Put back the file from before.") from error
    if not told:
        raise CertificateProblem(
            f"{path} is not the certificate of an authority.", "Put back the file from before, or remove its directory."
        )
    start, end = (ssl.cert_time_to_seconds(str(told[0][name])) for name in ("notBefore", "notAfter"))
    return Certificate(start, end, ())


def new_name(now: float) -> str:
    """What an authority that is made now is called; no two have one name."""
    return time.strftime("gguf.fleet authority %Y%m%dT%H%M%SZ", time.gmtime(now))


def _rename(directory: str, old: str, new: str) -> None:
    with Directory.open(directory) as folder:
        os.rename(old, new, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
        os.fsync(folder.fd)


def _check_key(found: Authority, name: str, passphrase: Optional[str]) -> None:
    path, key = found.path(f"{name}.pem"), found.path(f"{name}.key")
    word = passphrase if passphrase is not None else _text(found.directory, PASSPHRASE)
    if not _text(found.directory, f"{name}.key"):
        raise CertificateProblem(
            f"The key of the certificate authority is missing: {key}.",
            f"Put it back. If it is lost, remove {found.directory}: gateways and doors get certificates of a new one.",
        )
    if not word:
        raise CertificateProblem(
            f"{key} needs a passphrase, and there is none.",
            f"Set gateway_ca_passphrase, or put back {found.path(PASSPHRASE)}.",
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, key, password=lambda: word)
    except ssl.SSLError as error:
        where = "gateway_ca_passphrase" if passphrase is not None else found.path(PASSPHRASE)
        raise CertificateProblem(
            f"The passphrase in {where} does not open {key}, or that is not the key of {path}.",
            "Give the passphrase that the key was made with. Nothing was changed.",
        ) from error


def _members(directory: str) -> Dict[str, Member]:
    text = _text(directory, MEMBERS)
    try:
        content = json.loads(text) if text else {}
        return {
            str(name): Member(tuple(map(str, one["trusts"])), tuple(map(str, one["signed_by"])))
            for name, one in content.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CertificateProblem(
            f"{os.path.join(directory, MEMBERS)} is not what this collection writes.",
            "Remove it; the next run over all hosts writes it again.",
        ) from error


def _text(directory: str, name: str) -> str:
    try:
        return read_file(os.path.join(directory, name)).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _write(path: str, text: str, mode: int) -> None:
    write_file(path, text.encode(), mode=mode, owner=(os.geteuid(), os.getegid()))
