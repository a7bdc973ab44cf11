# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The ledger: what this collection made on a host, so that idempotence, removal and pruning never go by guesses.

An entry counts only while the file on disk is still the one that was recorded (device, inode and size). The time of
modification says nothing: servers touch the files that they use.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Iterator, Mapping, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory, PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.own import open_or_make_own
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_descriptor
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_in
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

DEFAULT_PATH = "/var/lib/gguf-fleet/ledger.json"
PATH_VARIABLE = "GGUF_FLEET_LEDGER"
# Those whose entries are the bytes of a model, each under a name.
KINDS_WITH_BYTES = ("file", "link", "blob")
KINDS = (*KINDS_WITH_BYTES, "manifest", "release", "rehearsal", "store", "account")
VERSION = 1
# An entry takes about a kilobyte.
_MAX_BYTES = 64 * 2**20


class LedgerError(Problem, RuntimeError):
    """The ledger cannot be read, trusted or written."""


@dataclass(frozen=True)
class Entry:
    path: str
    kind: str
    sha256: Optional[str]
    device: int
    inode: int
    size_bytes: int
    notes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def is_current(self, status: Optional[os.stat_result] = None) -> bool:
        """Whether the path, or the open file of this status, still is the very file that was recorded."""
        try:
            identity = _identity(status or os.stat(self.path))
        except (OSError, ValueError):
            return False
        return identity == (self.device, self.inode, self.size_bytes)


class Ledger:
    """The ledger file of a host. Every change is written at once, atomically and under a lock."""

    def __init__(self, path: Optional[str] = None) -> None:
        self.path = path or os.environ.get(PATH_VARIABLE) or DEFAULT_PATH

    @property
    def directory(self) -> str:
        """Where only root writes: the place for what the runs on this host keep, such as their locks."""
        return os.path.dirname(os.path.abspath(self.path))

    def lookup(
        self, path: str, *, kind: Optional[str] = None, status: Optional[os.stat_result] = None
    ) -> Optional[Entry]:
        """The entry of path, when it has one and the file on disk is still the recorded one.

        status: of the file when it is open; where others can change the path, only that says what is being used.
        """
        entry = self._load().get(os.path.abspath(path))
        if entry is None or (kind is not None and entry.kind != kind) or not entry.is_current(status):
            return None
        return entry

    def entries(self, kind: Optional[str] = None, **notes: Any) -> list[Entry]:
        """All entries of this kind and with these notes, whether or not their files are still there."""
        return [
            entry
            for entry in self._load().values()
            if (kind is None or entry.kind == kind)
            and all(name in entry.notes and entry.notes[name] == value for name, value in notes.items())
        ]

    def record(
        self, path: str, *, sha256: Optional[str], kind: str, status: Optional[os.stat_result] = None, **notes: Any
    ) -> Entry:
        """Note what path is now. An earlier entry of the same path is replaced.

        status: of the file that was proved, by its descriptor; what somebody else put at the path meanwhile is not it.
        """
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        path = os.path.abspath(path)
        device, inode, size_bytes = _identity(status or os.stat(path))
        entry = Entry(path, kind, sha256, device, inode, size_bytes, MappingProxyType(dict(notes)))
        with self._locked():
            entries = self._load()
            entries[path] = entry
            self._store(entries)
        return entry

    def prepare(self) -> None:
        """Make sure that the ledger can be written, before work begins that is to be recorded in it."""
        with self._locked():
            self._load()

    def forget(self, path: str) -> bool:
        """Drop the entry of path; false when there was none."""
        path = os.path.abspath(path)
        if path not in self._load():
            return False
        with self._locked():
            entries = self._load()
            known = entries.pop(path, None) is not None
            if known:
                self._store(entries)
        return known

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._opened() as directory, locked(directory, self._name + ".lock"):
            yield

    @property
    def _name(self) -> str:
        return os.path.basename(self.path)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Directory]:
        try:
            directory = Directory.open(self.directory, make=True)
        except PathProblem as problem:
            raise LedgerError(f"{self.path} cannot be written: {problem.problem}", problem.remedy) from problem
        except OSError as error:
            raise self._unwritable(error) from error
        with directory:
            yield directory

    def _unwritable(self, error: OSError) -> LedgerError:
        return LedgerError(
            f"{self.path} cannot be written: {error.strerror or error}.", "Run as root, or name another ledger."
        )

    def _load(self) -> dict[str, Entry]:
        try:
            with Directory.open(self.directory) as directory:
                descriptor = directory.open_file(self._name)
        except FileNotFoundError:
            return {}
        except PathProblem as problem:
            raise LedgerError(problem.problem, problem.remedy) from problem
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be read: {error.strerror}.", "Run as root.") from error
        try:
            self._check_owner(os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        try:
            return parse(read_descriptor(descriptor, self.path, limit_bytes=_MAX_BYTES), self.path)
        except PathProblem as problem:
            raise LedgerError(problem.problem, problem.remedy) from problem
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be read: {error.strerror}.", "Look at its disk.") from error

    def _check_owner(self, status: os.stat_result) -> None:
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise LedgerError(
                f"{self.path} can be changed by others than root, so its checksums cannot be trusted.",
                f"Check who wrote it, then: chown root {self.path} && chmod 0644 {self.path}",
            )

    def _store(self, entries: Mapping[str, Entry]) -> None:
        content = {
            "ledger_version": VERSION,
            "entries": {path: _fields(entry) for path, entry in sorted(entries.items())},
        }
        data = (json.dumps(content, indent=1) + "\n").encode()
        try:
            with self._opened() as directory:
                write_in(directory, self._name, data, mode=0o644)
        except OSError as error:
            raise LedgerError(
                f"{self.path} cannot be written: {error.strerror or error}.",
                "Run as root, or make room on its file system.",
            ) from error


@contextlib.contextmanager
def locked(directory: Directory, name: str) -> Iterator[None]:
    """Nobody else is in here; the lock's file stays, and only root can open it."""
    try:
        lock = open_or_make_own(directory, name)
    except PathProblem as problem:
        raise LedgerError(problem.problem, problem.remedy) from problem
    except OSError as error:
        raise LedgerError(
            f"{os.path.join(directory.path, name)} cannot be written: {error.strerror or error}.",
            "Run as root, or name another ledger.",
        ) from error
    try:
        # An older version made it readable.
        os.fchmod(lock, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def parse(data: bytes, path: str) -> dict[str, Entry]:
    """The entries in a ledger's content; `path` is for the message."""
    try:
        content = json.loads(data)
        if content["ledger_version"] != VERSION:
            raise LedgerError(
                f"{path} has version {content['ledger_version']}; this collection knows version {VERSION}.",
                "Use the collection's version that wrote it, or a newer one.",
            )
        return {name: _entry(name, fields) for name, fields in content["entries"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise LedgerError(
            f"{path} is damaged ({error}).",
            "Move it away; the next run checks the files again and writes a new one.",
        ) from error


def sync_directory(directory: str) -> None:
    """Make the renames and removals in a directory last."""
    with Directory.open(directory) as opened:
        os.fsync(opened.fd)


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    # the size of a directory changes with its content and says nothing about which one it is
    return status.st_dev, status.st_ino, 0 if stat.S_ISDIR(status.st_mode) else status.st_size


def _fields(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "sha256": entry.sha256,
        "device": entry.device,
        "inode": entry.inode,
        "size_bytes": entry.size_bytes,
        "notes": dict(entry.notes),
    }


def _entry(path: str, fields: Mapping[str, Any]) -> Entry:
    kind, sha256 = fields["kind"], fields["sha256"]
    if not isinstance(kind, str) or not (sha256 is None or isinstance(sha256, str)):
        raise ValueError(f"the entry of {printable(path)}")
    return Entry(
        path=path,
        kind=kind,
        sha256=sha256,
        device=int(fields["device"]),
        inode=int(fields["inode"]),
        size_bytes=int(fields["size_bytes"]),
        notes=MappingProxyType(dict(fields["notes"])),
    )
