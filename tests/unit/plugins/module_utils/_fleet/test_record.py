# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts reported is kept, completed and read again; what cannot be the record is refused."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet import record
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.record import RecordProblem, Reported

FIRST, SECOND = "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z"
CARD = {"index": 0, "uuid": "GPU-1", "name": "H20", "memory_total_bytes": 9, "memory_free_bytes": 5, "processes": []}
KEPT = {"index": 0, "uuid": "GPU-1", "name": "H20", "memory_total_bytes": 9}
ADOPTED = {"models_dir": "/m", "environment": {"OLLAMA_HOST": "0.0.0.0:1", "HF_TOKEN": "hf_planted", "OWN": "planted"}}


def test_only_lasting_facts_without_secrets_are_kept() -> None:
    told = record.reported({"__host_info": {"gpus": [CARD], "memory_bytes": 7}, "__ollama_info": {"adopted": ADOPTED}})
    assert (told.gpus, told.ram_bytes) == ((KEPT,), 7)
    assert told.adopted == {"models_dir": "/m", "environment": {"OLLAMA_HOST": "0.0.0.0:1"}}
    assert "planted" not in record.text_of({"h": told})
    assert record.reported({"__ollama_info": {"adopted": {}}}).adopted == {}
    done = {"version": "0.33.2", "sha256": ["a" * 64]}
    release = record.reported({"__llama_cpp_info": {"architecture": "arm64"}, "__ollama_installed": done})
    assert (release.architecture, release.releases) == ("arm64", {"ollama": "0.33.2"})
    unproved: dict[str, Any]
    for unproved in ({"sha256": []}, {"sha256": [""]}, {"failed": True}):
        assert record.reported({"__llama_cpp_installed": {**done, **unproved}}) == Reported()
    assert record.reported({}) == record.reported({"__host_info": {"failed": True}}) == Reported()


def test_a_report_goes_over_the_one_before_and_leaves_what_it_does_not_say() -> None:
    before = record.updated({}, {"a": Reported(gpus=(KEPT,)), "b": Reported(ram_bytes=7), "c": Reported()}, FIRST)
    assert set(before) == {"a", "b"}, "a host that reported nothing has no entry"
    after = record.updated(before, {"a": Reported(adopted={}), "b": Reported()}, SECOND)
    assert after == {"a": Reported((KEPT,), None, {}, SECOND), "b": Reported(None, 7, None, FIRST)}
    assert set(record.updated(after, {}, SECOND, ["a"])) == {"b"}
    both = Reported(architecture="amd64", releases={"ollama": "1"}).over(Reported(releases={"llama_cpp": "b1"}))
    assert both.releases == {"ollama": "1", "llama_cpp": "b1"}


def test_it_is_written_whole_and_read_again_under_any_umask(tmp_path: Path) -> None:
    path = tmp_path / ".gguf-fleet" / "record.json"
    hosts = {"h": Reported((KEPT,), 8, {}, FIRST, "amd64", {"ollama": "0.33.2"})}
    assert record.load(str(path)) == {}
    old = os.umask(0o077)
    try:
        with record.changing(str(path)) as directory:
            record.save(directory, str(path), hosts)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert record.load(str(path)) == hosts
    assert os.listdir(path.parent) == ["record.json"]


GOOD: dict[str, Any] = {"date": FIRST, "gpus": None, "ram_bytes": None, "adopted": None}


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 100_000, '{"version": 1, "hosts": [1]}', '{"version": 2, "hosts": {}}']
    + [
        json.dumps({"version": 1, "hosts": {"h": {**GOOD, **wrong}}})
        for wrong in (
            {"date": "\x1b[2J"},
            {"date": 1},
            {"gpus": 5},
            {"gpus": ["x"]},
            {"ram_bytes": "8"},
            {"adopted": 1},
            {"releases": [1]},
        )
    ],
)
def test_what_is_no_record_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(RecordProblem, match=r"/r\.json cannot be used: .* Remove it"):
        record.parse(text, "/r.json")


def test_the_value_goes_by_this_run_then_the_inventory_then_the_record() -> None:
    serve = [{"name": "a", "source": {"repo": "o/r", "quant": "Q4"}}]
    before = {
        "h": record.updated({}, {"h": Reported((KEPT,), 8, {"models_dir": "/old", "environment": {}})}, FIRST)["h"]
    }

    def host(**variables: Any) -> Any:
        return describe_fleet({"h": {"models_serve": serve, **variables}}, {}, {}, records=before).hosts["h"]

    declared = [{"name": "D", "memory_total_mib": 1}]
    assert (host().gpus, host().ram_bytes, host().engines["ollama"].store) == ((KEPT,), 8, "/old")
    assert host(fleet_gpus=declared, fleet_ram_gib=1).gpus == tuple(declared)
    assert host(fleet_gpus=declared).asked_gpus == (KEPT,)
    now = host(fleet_gpus=declared, __host_info={"gpus": [], "memory_bytes": 9}, __ollama_info={"adopted": {}})
    assert (now.gpus, now.asked_gpus, now.ram_bytes) == ((), (), 9)
    assert (host().unknown_address, now.unknown_address) == ("", "")
    unknown = describe_fleet({"h": {"models_serve": serve}}, {}, {}).hosts["h"]
    assert (unknown.asked_gpus, "never asked" in unknown.unknown_address) == (None, True)
