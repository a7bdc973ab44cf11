# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a service was like before a change, kept on disk until the change is proven or undone.

A run may end at any point: its connection breaks, it is killed, the machine loses power. The next run finds the state
from before and puts it back. The files may hold keys, so they lie in a directory that only root can enter.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.removal import remove_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file
from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import Found
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

PENDING = os.environ.get("GGUF_FLEET_PENDING", "/var/lib/gguf-fleet/pending")


@dataclass(frozen=True)
class Before:
    """files: None for one that was not there; root: None where the links below it do not change; links: current and
    previous; reasons: why a restart was due already; begun: the service itself was started, stopped or restarted, or is
    about to be."""

    files: Mapping[str, Optional[Found]]
    root: Optional[str]
    links: Tuple[Optional[str], Optional[str]]
    served: bool
    enabled: bool
    reasons: Tuple[str, ...] = ()
    begun: bool = False


def make_directory() -> None:
    """Root's alone, whatever an earlier version made."""
    where, name = os.path.split(PENDING)
    with Directory.open(where, make=True) as parent, parent.enter(name, make=True, mode=0o700) as directory:
        os.fchmod(directory.fd, 0o700)


def read_files(paths: Sequence[str]) -> Dict[str, Found]:
    """Those that there are. Raises PathProblem for what is no regular file."""
    found = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            content = read_file(path).decode("utf-8", "surrogateescape")
            status = os.lstat(path)
            found[path] = Found(content, status.st_mode & 0o7777, (status.st_uid, status.st_gid))
    return found


def write(service: str, before: Before) -> None:
    told = {
        **{name: getattr(before, name) for name in ("root", "links", "served", "enabled", "reasons", "begun")},
        "files": {
            path: None if found is None else {"content": found.content, "mode": found.mode, "owner": found.owner}
            for path, found in before.files.items()
        },
    }
    make_directory()
    write_file(_path(service), json.dumps(told).encode(), mode=0o600)


def begin(service: str, before: Before) -> Before:
    """From here on the service itself is touched."""
    begun = replace(before, begun=True)
    write(service, begun)
    return begun


def read(service: str) -> Optional[Before]:
    """What an earlier run left that neither proved its change nor undid it."""
    try:
        told = json.loads(read_file(_path(service)))
        return Before(
            files={str(path): _found(found) for path, found in told["files"].items()},
            root=told["root"],
            links=(told["links"][0], told["links"][1]),
            served=bool(told["served"]),
            enabled=bool(told["enabled"]),
            reasons=tuple(str(reason) for reason in told["reasons"]),
            begun=bool(told["begun"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ServiceProblem(
            f"{_path(service)} is damaged ({error}).",
            "It holds the state before a change that did not end. Put the service in order by hand, then remove it.",
        ) from error


def clear(service: str) -> None:
    remove_file(_path(service))


def read_reasons(service: str) -> List[str]:
    """Why a restart is due since an earlier run."""
    try:
        return [str(reason) for reason in json.loads(read_file(_reasons_path(service)))]
    except (FileNotFoundError, ValueError, TypeError):
        return []


def write_reasons(service: str, reasons: Sequence[str]) -> None:
    """Keep them, or what was kept is removed where there are none."""
    if not reasons:
        remove_file(_reasons_path(service))
        return
    make_directory()
    write_file(_reasons_path(service), (json.dumps(list(reasons)) + "\n").encode(), mode=0o600)


def _found(told: Optional[Mapping[str, Any]]) -> Optional[Found]:
    if told is None:
        return None
    return Found(str(told["content"]), int(told["mode"]), (int(told["owner"][0]), int(told["owner"][1])))


def _path(service: str) -> str:
    return os.path.join(PENDING, f"{service}.before.json")


def _reasons_path(service: str) -> str:
    return os.path.join(PENDING, f"{service}.json")
