# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The table that every run ends with: each model of each host, what changed, what is left over, warned of, failed."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._host.sizes import shown_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._report.grid import (
    FAILURE_CHARACTERS,
    SENTENCE_CHARACTERS,
    grid,
    sentence,
)
from ansible_collections.gguf.fleet.plugins.module_utils._report.leftovers import leftovers
from ansible_collections.gguf.fleet.plugins.module_utils._report.results import NO_RESULT, Results

LINES_AT_MOST = 25
# More than three hosts may take so many lines more, each.
_LINES_A_HOST = 5
_CHANGES_SHOWN = 4
_HEADINGS = ("host", "model", "state", "{fetched}", "disk", "placement")


def table(
    names: Sequence[str],
    variables: Mapping[str, Any],
    fleet: Mapping[str, Any],
    alive: Sequence[str],
    check: bool = False,
) -> List[str]:
    """Lines to print, at most 25 for three hosts.

    Args:
        names: the hosts of the run, also those that failed.
        variables: by host, what its tasks left there; each has only `get`.
        fleet: the fleet value, as plain data.
        alive: the hosts that did not fail.
        check: whether the run only said what it would do.
    """
    hosts = {name: Results(variables[name]) for name in names if name in fleet["hosts"]}
    lost = {name: why for name, results in hosts.items() if name not in alive and (why := results.unreachable())}
    failed = {
        name: results.failure() or NO_RESULT
        for name, results in hosts.items()
        if name not in alive and name not in lost
    }
    ended = {**dict.fromkeys(failed, "FAILED"), **dict.fromkeys(lost, "UNREACHABLE")}
    rows = [
        row
        for name, results in hosts.items()
        for row in _rows(name, results, fleet["hosts"][name], check=check, ended=ended.get(name, ""))
    ]
    headings = [heading.format(fetched="to fetch" if check else "fetched") for heading in _HEADINGS]
    told = [
        *notes("UNREACHABLE", lost, str, FAILURE_CHARACTERS),
        *notes("FAILED", failed, str, FAILURE_CHARACTERS),
        *changes(hosts, ended, check=check),
        *notes("Left over", {name: leftovers(one, fleet["hosts"][name]) for name, one in hosts.items()}, "; ".join),
        *notes("Warning", {name: _warnings(one, fleet, name) for name, one in hosts.items()}, " ".join),
    ]
    room = max(LINES_AT_MOST, LINES_AT_MOST + _LINES_A_HOST * (len(hosts) - 3)) - 1
    # What failed comes first and is told in any case; models take what the notes leave them, at least half.
    told = _cut(told, max(room - len(rows), room // 2), "notes")
    return [*grid([headings, *_cut_rows(rows, room - len(told))]), *told]


def _rows(name: str, results: Results, host: Mapping[str, Any], *, check: bool, ended: str) -> Iterator[Sequence[str]]:
    """A row for each model; one for a host without any. ended: the word for a host that did not get to the end."""
    free = results.get("__host_info").get("free_bytes")
    disk = "" if free is None else f"{shown_bytes(free)} free"
    if not host["models"]:
        engines = " and ".join(host["engines"]) or "no engine"
        yield (name, "-", ended or f"no models, {engines}", "", disk, "")
        return
    files = _files(results, host)
    for index, model in enumerate(host["models"]):
        lock_name = model["lock_name"]
        first = index == 0
        same = next((one["name"] for one in host["models"][:index] if one["lock_name"] == lock_name), "")
        yield (
            name if first else "",
            model["name"],
            _state(model["name"], results, host, check=check, ended=ended),
            f"as {same}" if same else _fetched(files.get(index), results, lock_name, check=check),
            disk if first else "",
            _placement(model["name"], results),
        )


def _files(results: Results, host: Mapping[str, Any]) -> Dict[int, Mapping[str, Any]]:
    """What gguf_download told, by the number of the model in the declaration."""
    told = results.get("__models_downloaded").get("downloads") or ()
    return dict(enumerate(told)) if len(told) == len(host["models"]) else {}


def _fetched(file: Any, results: Results, lock_name: str, *, check: bool) -> str:
    if file is None:
        lock = (results.get("__models_resolved").get("locks") or {}).get(lock_name)
        return "not reached" if lock is None else f"not reached, {shown_bytes(_size(lock))}"
    if "size_bytes" not in file:
        return "failed"
    count = file.get("bytes_to_move") if check else file.get("bytes_moved")
    if not count:
        return f"nothing, {shown_bytes(file['size_bytes'])} {'to link' if file.get('changed') else 'there'}"
    sources = " and ".join(file.get("sources") or ())
    return f"{shown_bytes(count)}{' from ' + sentence(sources, 60) if sources else ''}"


def _size(lock: Mapping[str, Any]) -> int:
    return sum(int(file["size_bytes"]) for file in lock["files"])


def _state(model: str, results: Results, host: Mapping[str, Any], *, check: bool, ended: str) -> str:
    """The worst of what the servers of a model said."""
    told = results.get("__verify_here").get("endpoints") or ()
    answers = [one for endpoint, one in zip(host["endpoints"], told) if endpoint["model"] == model]
    if answers and all(one.get("verified") for one in answers):
        rates = [one["tokens_per_second"] for one in answers if one.get("tokens_per_second")]
        return f"answers, {min(rates):.1f} tokens/s" if rates else "answers"
    if any(one.get("problem") for one in answers):
        return "NO ANSWER"
    return ended or ("not asked yet" if check else "not asked")


def _placement(model: str, results: Results) -> str:
    """Where the plan puts it; a model with instances by the first of them."""
    plan = results.plan
    instances = [one["name"] for one in plan.get("instances") or () if one["model"] == model]
    found = plan["plans"].get(instances[0] if instances else model)
    if found is None:
        return "not planned"
    if not results.get("__host_info").get("gpus"):
        return "not checked: no GPUs seen" if found.get("fits") else "does not fit the RAM"
    if not found.get("fits"):
        return "does NOT fit"
    cards = sum(1 for device in found.get("per_device") or () if device.get("layers"))
    on, total = found.get("layers_on_gpu") or 0, found.get("layers_total") or 0
    what = f"{cards} GPU{'' if cards == 1 else 's'}" if on >= total else f"{on} of {total} layers on {cards} GPUs"
    return f"fits, {what}{f', {len(instances)} times' if len(instances) > 1 else ''}"


def changes(hosts: Mapping[str, Results], ended: Mapping[str, str], *, check: bool) -> List[str]:
    """What was changed on which hosts, and which stay as they were. ended: by host, why it did not get to the end."""
    found = {name: results.changes() for name, results in hosts.items()}
    changed = {name: changes for name, changes in found.items() if changes}
    alike = [name for name, changes in found.items() if not changes and name not in ended]
    lines = notes("Would change" if check else "Changed", changed, _shortened)
    if alike:
        lines.append(sentence(f"Nothing to change on {_names(alike)}." if check else f"Unchanged: {_names(alike)}."))
    return lines


def _shortened(changes: Sequence[str]) -> str:
    shown = [sentence(change, 90) for change in changes[:_CHANGES_SHOWN]]
    more = len(changes) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _warnings(results: Results, fleet: Mapping[str, Any], name: str) -> List[str]:
    plan, note = results.plan, (fleet.get("notes") or {}).get(name)
    found = [*([note] if note else ()), *(plan.get("refusals") or ()), *(plan.get("warnings") or ())]
    if any(endpoint["open"] for endpoint in fleet["hosts"][name]["endpoints"]):
        found.append("Open to the network without authentication.")
    for one in results.each():
        waits = one.get("restart_pending") or ()
        found += [f"A restart is due: {', '.join(map(str, waits))}."] if waits else []
    return list(dict.fromkeys(map(str, found)))


def notes(
    title: str, told: Mapping[str, Any], text: Callable[[Any], str], limit: int = SENTENCE_CHARACTERS
) -> List[str]:
    """One line for each host of which there is something to tell; hosts of which the same is told share a line."""
    by_text: Dict[str, List[str]] = {}
    for name, what in told.items():
        if what:
            by_text.setdefault(text(what), []).append(name)
    return [sentence(f"{title}: {_names(names)}: {words}", limit) for words, names in by_text.items()]


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:4])} and {len(names) - 4} more"


def _cut(lines: List[str], limit: int, what: str) -> List[str]:
    return lines if len(lines) <= limit else [*lines[: limit - 1], f"… and {len(lines) - limit + 1} more {what}"]


def _cut_rows(rows: List[Sequence[str]], limit: int) -> List[Sequence[str]]:
    if len(rows) <= limit:
        return rows
    more = f"… and {len(rows) - limit + 1} more models"
    return [*rows[: limit - 1], ("", more, "", "", "", "")]
