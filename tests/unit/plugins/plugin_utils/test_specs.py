# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of all hosts are held to what the roles declare, before a role runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible.errors import AnsibleUndefinedVariable

from ansible_collections.gguf.fleet.plugins.plugin_utils.specs import options, problems


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"ollama_restart": "sometimes"}, "ollama_restart must be one of: auto, never, drain"),
        ({"ollama_drain_seconds": "soon"}, "ollama_drain_seconds"),
        ({"llama_cpp_servers": {"name": "r1"}}, "llama_cpp_servers"),
        ({"verify_max_tokens": []}, "verify_max_tokens"),
        ({"models_plan": "maybe"}, "models_plan must be one of"),
    ],
)
def test_a_value_that_no_role_takes_is_said_with_its_host(variables: dict[str, Any], words: str) -> None:
    said = problems({"a": {}, "b": variables})
    assert said and all(one.startswith("b: ") and words in one for one in said)


def test_what_the_roles_take_and_variables_of_others_are_no_problem() -> None:
    right = {"ollama_drain_seconds": "600", "ollama_gpus": ["0", 1], "models_serve": [{"name": "r1"}], "mine": object()}
    assert problems({"a": right}) == []


def test_a_variable_that_must_be_set_is_not_asked_for_here() -> None:
    assert problems({"a": {}}) == []
    assert "required" not in {key for spec in options().values() for key in spec}


class Later(Mapping[str, Any]):
    """One variable wants what only a host tells."""

    def __contains__(self, name: object) -> bool:
        return name in ("ollama_gpus", "ollama_restart")

    def __getitem__(self, name: str) -> Any:
        if name == "ollama_gpus":
            raise AnsibleUndefinedVariable("'__host_info' is undefined")
        return "sometimes"

    def __iter__(self) -> Iterator[str]:
        return iter(("ollama_gpus", "ollama_restart"))

    def __len__(self) -> int:
        return 2


def test_a_variable_that_cannot_be_read_yet_hides_no_other() -> None:
    (said,) = problems({"a": Later()})
    assert "ollama_restart" in said
