# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Choosing the files of one quant."""

from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.selection import (
    candidates,
    quant_name,
    select,
    shown_size,
)
from ansible_collections.gguf.fleet.tests.builders.listings import (
    deepseek,
    listed,
    shard_paths,
    shards,
)

WHERE = "unsloth/DeepSeek-R1-GGUF"


@pytest.mark.parametrize(
    ("stem", "quant"),
    [
        ("DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S", "UD-IQ1_S"),
        ("UD-Q2_K_XL/DeepSeek-V3.1-UD-Q2_K_XL", "UD-Q2_K_XL"),
        ("DeepSeek-R1.Q8_0", "Q8_0"),
        ("SmolLM2-135M-Instruct-Q4_1", "Q4_1"),
        ("Qwen2.5-7B-Instruct-q4_k_m", "Q4_K_M"),
        ("Qwen3-Coder-IQ4_NL", "IQ4_NL"),
        ("gpt-oss-120b-MXFP4_MOE", "MXFP4_MOE"),
        ("stories15M-q8_0", "Q8_0"),
        ("DeepSeek-R1-BF16/DeepSeek-R1.BF16", "BF16"),
        ("model-F16", "F16"),
        ("bitnet-TQ1_0", "TQ1_0"),
        ("Llama-3-Q4_K_M-imat", "Q4_K_M"),
        ("ggml-model", "ggml-model"),
        ("Qwen1.5-7B-Chat", "Qwen1.5-7B-Chat"),
    ],
)
def test_the_name_of_the_quant_is_read_from_the_file_name(stem: str, quant: str) -> None:
    assert quant_name(stem) == quant


@pytest.mark.parametrize(
    ("asked", "stem"),
    [
        ("UD-IQ1_S", "DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S"),
        ("ud-q2_k_xl", "DeepSeek-R1-UD-Q2_K_XL/DeepSeek-R1-UD-Q2_K_XL"),
        ("Q2_K_XL", "DeepSeek-R1-UD-Q2_K_XL/DeepSeek-R1-UD-Q2_K_XL"),
        ("Q2_K_L", "DeepSeek-R1-Q2_K_L/DeepSeek-R1-Q2_K_L"),
        ("DeepSeek-R1-UD-IQ1_M", "DeepSeek-R1-UD-IQ1_M/DeepSeek-R1-UD-IQ1_M"),
    ],
)
def test_a_quant_is_found_by_its_name_with_or_without_the_publishers_prefix(asked: str, stem: str) -> None:
    assert select(deepseek(), quant=asked, where=WHERE).stem == stem


def test_the_shards_come_in_their_order_however_the_hub_lists_them() -> None:
    chosen = select(list(reversed(deepseek())), quant="UD-Q2_K_XL", where=WHERE)
    assert [file.path for file in chosen.files] == shard_paths("DeepSeek-R1-UD-Q2_K_XL/DeepSeek-R1-UD-Q2_K_XL", 5)


def test_an_unknown_quant_gets_the_list_of_what_there_is_with_sizes() -> None:
    with pytest.raises(HubProblem) as error:
        select(deepseek(), quant="IQ3_M", where=WHERE)
    assert "unsloth/DeepSeek-R1-GGUF has no IQ3_M" in error.value.problem
    assert "UD-IQ1_S (120.0 MiB, 3 shards, DeepSeek-R1-UD-IQ1_S/" in error.value.problem
    assert "UD-Q2_K_XL (225.0 MiB, 5 shards" in error.value.problem


def test_nothing_asked_of_a_repository_with_several_quants_gets_the_list() -> None:
    with pytest.raises(HubProblem, match="holds 6 models"):
        select(deepseek(), where=WHERE)
    assert select(shards("only", 2), where=WHERE).stem == "only"


def test_the_same_quant_of_two_models_is_ambiguous() -> None:
    files = [listed("small-Q4_K_M.gguf"), listed("large-Q4_K_M.gguf")]
    with pytest.raises(HubProblem, match=r"fits 2 models.*small-Q4_K_M.gguf"):
        select(files, quant="Q4_K_M", where=WHERE)
    assert select(files, pattern="small*", where=WHERE).files == (files[0],)


@pytest.mark.parametrize(
    "pattern",
    [
        "DeepSeek-R1-UD-IQ1_S/*",
        "*UD-IQ1_S*",
        "DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S-*.gguf",
        "DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S-00001-of-00003.gguf",
    ],
)
def test_a_pattern_or_the_path_of_one_shard_chooses_the_whole_set(pattern: str) -> None:
    assert len(select(deepseek(), pattern=pattern, where=WHERE).files) == 3


def test_a_file_name_without_its_folder_gets_the_right_path() -> None:
    with pytest.raises(HubProblem) as error:
        select(deepseek(), pattern="DeepSeek-R1-UD-Q2_K_XL-00001-of-00005.gguf", where=WHERE)
    assert error.value.remedy == "Use DeepSeek-R1-UD-Q2_K_XL/DeepSeek-R1-UD-Q2_K_XL-00001-of-00005.gguf"


def test_a_pattern_for_a_part_of_a_set_is_refused_with_one_for_all_of_it() -> None:
    with pytest.raises(HubProblem) as error:
        select(deepseek(), pattern="*UD-IQ1_S-0000[12]*", where=WHERE)
    assert "2 of the 3 shards" in error.value.problem
    assert error.value.remedy == "Use DeepSeek-R1-UD-IQ1_S/DeepSeek-R1-UD-IQ1_S-*-of-00003.gguf"


def test_a_pattern_over_two_quants_is_ambiguous() -> None:
    with pytest.raises(HubProblem, match="fits 2 models"):
        select(deepseek(), pattern="*UD-IQ1*", where=WHERE)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_set_with_a_missing_shard_is_refused_by_its_number(missing: int) -> None:
    files = shards("a-Q4_0", 3)
    del files[missing]
    with pytest.raises(HubProblem, match=rf"2 of 3 shards are listed \(missing: {missing + 1}\)"):
        select(files, quant="Q4_0", where=WHERE)


def test_a_shard_beyond_the_count_is_refused() -> None:
    with pytest.raises(HubProblem, match="there is a shard 4 of 3"):
        select([*shards("a-Q4_0", 3), listed("a-Q4_0-00004-of-00003.gguf")], quant="Q4_0", where=WHERE)


def test_an_old_and_a_new_split_of_one_quant_are_two_models() -> None:
    with pytest.raises(HubProblem, match="fits 2 models"):
        select([*shards("a-Q4_0", 3), *shards("a-Q4_0", 4)], quant="Q4_0", where=WHERE)


def test_companions_of_a_model_are_no_quants() -> None:
    files = [listed("model-F16.gguf"), listed("mmproj-F16.gguf"), listed("imatrix.gguf"), listed("notes.txt")]
    assert [candidate.stem for candidate in candidates(files)] == ["model-F16"]


def test_a_repository_without_gguf_files_says_so() -> None:
    with pytest.raises(HubProblem, match="holds no GGUF file"):
        select([listed("model.safetensors")], where=WHERE)


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (None, "size not told"),
        (512, "512 bytes"),
        (1536, "1.5 KiB"),
        (140_232_638_464, "130.6 GiB"),
        (1 << 42, "4096.0 GiB"),
    ],
)
def test_sizes_are_shown_with_their_unit(size_bytes: int, shown: str) -> None:
    assert shown_size(size_bytes) == shown
