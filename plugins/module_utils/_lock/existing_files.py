# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Find before fetch: where a host may have files of a lock already. Same size only; the checksums decide after this."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any, Callable, Iterator, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._files.inputs import input_size
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.shard_names import merged_name

# What a copy is a copy of: the position of a file in the lock, or the merged file.
MERGED = -1


@dataclass(frozen=True)
class LocalCopy:
    """A file on this host with the size of one that the lock names."""

    file: int  # index into the lock's files, or MERGED
    path: str
    size_bytes: int
    found_in: str  # for people: "ModelScope cache", "Hugging Face cache", "folder /srv/nfs", "Ollama store"


def local_copies(
    lock: Mapping[str, Any],
    *,
    folders: Sequence[str] = (),
    modelscope_caches: Sequence[str] = (),
    huggingface_caches: Sequence[str] = (),
    ollama_stores: Sequence[str] = (),
    size_of: Optional[Callable[[str], Optional[int]]] = None,
) -> List[LocalCopy]:
    """Every existing file that could be one of the lock's files or its merge, best places first.

    ``size_of`` tells a regular file's size or None; the default asks the file system.
    """
    ask = size_of or regular_file_size
    wanted = [(index, file["size_bytes"], file) for index, file in enumerate(lock["files"])]
    if len(wanted) > 1:
        wanted.append((MERGED, lock["merged"]["size_bytes"], lock["merged"]))
    copies: List[LocalCopy] = []
    seen = set()
    for index, size_bytes, entry in wanted:
        for found_in, path in (
            *_in_folders(folders, lock, index, entry),
            *_in_ollama(ollama_stores, entry),
            *_in_modelscope(modelscope_caches, lock, index, entry),
            *_in_huggingface(huggingface_caches, lock, index, entry),
        ):
            if (index, path) not in seen and ask(path) == size_bytes:
                seen.add((index, path))
                copies.append(LocalCopy(index, path, size_bytes, found_in))
    return copies


def default_caches(home: str, environment: Mapping[str, str]) -> Mapping[str, List[str]]:
    """Where the SDKs of this user keep what they downloaded, as keyword arguments of local_copies."""
    cache = environment.get("XDG_CACHE_HOME") or posixpath.join(home, ".cache")
    hugging_face = environment.get("HF_HOME") or posixpath.join(cache, "huggingface")
    return {
        "modelscope_caches": [environment.get("MODELSCOPE_CACHE") or posixpath.join(home, ".cache", "modelscope")],
        "huggingface_caches": [environment.get("HF_HUB_CACHE") or posixpath.join(hugging_face, "hub")],
    }


def regular_file_size(path: str) -> Optional[int]:
    """None also for what others could have put there to have us wait for it, or read it to them."""
    try:
        return input_size(path)
    except OSError:
        return None


def _in_folders(
    folders: Sequence[str], lock: Mapping[str, Any], index: int, entry: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """As `modelscope download --local_dir` and people leave them: with the repository's folders or without."""
    path = merged_name(lock["files"][0]["path"]) if index == MERGED else entry["path"]
    for folder in folders:
        names = [path, posixpath.basename(path)]
        if lock.get("repo"):
            names += [posixpath.join(lock["repo"], path), posixpath.join(lock["repo"].replace("/", "--"), path)]
        for name in dict.fromkeys(names):
            yield f"folder {folder}", posixpath.join(folder, name)


def _in_ollama(stores: Sequence[str], entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Ollama's blobs are named by their checksum (ollama manifest/paths.go)."""
    if entry.get("sha256"):
        for store in stores:
            yield "Ollama store", posixpath.join(store, "blobs", f"sha256-{entry['sha256']}")


def _in_modelscope(
    caches: Sequence[str], lock: Mapping[str, Any], index: int, entry: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """modelscope_hub's snapshots, and the folders of its versions before 1.38 (dots written as three underscores)."""
    if index == MERGED or not lock.get("repo"):
        return
    owner, _separator, name = lock["repo"].partition("/")
    for cache in caches:
        for revision in dict.fromkeys((lock.get("revision"), lock.get("commit"), "master")):
            if revision:
                yield (
                    "ModelScope cache",
                    posixpath.join(cache, "models", f"{owner}--{name}", "snapshots", revision, entry["path"]),
                )
        for middle in ("models", "hub/models", "hub"):
            yield "ModelScope cache", posixpath.join(cache, middle, owner, name.replace(".", "___"), entry["path"])


def _in_huggingface(
    caches: Sequence[str], lock: Mapping[str, Any], index: int, entry: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """huggingface_hub's blobs, named by their checksum, and its snapshots that link to them."""
    if index == MERGED or not lock.get("repo"):
        return
    for cache in caches:
        folder = posixpath.join(cache, "models--" + lock["repo"].replace("/", "--"))
        if entry.get("sha256"):
            yield "Hugging Face cache", posixpath.join(folder, "blobs", entry["sha256"])
        if lock.get("commit"):
            yield "Hugging Face cache", posixpath.join(folder, "snapshots", lock["commit"], entry["path"])
