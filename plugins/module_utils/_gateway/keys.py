# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The keys of a gateway's clients, on the controller: given ones, and files with those that were made."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Dict, Mapping, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.lock import wait_for_turn
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_descriptor
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_in
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.gateway import MIN_KEY_CHARACTERS
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

# Beside the record of the fleet, where Ansible does not look for parts of an inventory.
FOLDER = os.path.join(".gguf-fleet", "gateway-keys")
_RANDOM_BYTES = 32


class KeyProblem(Problem):
    """A file with a key that cannot be used."""


@dataclass(frozen=True)
class Keys:
    """digests: SHA-256 of each key by the client's name, hexadecimal. files: of keys that nobody gave, by the client's
    name. made: those of them that are new."""

    digests: Mapping[str, str]
    files: Mapping[str, str]
    made: Tuple[str, ...]


def path_of(folder: str, client: str) -> str:
    """The file of a client's key."""
    return os.path.join(folder, f"{client}.key")


def keys_of(clients: Sequence[Mapping[str, Any]], folder: str, *, make: bool) -> Keys:
    """The digests of all clients' keys.

    Args:
        clients: the entries of gateway_clients, checked.
        folder: of the files with keys that nobody gave.
        make: whether missing keys are made; otherwise their files are only named, and they have no digest.

    Raises:
        KeyProblem: for a file that others can read, or whose key is too short. OSError.
    """
    digests: Dict[str, str] = {}
    files: Dict[str, str] = {}
    made = []
    for client in clients:
        name = str(client["name"])
        if client.get("key_sha256"):
            digests[name] = str(client["key_sha256"]).lower()
        elif client.get("key"):
            digests[name] = _digest(str(client["key"]))
        else:
            key, is_new = _kept(folder, name, make)
            files[name] = path_of(folder, name)
            if is_new:
                made.append(files[name])
            if key:
                digests[name] = _digest(key)
    return Keys(digests, files, tuple(made))


def known_keys(clients: Sequence[Mapping[str, Any]], folder: str) -> Dict[str, str]:
    """The keys themselves by the client's name, of clients whose key this machine knows. Raises as keys_of."""
    found: Dict[str, str] = {}
    for client in clients:
        name = str(client["name"])
        if client.get("key"):
            found[name] = str(client["key"])
        elif not client.get("key_sha256"):
            key, _is_new = _kept(folder, name, make=False)
            found.update({name: key} if key else {})
    return found


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def _kept(folder: str, name: str, make: bool) -> Tuple[str, bool]:
    """The key of a file, empty where there is none yet, and whether the file is new."""
    path = path_of(folder, name)
    with contextlib.suppress(FileNotFoundError), Directory.open(folder) as directory:
        return _read(directory, path), False
    if not make:
        return "", True
    with Directory.open(folder, make=True, mode=0o700) as directory:
        wait_for_turn(directory)
        # Another run may have made it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            return _read(directory, path), False
        key = f"gf-{secrets.token_urlsafe(_RANDOM_BYTES)}"
        owner = (os.geteuid(), os.getegid())
        write_in(directory, os.path.basename(path), f"{key}\n".encode(), mode=0o600, owner=owner)
        return key, True


def _read(directory: Directory, path: str) -> str:
    descriptor = directory.open_file(os.path.basename(path))
    open_to_others = os.fstat(descriptor).st_mode & 0o077
    key = read_descriptor(descriptor, path, limit_bytes=4096).decode("utf-8", "replace").strip()
    if open_to_others:
        raise KeyProblem(f"{path} can be read by other users.", f"Make it private (chmod 600 {path}), or remove it.")
    if len(key) < MIN_KEY_CHARACTERS:
        raise KeyProblem(f"{path} holds no key of {MIN_KEY_CHARACTERS} characters.", "Remove it to have one made.")
    return key
