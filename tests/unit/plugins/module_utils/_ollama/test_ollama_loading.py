# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any, Dict, List, Sequence, cast

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import parse_name
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama, Running
from ansible_collections.gguf.fleet.plugins.module_utils._engine.residency import Resident
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import loading
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.api_import import shown_fields
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.duration import parse_duration
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.loading import (
    keeps_for_ever,
    landing_warning,
    parse_keep_alive,
    unload,
    whole_file_seconds,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem, StaysInMemory

GIB = 2**30
R1 = parse_name("r1")
NOW, OLD = "sha256:now", "sha256:old"


class Full:
    """A server with models in memory under the name r1. It unloads what the name means now, unless that is busy."""

    url = "http://127.0.0.1:11434"

    def __init__(self, loaded: Sequence[str], busy: bool = False) -> None:
        self.loaded, self.busy = list(loaded), busy

    def running(self) -> List[Running]:
        resident = Resident(GIB, 0, 2048, "")
        return [Running("r1:latest", digest.rpartition(":")[2], resident) for digest in self.loaded]

    def models(self) -> List[Dict[str, Any]]:
        return [{"name": "r1:latest", "digest": NOW}]

    def load(self, _name: str, _limit_seconds: float, keep_alive: int) -> None:
        assert keep_alive == 0
        self.loaded = [digest for digest in self.loaded if digest != NOW or self.busy]

    def as_server(self) -> Ollama:
        return cast(Ollama, self)


def test_what_a_server_unloads_needs_no_restart() -> None:
    server = Full([NOW])
    assert unload(server.as_server(), R1, all_of_it=True) == []
    assert server.loaded == []


def test_what_a_server_cannot_unload_is_for_a_restart_or_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_OLDER_SECONDS", 0)
    (said,) = unload(Full([NOW, OLD]).as_server(), R1)
    assert "older weights as well (old)" in said
    with pytest.raises(StaysInMemory, match=r"older weights as well \(old\)"):
        unload(Full([NOW, OLD]).as_server(), R1, all_of_it=True)
    with pytest.raises(StaysInMemory, match="still in memory"):
        unload(Full([NOW], busy=True).as_server(), R1, 0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300", 300), ("-1", -1), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("-1s", -1), ("100ms", 0.1), ("+2m", 120)],
)
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-", "5 m", "1d", "m", "5m3", "forever", "1h-2m"])
def test_what_go_would_not_read_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


def test_keep_alive_goes_to_the_api_as_a_number_or_as_a_duration() -> None:
    assert [parse_keep_alive(text) for text in ("-1", "0", "30m")] == [-1, 0, "30m"]
    assert [keeps_for_ever(value) for value in (-1, "-1m", 0, "30m")] == [True, True, False, False]
    with pytest.raises(OllamaProblem, match="forever"):
        parse_keep_alive("forever")


def test_a_load_may_take_longer_the_larger_the_model_is() -> None:
    assert whole_file_seconds(100 * 10**6) == 301
    assert whole_file_seconds(226 * 10**9) == 2560


@pytest.mark.parametrize(
    ("vram", "said"), [(0, "runs on the CPU alone"), (7 * GIB, "70 % of it on the GPUs (7.0 of 10.0 GiB)")]
)
def test_a_model_that_is_not_wholly_on_the_gpus_is_told(vram: int, said: str) -> None:
    assert said in (landing_warning(R1, Resident(10 * GIB, vram, 2048, "")) or "")


def test_a_model_that_is_wholly_on_the_gpus_needs_no_words() -> None:
    assert landing_warning(R1, Resident(10 * GIB, 10 * GIB, 2048, "")) is None


def test_the_parameters_that_show_prints_are_read_back_without_loss() -> None:
    lines = ["num_ctx      1e+06", r'stop         "\"q\""', r'stop "<b>\u2028"', "use_mmap true", "seed 1.23e+12"]
    assert shown_fields({"parameters": "\n".join(lines)})["parameters"] == {
        "num_ctx": [1000000.0],
        "stop": ['"q"', "<b>\u2028"],
        "use_mmap": [True],
        "seed": [1230000000000.0],
    }
