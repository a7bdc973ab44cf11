# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that are nearly ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.misspelt import OF_PLAYBOOKS, misspelt
from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import public_variables

ROOT = Path(__file__).resolve().parents[5]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ollama_verison", "ollama_version"),
        ("models_prun", "models_prune"),
        ("model_serve", "models_serve"),
        ("models_servee", "models_serve"),
        ("llama_cp_server", "llama_cpp_servers"),
    ],
)
def test_a_name_within_two_edits_is_refused_with_the_one_that_was_meant(name: str, meant: str) -> None:
    with pytest.raises(DeclarationProblem) as caught:
        describe_fleet({"h1": {name: 1}}, {}, {}, public=public_variables())
    said = caught.value.problem
    assert said == (
        f"h1: there is no variable {name}. Did you mean {meant}? If it is one of yours, add it to fleet_own_variables."
    )


def test_all_other_names_are_left_alone() -> None:
    fine = ("ollama_proxy_port", "models_of_the_month", "_ollama_version", "ansible_host", "group_names", "x")
    assert misspelt(fine, public_variables()) == []
    assert misspelt(public_variables(), public_variables()) == []


def test_a_name_that_the_user_means_so_is_left_alone() -> None:
    own = {"ollama_versions": ["0.5.7"], "fleet_own_variables": ["ollama_versions"]}
    assert describe_fleet({"h1": own}, {}, {}, public=public_variables()).hosts["h1"].engines == {}


def test_every_variable_of_the_playbooks_is_one_that_something_reads() -> None:
    files = [*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("plugins/**/*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in files if path.name != "misspelt.py")
    assert [name for name in OF_PLAYBOOKS if name not in text] == ["fleet_own_variables"]
