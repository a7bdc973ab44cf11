# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What each host reported when it was last asked, kept on the controller for runs that do not ask it.

A run with `--limit`, or one that cannot reach a host, still plans for the whole inventory: GPUs, memory, and where an
adopted Ollama listens come from here then. No secret is kept, and nothing that changes by the minute.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterator, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.lock import wait_for_turn
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_in
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import ADOPTED, SEEN
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import is_open_variable

FOLDER, NAME = ".gguf-fleet", "record.json"
MIB = 2**20
# 1,000 hosts of 16 GPUs take about 8 MB.
MAX_BYTES = 64 * MIB
_VERSION = 1
# In which tasks keep what engine_info and engine_release told.
_LOOKED = (ADOPTED, "__llama_cpp_info")
_INSTALLED: Mapping[str, str] = {"ollama": "__ollama_installed", "llama_cpp": "__llama_cpp_installed"}
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_GPU_FIELDS = (
    *("index", "uuid", "name", "pci_bus_id", "architecture", "compute_capability", "memory_total_bytes"),
    *("memory_total_mib", "memory_reserved_bytes", "nvlink_peers", "numa_node", "usable", "count"),
)


class RecordProblem(Problem):
    """The record cannot be used."""


@dataclass(frozen=True)
class Reported:
    """What one host reported. None where it was never asked.

    gpus: as gpu_info names their lasting facts. ram_bytes: of the whole host. adopted: models_dir and environment of an
    Ollama that was taken over, empty where there is none. architecture: as archives name it, empty where it is not
    known. releases: by engine, the wanted version, where it has a verified copy. date: UTC, of the last report.
    """

    gpus: Optional[Tuple[Mapping[str, Any], ...]] = None
    ram_bytes: Optional[int] = None
    adopted: Optional[Mapping[str, Any]] = None
    date: str = ""
    architecture: str = ""
    releases: Mapping[str, str] = field(default_factory=dict)

    def over(self, before: Reported) -> Reported:
        """This report, completed by what an earlier one holds beyond it."""
        return Reported(
            gpus=before.gpus if self.gpus is None else self.gpus,
            ram_bytes=self.ram_bytes or before.ram_bytes,
            adopted=before.adopted if self.adopted is None else self.adopted,
            date=self.date or before.date,
            architecture=self.architecture or before.architecture,
            releases={**before.releases, **self.releases},
        )

    def as_dict(self) -> Dict[str, Any]:
        return {
            "date": self.date,
            "gpus": None if self.gpus is None else [dict(gpu) for gpu in self.gpus],
            "ram_bytes": self.ram_bytes,
            "adopted": None if self.adopted is None else dict(self.adopted),
            "architecture": self.architecture,
            "releases": dict(self.releases),
        }


def reported(variables: Any) -> Reported:
    """What a host's variables hold of its answers in this run. `variables` has only `get`."""
    seen = variables.get(SEEN)
    gpus = seen_gpus(seen)
    info = variables.get(ADOPTED)
    return Reported(
        gpus=None if gpus is None else tuple(_lasting(gpu) for gpu in gpus),
        ram_bytes=int(seen["memory_bytes"]) if gpus is not None else None,
        adopted=_adopted(info.get("adopted") or {}) if isinstance(info, Mapping) and "adopted" in info else None,
        architecture=next(filter(None, (_text_in(variables.get(name), "architecture") for name in _LOOKED)), ""),
        releases={
            engine: version for engine, name in _INSTALLED.items() if (version := _verified(variables.get(name)))
        },
    )


def _text_in(result: Any, name: str) -> str:
    return str(result.get(name) or "") if isinstance(result, Mapping) else ""


def _verified(installed: Any) -> str:
    """The version in the result of engine_release, if it is there and its checksums were compared."""
    version = _text_in(installed, "version")
    digests = installed.get("sha256") if version and not installed.get("failed") else ()
    return version if digests and all(digests) else ""


def seen_gpus(seen: Any) -> Optional[Sequence[Mapping[str, Any]]]:
    """The GPUs in the result of the module host; None where it did not look, or failed."""
    return seen["gpus"] if isinstance(seen, Mapping) and "gpus" in seen else None


def load(path: str) -> Dict[str, Reported]:
    """By host; none where there is no record yet. Raises RecordProblem."""
    try:
        text = read_file(os.path.realpath(path), limit_bytes=MAX_BYTES).decode("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, str(error)) from error
    return parse(text, path)


def parse(text: str, path: str) -> Dict[str, Reported]:
    """The record in this text; `path` is for the message."""
    try:
        content = json.loads(text)
        if content["version"] != _VERSION:
            raise _unusable(path, f"it has version {content['version']!r}, and {_VERSION} is known here")
        return {str(name): _entry(entry) for name, entry in content["hosts"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _unusable(path, "it is not what this collection writes") from error


def text_of(hosts: Mapping[str, Reported]) -> str:
    """The text of the file, the same for the same record."""
    content = {"version": _VERSION, "hosts": {name: hosts[name].as_dict() for name in sorted(hosts)}}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def shown(hosts: Mapping[str, Reported]) -> str:
    """The same without the dates, to see what changed."""
    return text_of({name: replace(entry, date="") for name, entry in hosts.items()}) if hosts else ""


def updated(
    before: Mapping[str, Reported], reports: Mapping[str, Reported], date: str, forgotten: Sequence[str] = ()
) -> Dict[str, Reported]:
    """The record after a run in which these hosts reported, and those are to be forgotten."""
    after = {name: entry for name, entry in before.items() if name not in forgotten}
    for name, report in reports.items():
        if report != Reported():
            after[name] = replace(report, date=date).over(after.get(name, Reported()))
    return after


@contextlib.contextmanager
def changing(path: str) -> Iterator[Directory]:
    """The directory of the record, made where it is missing, while no other run on this machine changes the record."""
    folder = os.path.dirname(os.path.abspath(path))
    with Directory.open(folder, make=True) as directory:
        wait_for_turn(directory)
        yield directory


def save(directory: Directory, path: str, hosts: Mapping[str, Reported]) -> None:
    """Write it whole, readable by all, owned by who runs this. Raises OSError."""
    owner = (os.geteuid(), os.getegid())
    write_in(directory, os.path.basename(path), text_of(hosts).encode(), mode=0o644, owner=owner)


def _lasting(gpu: Mapping[str, Any]) -> Dict[str, Any]:
    return {name: gpu[name] for name in _GPU_FIELDS if gpu.get(name) is not None}


def _adopted(adopted: Mapping[str, Any]) -> Dict[str, Any]:
    if not adopted:
        return {}
    environment = adopted.get("environment") or {}
    return {
        "models_dir": str(adopted["models_dir"]),
        "environment": {
            str(name): str(value) for name, value in environment.items() if is_open_variable(str(name), value)
        },
    }


def _entry(entry: Mapping[str, Any]) -> Reported:
    gpus, memory, adopted = entry["gpus"], entry["ram_bytes"], entry["adopted"]
    if not _DATE.fullmatch(entry["date"]) or isinstance(memory, (bool, float, str)):
        raise ValueError("date or ram_bytes")
    return Reported(
        gpus=None if gpus is None else tuple(_lasting(gpu) for gpu in gpus),
        ram_bytes=memory,
        adopted=None if adopted is None else _adopted(adopted),
        date=entry["date"],
        # Older records have neither.
        architecture=str(entry.get("architecture") or ""),
        releases={str(engine): str(version) for engine, version in (entry.get("releases") or {}).items()},
    )


def _unusable(path: str, reason: str) -> RecordProblem:
    return RecordProblem(
        f"The fleet's record {path} cannot be used: {reason}.",
        "Remove it; the next run that asks the hosts writes it again.",
    )
