# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import parse_name
from ansible_collections.gguf.fleet.plugins.module_utils._engine.residency import Resident
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.api_import import shown_fields
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.duration import parse_duration
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.loading import (
    keeps_for_ever,
    landing_warning,
    parse_keep_alive,
    whole_file_seconds,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem

GIB = 2**30
R1 = parse_name("r1")


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
