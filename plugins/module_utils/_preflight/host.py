# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A host before any engine: what every host of the fleet needs is made, and what others go by is told, in one go."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import parent_of
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file, remove_tree
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.shard_names import merged_name
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.ask import ask_gpus
from ansible_collections.gguf.fleet.plugins.module_utils._host import disk, haproxy, memory, models_directory
from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import shown_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._preflight import checks, look
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.finding import ERROR
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._service import ours

PYNVML_MODE = 0o644
# Notes of files that were downloaded or merged; others were only read.
_MADE_BY = {"lock", "sources"}


@dataclass(frozen=True)
class Wanted:
    """What a host should have.

    models_dir: the directory of the verified files; empty where the host is only looked at. pynvml_path: the directory
    of pynvml.py. pynvml_sha256: of the one that belongs there, empty where that is nobody's matter; pynvml: its
    content, as far as it was brought along.
    """

    models_dir: str
    pynvml_path: str
    pynvml_sha256: str = ""
    pynvml: Optional[bytes] = None


@dataclass(frozen=True)
class Done:
    """What was made, or would be, and what stays of what was to go."""

    actions: Tuple[str, ...]
    stays: Tuple[str, ...] = ()


def in_the_way(
    ports: Sequence[int],
    models_dir: str = "",
    needed_bytes: int = 0,
    found_in: Sequence[str] = (),
    *,
    needs_haproxy: bool = False,
) -> List[str]:
    """All that would stop a run on this host later, as far as a look tells it: sentences.

    Args:
        ports: that the engines are going to listen on.
        models_dir: the directory of the verified files.
        needed_bytes: of all files that belong there.
        found_in: other directories in which some of them may lie already.
        needs_haproxy: whether HAProxy is going to be set up here.
    """
    found = checks.judge_rights(os.geteuid()) + checks.judge_ports(ports, look.holders_of(ports))
    said = [f"{one.text} {one.remedy}" for one in found if one.level == ERROR]
    if needs_haproxy:
        try:
            haproxy.refuse_without()
        except Problem as problem:
            said.append(str(problem))
    return said + (_no_room(models_dir, needed_bytes, found_in) if models_dir and needed_bytes else [])


def _no_room(models_dir: str, needed_bytes: int, found_in: Sequence[str]) -> List[str]:
    """Only what is certain without reading a file: all that lies there counts, whatever it is. The download knows."""
    missing, free = needed_bytes - present_bytes(models_dir, *found_in), free_bytes(models_dir)
    if missing <= free:
        return []
    return [
        f"{models_dir} has {shown_bytes(free)} free, and the models need at least {shown_bytes(missing)} more. "
        "Free space, or name a directory on a larger file system in host_models_dir."
    ]


def present_bytes(*directories: str) -> int:
    """What the files below these and those that we made elsewhere take of their disks, each inode once."""
    paths = [path for directory in directories for path in look.files_below(directory)]
    taken: Dict[Tuple[int, int], int] = {}
    for path in [*paths, *(one["path"] for one in made()["files"])]:
        # What moves meanwhile is not looked at.
        with contextlib.suppress(OSError):
            status = os.stat(path)
            taken[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(taken.values())


def lacks_pynvml(wanted: Wanted) -> bool:
    """Whether the content has to be brought before anything can be done."""
    return wanted.pynvml is None and _other_pynvml(wanted)


def prepare(wanted: Wanted, *, check: bool) -> Done:
    """Make what is missing. Raises a Problem or OSError."""
    actions: List[str] = []
    if wanted.models_dir:
        actions += models_directory.present(wanted.models_dir, check=check).actions
    if _other_pynvml(wanted):
        path = _pynvml_file(wanted)
        actions.append(f"put the controller's pynvml into {path}")
        if not check and wanted.pynvml is not None:
            write_file(path, wanted.pynvml, mode=PYNVML_MODE, make_parents=True)
    return Done(tuple(actions))


def facts(pynvml_path: str, models_dir: str = "") -> Dict[str, Any]:
    """What a host is like, as plain data: its Python, its memory, its services of ours, its GPUs.

    With models_dir also what is free there, and what the ledger says that we made. Raises a Problem.
    """
    there = {"free_bytes": free_bytes(models_dir), "made": made()} if models_dir else {}
    return {
        **there,
        "python": {"version": ".".join(map(str, sys.version_info[:3])), "executable": sys.executable},
        "memory_bytes": memory.total_bytes(),
        "memory_available_bytes": memory.available_bytes(),
        "services": ours.all_services(),
        **ask_gpus(pynvml_path=pynvml_path).as_facts(),
    }


def free_bytes(models_dir: str) -> int:
    """What may be written where the verified files are, or are going to be."""
    return disk.free_bytes(disk.existing_directory(models_dir))


def made() -> Dict[str, Any]:
    """The verified files with their bytes, and the names of Ollama's models: of what we made and is there."""
    entries = Ledger().entries()
    return {
        "files": [
            {"path": entry.path, "size_bytes": entry.size_bytes}
            for entry in entries
            if entry.kind == "file" and _MADE_BY & set(entry.notes) and entry.is_current()
        ],
        "models": sorted(
            {str(entry.notes["model"]) for entry in entries if "model" in entry.notes and os.path.lexists(entry.path)}
        ),
    }


def clear(models_dir: str, *, check: bool) -> Done:
    """Take away the verified files that we made, and then our state with its ledger. Raises a Problem or OSError."""
    files = models_directory.absent(models_dir, check=check)
    elsewhere = _elsewhere(models_dir)
    done = (*files.actions, *(f"remove {path}" for path in elsewhere))
    state = Ledger().directory
    if not os.path.lexists(state):
        return Done(done, files.stays)
    if not check:
        for path in elsewhere:
            remove_file(path)
            _remove_empty_folders(path)
        remove_tree(state)
    return Done((*done, f"remove {state}"), files.stays)


def _elsewhere(models_dir: str) -> List[str]:
    """Files that we made in a directory that was the one of the verified files before."""
    below = os.path.join(os.path.abspath(models_dir), "")
    return [one["path"] for one in made()["files"] if not one["path"].startswith(below)]


def _remove_empty_folders(path: str) -> None:
    """That of the repository, and the directory of the verified files itself; shards have one of their own as well."""
    folder, name = os.path.split(path)
    with contextlib.suppress(OSError):
        for _level in range(2 if merged_name(name) == name else 3):
            with parent_of(folder) as (parent, name):
                os.rmdir(name, dir_fd=parent.fd)
            folder = os.path.dirname(folder)


def _pynvml_file(wanted: Wanted) -> str:
    return os.path.join(wanted.pynvml_path, "pynvml.py")


def _other_pynvml(wanted: Wanted) -> bool:
    """Whether the file is missing, is another one, or is one that root's Python should not read."""
    if not wanted.pynvml_sha256:
        return False
    path = _pynvml_file(wanted)
    try:
        status = os.lstat(path)
        digest = hashlib.sha256(read_file(path)).hexdigest()
    except FileNotFoundError:
        return True
    return digest != wanted.pynvml_sha256 or status.st_uid != os.geteuid() or status.st_mode & 0o777 != PYNVML_MODE
