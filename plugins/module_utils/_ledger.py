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

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

DEFAULT_PATH = "/var/lib/gguf-fleet/ledger.json"
PATH_VARIABLE = "GGUF_FLEET_LEDGER"
KINDS = ("file", "link", "blob", "manifest", "release", "rehearsal")
VERSION = 1


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

    def is_current(self) -> bool:
        """Whether the path still leads to the very file that was recorded."""
        try:
            identity = _identity(self.path)
        except OSError:
            return False
        return identity == (self.device, self.inode, self.size_bytes)


class Ledger:
    """The ledger file of a host. Every change is written at once, atomically and under a lock."""

    def __init__(self, path: Optional[str] = None) -> None:
        self.path = path or os.environ.get(PATH_VARIABLE) or DEFAULT_PATH

    def lookup(self, path: str, *, kind: Optional[str] = None) -> Optional[Entry]:
        """The entry of path, when it has one and the file on disk is still the recorded one."""
        entry = self._load().get(os.path.abspath(path))
        if entry is None or (kind is not None and entry.kind != kind) or not entry.is_current():
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

    def record(self, path: str, *, sha256: Optional[str], kind: str, **notes: Any) -> Entry:
        """Note what path is now. An earlier entry of the same path is replaced."""
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
        path = os.path.abspath(path)
        device, inode, size_bytes = _identity(path)
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
        # the ledger itself is replaced at every change, so the lock is on a file that stays
        directory = os.path.dirname(self.path) or "."
        try:
            os.makedirs(directory, mode=0o755, exist_ok=True)
            lock = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise LedgerError(
                f"{self.path} cannot be written: {error.strerror}.", "Run as root, or name another ledger."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _load(self) -> dict[str, Entry]:
        try:
            with open(self.path, encoding="utf-8") as file:
                self._check_owner(os.fstat(file.fileno()))
                content = json.load(file)
            if content["ledger_version"] != VERSION:
                raise LedgerError(
                    f"{self.path} has version {content['ledger_version']}; this collection knows version {VERSION}.",
                    "Use the collection's version that wrote it, or a newer one.",
                )
            return {path: _entry(path, fields) for path, fields in content["entries"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise LedgerError(f"{self.path} cannot be read: {error.strerror}.", "Run as root.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LedgerError(
                f"{self.path} is damaged ({error}).",
                "Move it away; the next run checks the files again and writes a new one.",
            ) from error

    def _check_owner(self, status: os.stat_result) -> None:
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise LedgerError(
                f"{self.path} can be changed by others than root, so its sums prove nothing.",
                f"Check who wrote it, then: chown root {self.path} && chmod 0644 {self.path}",
            )

    def _store(self, entries: Mapping[str, Entry]) -> None:
        content = {
            "ledger_version": VERSION,
            "entries": {path: _fields(entry) for path, entry in sorted(entries.items())},
        }
        # one name, since the lock lets only one writer in: what a crash leaves is overwritten by the next
        temporary = self.path + ".new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(temporary, flags, 0o644), "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o644)
                json.dump(content, file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
            sync_directory(os.path.dirname(self.path) or ".")
        except OSError as error:
            raise LedgerError(
                f"{self.path} cannot be written: {error.strerror}.", "Run as root, or make room on its file system."
            ) from error


def sync_directory(directory: str) -> None:
    """Make the renames and removals in a directory last."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _identity(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
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
    return Entry(
        path=path,
        kind=fields["kind"],
        sha256=fields["sha256"],
        device=int(fields["device"]),
        inode=int(fields["inode"]),
        size_bytes=int(fields["size_bytes"]),
        notes=MappingProxyType(dict(fields["notes"])),
    )
