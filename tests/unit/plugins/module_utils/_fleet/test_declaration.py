# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import DeclarationProblem, declare, sources
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.files import destination

CATALOG: Dict[str, Dict[str, Any]] = {
    "deepseek-r1": {
        "hub": "modelscope",
        "repo": "unsloth/DeepSeek-R1-GGUF",
        "template": "deepseek-r1",
        "parameters": {"ollama": {"num_ctx": 2048, "stop": ["<｜User｜>"]}, "llama_cpp": {"ctx-size": 2048}},
        "quants": {
            "UD-IQ1_M": {"aliases": ["1.73bit"], "pattern": "DeepSeek-R1-UD-IQ1_M/*.gguf"},
            "UD-Q2_K_XL": {"aliases": ["2.51bit"], "pattern": "DeepSeek-R1-UD-Q2_K_XL/*.gguf"},
        },
    },
    "tiny": {"hub": "modelscope", "repo": "lab/tiny", "quants": {"Q4_1": {"pattern": "Q4_1/*.gguf"}}},
}


def test_an_alias_of_a_quant_becomes_its_pattern() -> None:
    model = declare([{"name": "r1", "catalog": "deepseek-r1", "quant": "1.73bit"}], CATALOG)[0]
    assert model["source"]["quant"] == "UD-IQ1_M"
    assert model["source"]["pattern"] == "DeepSeek-R1-UD-IQ1_M/*.gguf"
    assert model["lock_name"] == "unsloth/DeepSeek-R1-GGUF:UD-IQ1_M"
    assert (model["engine"], model["layout"], model["template"]) == ("ollama", "merged", "deepseek-r1")


def test_parameters_of_the_entry_go_over_those_of_the_catalog() -> None:
    entry = {"name": "r1", "catalog": "deepseek-r1", "quant": "2.51bit", "parameters": {"num_ctx": 8192, "num_gpu": 14}}
    assert declare([entry], CATALOG)[0]["parameters"] == {"num_ctx": 8192, "num_gpu": 14, "stop": ["<｜User｜>"]}


def test_each_engine_gets_its_own_parameters() -> None:
    entry = {"name": "r1", "catalog": "deepseek-r1", "quant": "2.51bit", "engine": "llama_cpp"}
    assert declare([entry], CATALOG)[0]["parameters"] == {"ctx-size": 2048}


def test_the_only_quant_of_a_model_needs_no_name_and_the_name_defaults_to_the_catalog_s() -> None:
    model = declare([{"catalog": "tiny"}], CATALOG, engine="llama_cpp")[0]
    assert (model["name"], model["source"]["quant"], model["layout"]) == ("tiny", "Q4_1", "shards")


def test_a_mirror_s_endpoint_keeps_the_catalog_s_repository() -> None:
    entry = {"catalog": "tiny", "source": {"endpoint": "http://127.0.0.1:8080"}}
    source = declare([entry], CATALOG)[0]["source"]
    assert (source["endpoint"], source["repo"], source["pattern"]) == (
        "http://127.0.0.1:8080",
        "lab/tiny",
        "Q4_1/*.gguf",
    )


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([{"catalog": "deepseek-r2"}], "Did you mean 'deepseek-r1'"),
        ([{"catalog": "deepseek-r1"}], "UD-IQ1_M, 1.73bit; UD-Q2_K_XL, 2.51bit"),
        ([{"catalog": "deepseek-r1", "quant": "Q9"}], "knows no quant 'Q9'"),
        ([{"name": "x", "source": {"repo": "a/b", "quant": "Auto"}}], "Set `quant:` to the name of one,"),
        (
            [{"catalog": "deepseek-r1", "quant": "auto", "source": {"repo": "a/b"}}],
            "chosen among those of the catalog",
        ),
        ([{"name": "x"}], "it does not say where the files come from"),
        ([{"quant": "Q4_1"}], "has no name"),
        ([{"catalog": "tiny", "engine": "vllm"}], "there is no engine 'vllm'"),
        ([{"catalog": "tiny", "paramters": {}}], "Did you mean 'parameters'"),
        ([{"catalog": "tiny", "source": {"mirror": "x"}}], "there is no setting 'mirror'"),
        ([{"catalog": "tiny"}, {"name": "Tiny", "catalog": "tiny"}], "names 'Tiny' twice"),
    ],
)
def test_a_bad_declaration_is_refused_with_what_to_write(entries: Any, says: str) -> None:
    with pytest.raises(DeclarationProblem) as refusal:
        declare(entries, CATALOG)
    assert says in str(refusal.value)


def test_a_fleet_s_sources_are_listed_once() -> None:
    entries = [
        {"catalog": "tiny"},
        {"name": "again", "catalog": "tiny"},
        {"catalog": "deepseek-r1", "quant": "2.51bit"},
    ]
    assert [source["lock_name"] for source in sources(entries, CATALOG)] == [
        "lab/tiny:Q4_1",
        "unsloth/DeepSeek-R1-GGUF:UD-Q2_K_XL",
    ]


def test_a_quant_that_is_left_to_the_fleet_has_a_lock_of_its_name_and_candidates_in_their_order() -> None:
    entry = {"name": "r1", "catalog": "deepseek-r1", "quant": "Auto"}
    (model,) = declare([entry], CATALOG)
    assert (model["lock_name"], model["source"]["quant"], model["source"]["pattern"]) == ("r1:auto", "auto", None)
    assert list(model["candidates"]) == ["UD-IQ1_M", "UD-Q2_K_XL"]
    (undecided,) = sources([entry, entry | {"parameters": {"num_ctx": 1}}], CATALOG)
    assert undecided["source"]["quant"] == "auto"
    (decided,) = sources([entry], CATALOG, {"r1:auto": "UD-Q2_K_XL"})
    assert (decided["lock_name"], decided["source"]["pattern"]) == ("r1:auto", "DeepSeek-R1-UD-Q2_K_XL/*.gguf")


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({"name": "r1", "catalog": "deepseek-r1", "quant": "2.51bit"}, "One name means one quant"),
        (
            {"name": "other", "catalog": "deepseek-r1", "quant": "1.73bit", "source": {"revision": "v2"}},
            "declared with two different sources",
        ),
    ],
)
def test_two_hosts_may_not_mean_different_bytes_by_the_same_words(second: Any, says: str) -> None:
    first = {"name": "r1", "catalog": "deepseek-r1", "quant": "1.73bit"}
    with pytest.raises(DeclarationProblem, match=says):
        sources([first, second], CATALOG)


@pytest.mark.parametrize(
    ("first", "layout", "path"),
    [
        ("D/R1-UD-IQ1_M-00001-of-00004.gguf", "merged", "/m/o--r/R1-UD-IQ1_M.gguf"),
        ("D/R1-UD-IQ1_M-00001-of-00004.gguf", "shards", "/m/o--r/R1-UD-IQ1_M"),
        ("whole.gguf", "merged", "/m/o--r/whole.gguf"),
    ],
)
def test_the_merged_file_carries_the_shards_name(first: str, layout: str, path: str) -> None:
    assert destination({"repo": "o/r", "files": [{"path": first}]}, layout, "/m") == path
