# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of lock files: any text or value is a lock of harmless words, or a plain refusal."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from time import process_time
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import hub_secrets
    from ansible_collections.gguf.fleet.plugins.module_utils._lock import lock_file
    from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock, difference
    from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
    from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request
    from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control
    from ansible_collections.gguf.fleet.plugins.module_utils._transfer.plan.layout import locked_files

MAX_SECONDS = 2
SUM = "a" * 64
LOCK: dict[str, Any] = {
    "lock_version": 1,
    "hub": "modelscope",
    "endpoint": "https://hub.test",
    "repo": "a/b",
    "revision": "master",
    "commit": "c" * 40,
    "quant": "Q8_0",
    "files": [
        {
            "path": f"x/x-Q8_0-0000{number}-of-00002.gguf",
            "size_bytes": 100,
            "sha256": SUM,
            "url": "https://hub.test/x",
            "header_bytes": 10,
            "header_sha256": SUM,
        }
        for number in (1, 2)
    ],
    "gguf": {},
    "merged": {"size_bytes": 190, "sha256": None},
    "seal": {"piece_bytes": 64, "pieces": {f"x/x-Q8_0-0000{number}-of-00002.gguf": [SUM, SUM] for number in (1, 2)}},
}
ASKED = Request(hub="modelscope", repo="a/b", quant="Q8_0")


def one_input(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    started = process_time()
    if given.ConsumeBool():
        check_text(given.ConsumeUnicode(given.remaining_bytes()))
    else:
        lock = copy.deepcopy(LOCK)
        for _change in range(given.ConsumeIntInRange(1, 3)):
            change(given, lock)
        check_value(lock)
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


def change(given: Any, lock: dict[str, Any]) -> None:
    """Put any value somewhere."""
    place: Any = lock
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = keys[given.ConsumeIntInRange(0, len(keys) - 1)]
        if isinstance(place[key], (dict, list)) and place[key] and given.ConsumeProbability() < 0.8:
            place = place[key]
            continue
        place[key] = any_value(given, place[key])
        return


def any_value(given: Any, before: Any) -> Any:
    kind = given.ConsumeIntInRange(0, 8)
    if kind == 0:
        return given.ConsumeInt(8)
    if kind == 1:
        return given.ConsumeFloat()
    if kind == 2:
        return None
    if kind == 3:
        return given.ConsumeBool()
    if kind == 4:
        return [given.ConsumeUnicode(5)]
    if kind == 5:
        return {given.ConsumeUnicode(5): given.ConsumeInt(2)}
    if kind == 6 and isinstance(before, str):
        return before + given.ConsumeUnicode(3)
    if kind == 7 and isinstance(before, str):
        return given.ConsumeUnicode(10) + before
    return given.ConsumeUnicode(30)


def check_text(text: str) -> None:
    for given in (text, f"locks: {{a: {text}}}", f"locks:\n  a: {text}\n"):
        try:
            locks = lock_file.parse(given, "models.lock.txt")
        except HubProblem as problem:
            assert problem.problem and problem.remedy
            continue
        for name in locks:
            try:
                lock_file.checked(locks, name, "models.lock.txt")
            except HubProblem as problem:
                assert problem.problem and problem.remedy


def check_value(lock: Any) -> None:
    try:
        checked = check_lock(lock)
    except HubProblem as problem:
        assert not has_control(problem.problem), ascii(problem.problem)
        return
    words = [checked[key] for key in ("endpoint", "repo", "revision", "commit", "quant")]
    words += [file[key] for file in checked["files"] for key in ("path", "url")]
    for word in words:
        assert word is None or not has_control(word), ascii(word)
    for file in locked_files(checked):
        assert ".." not in file.path.split("/") and not file.path.startswith("/")
        assert file.url.startswith("file:") == (checked["hub"] == "path")
    hub_secrets(checked, "token")
    difference(checked, ASKED)
    lock_file.shown({"a": checked})


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
