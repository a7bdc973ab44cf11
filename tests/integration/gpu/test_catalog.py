# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped catalog: complete, resolvable by the names that people use, and enough to plan with."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import declare
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import read_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.info import describe
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.memory import Load, kv_bytes
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import BUILT_IN
from ansible_collections.gguf.fleet.tests.builders.models import deepseek_r1
from ansible_collections.gguf.fleet.tests.conformance.gpu.families import family

ROOT = Path(__file__).resolve().parents[3]
CATALOG = yaml.safe_load((ROOT / "roles/models/vars/catalog.yml").read_text())["_models_catalog"]


@pytest.mark.parametrize("name", CATALOG)
def test_an_entry_says_where_the_files_are_and_how_the_model_is_talked_to(name):
    entry = CATALOG[name]
    assert {"hub", "repo", "license", "quants", "parameters"} <= set(entry)
    assert entry.get("template", "chatml") in BUILT_IN
    assert set(entry["parameters"]) == {"ollama", "llama_cpp"}
    for quant in entry["quants"].values():
        assert quant["pattern"].endswith(".gguf")
        assert not re.search(r"-of-\d", quant["pattern"]), "shard counts change when a publisher splits again"
    sized = [quant for quant in entry["quants"].values() if {"size_gib", "published_gb"} & set(quant)]
    assert "facts" in entry or not sized, "a size alone plans nothing"
    if "facts" in entry:
        model = model_from_facts({**entry["facts"], "size_bytes": 10**9})
        assert model.context_length > 0 and not model.unknown


# Entries whose facts are the dimensions of a family that is compared with llama.cpp's own numbers.
FAMILIES = {
    "qwen3-235b-a22b-instruct-2507": "qwen3-235b-a22b",
    "qwen3-235b-a22b-thinking-2507": "qwen3-235b-a22b",
    "qwen3-next-80b-a3b-instruct": "qwen3-next-80b-a3b",
    "qwen3-32b": "qwen3-32b",
    "qwen3.5-397b-a17b": "qwen3.5-397b-a17b",
    "qwen3.5-35b-a3b": "qwen3.5-35b-a3b",
    "qwen3.5-27b": "qwen3.5-27b",
    "glm-4.5": "glm-4.5",
    "glm-4.5-air": "glm-4.5-air",
    "glm-4.6": "glm-4.5",
    "kimi-k2-instruct-0905": "kimi-k2",
    "kimi-k2-thinking": "kimi-k2",
    "minimax-m2.5": "minimax-m2",
    "minimax-m3": "minimax-m3",
    "gpt-oss-120b": "gpt-oss-120b",
    "llama-4-scout": "llama-4-scout",
    "llama-4-maverick": "llama-4-maverick",
    "gemma-4-31b-it": "gemma-4-31b",
    "mistral-small-3.2-24b": "mistral-small-24b",
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_familys_facts_in_the_catalog_cache_as_much_as_its_header(name):
    known = model_from_facts({**CATALOG[name]["facts"], "size_bytes": 10**11})
    header = model_from_facts(family(FAMILIES[name]).facts())
    for load in (Load(num_ctx=4096), Load(num_ctx=32768, num_parallel=4)):
        assert [kv_bytes(known, block, load) for block in known.blocks] == [
            kv_bytes(header, block, load) for block in header.blocks
        ]


def test_patterns_fit_the_names_that_publishers_give():
    for name, quant, path in (
        ("minimax-m3", "UD-Q4_K_XL", "UD-Q4_K_XL/MiniMax-M3-UD-Q4_K_XL-00001-of-00007.gguf"),
        ("deepseek-v3.2", "UD-IQ1_S", "UD-IQ1_S/DeepSeek-V3.2-UD-IQ1_S-00001-of-00004.gguf"),
        ("gpt-oss-120b", "MXFP4", "gpt-oss-120b-mxfp4-00001-of-00003.gguf"),
        ("qwen3.5-27b", "UD-Q4_K_XL", "Qwen3.5-27B-UD-Q4_K_XL.gguf"),
        ("glm-4.6", "UD-Q2_K_XL", "UD-Q2_K_XL/GLM-4.6-UD-Q2_K_XL-00001-of-00003.gguf"),
    ):
        assert fnmatch.fnmatchcase(path, CATALOG[name]["quants"][quant]["pattern"]), path


@pytest.mark.parametrize(
    ("asked", "quant", "folder"),
    [
        ("2.51bit", "UD-Q2_K_XL", "DeepSeek-R1-UD-Q2_K_XL"),
        ("2.22-bit", "UD-IQ2_XXS", "DeepSeek-R1-UD-IQ2_XXS"),
        ("1.73bit", "UD-IQ1_M", "DeepSeek-R1-UD-IQ1_M"),
        ("IQ1_S", "UD-IQ1_S", "DeepSeek-R1-UD-IQ1_S"),
    ],
)
def test_the_articles_words_name_a_quant_with_its_folder(asked, quant, folder):
    (model,) = declare([{"catalog": "deepseek-r1", "quant": asked}], CATALOG)
    assert (model["source"]["quant"], model["source"]["pattern"]) == (quant, f"{folder}/*.gguf")
    assert model["parameters"]["temperature"] == 0.6


@pytest.mark.parametrize("mla", [False, True])
def test_catalog_facts_cache_as_much_as_the_headers(mla):
    known = model_from_facts({**CATALOG["deepseek-r1-0528" if mla else "deepseek-r1"]["facts"], "size_bytes": 10**11})
    header = model_from_facts(deepseek_r1("IQ1_S", mla=mla).facts())
    load = Load(num_ctx=8192)
    assert [kv_bytes(known, block, load) for block in known.blocks] == [
        kv_bytes(header, block, load) for block in header.blocks
    ]
    assert (known.latent, known.legacy_deepseek, known.vocab_size) == (mla, not mla, header.vocab_size)


def test_the_small_models_facts_are_those_of_its_file(smollm2):
    real = describe([read_header(str(smollm2.whole))])
    facts = CATALOG["smollm2-135m-instruct"]["facts"]
    assert {key: real[key] for key in facts} == facts


def test_a_size_comes_from_the_lock_then_from_the_catalog_and_is_never_invented():
    def gguf(model, locks):
        value = describe_fleet({"h": {"models_serve": [model]}}, CATALOG, locks).as_dict()
        ((quant,),) = value["quants"].values()
        return quant["gguf"]

    declared = {"catalog": "deepseek-r1", "quant": "1.58bit"}
    lock_name = "unsloth/DeepSeek-R1-GGUF:UD-IQ1_S"
    locked = {lock_name: {"files": [{"path": "a.gguf", "size_bytes": 1}], "gguf": {"name": "from the lock"}}}
    assert gguf(declared, locked)["name"] == "from the lock"
    assert gguf(declared, {})["size_bytes"] == int(130.60 * 1024**3)
    assert gguf({"name": "x", "source": {"repo": "some/repo", "quant": "Q4_K_M"}}, {}) is None
