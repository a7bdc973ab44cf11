# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of what hubs list: any entries are files with harmless names, or a plain refusal."""

from __future__ import annotations

import sys
from pathlib import Path
from time import process_time
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._lock import url as url_hub
    from ansible_collections.gguf.fleet.plugins.module_utils._lock.listing import listed_file, refuse_duplicates
    from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
    from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request
    from ansible_collections.gguf.fleet.plugins.module_utils._lock.selection import select
    from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control

MAX_SECONDS = 2
PARTS = ["DeepSeek-R1", "-UD", "-Q2_K_XL", "-IQ1_S", "-00001-of-00002", "-00002-of-00002", ".gguf", "/", "..", "mmproj"]


def one_input(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    started = process_time()
    check_listing(given)
    check_address(given)
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


def check_listing(given: Any) -> None:
    files = []
    for _file in range(given.ConsumeIntInRange(0, 6)):
        try:
            listed = listed_file(a_path(given), a_value(given), a_value(given), "https://hub.test/x", where="a/b")
        except HubProblem as problem:
            assert problem.remedy and not has_control(problem.problem), ascii(problem.problem)
            continue
        assert not has_control(listed.path) and ".." not in listed.path.split("/") and listed.path[0] != "/"
        assert listed.size_bytes is None or listed.size_bytes >= 0
        files.append(listed)
    quant = given.ConsumeUnicode(8) if given.ConsumeBool() else None
    pattern = None if quant else given.ConsumeUnicode(12) or None
    try:
        chosen = select(refuse_duplicates(files, where="a/b"), quant=quant, pattern=pattern, where="a/b")
    except HubProblem as problem:
        assert problem.problem and problem.remedy
        return
    assert len(chosen.files) == chosen.count and not has_control(chosen.quant)


def a_path(given: Any) -> Any:
    if given.ConsumeProbability() < 0.05:
        return a_value(given)
    path = ""
    for _part in range(given.ConsumeIntInRange(1, 6)):
        path += PARTS[given.ConsumeIntInRange(0, len(PARTS) - 1)] if given.ConsumeBool() else given.ConsumeUnicode(3)
    return path


def a_value(given: Any) -> Any:
    kind = given.ConsumeIntInRange(0, 5)
    return [None, given.ConsumeInt(9), given.ConsumeUnicode(70), given.ConsumeFloat(), "a" * 64, 10**5000][kind]


def check_address(given: Any) -> None:
    """Addresses of the hub url, which an inventory or a link on a page names."""
    address = given.ConsumeUnicode(given.remaining_bytes())
    for link in (address, f"https://hub.test/{address}", f"http://{address}/x-00001-of-00002.gguf"):
        try:
            url_hub.list_repository(Request(hub="url", urls=(link,)), None)
        except HubProblem as problem:
            assert problem.problem and problem.remedy


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
