# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.gguf.fleet.plugins.filter.ollama_environment import FilterModule

NEW = "0.33.2"


def test_the_filter_hands_the_problem_on_as_ansibles_own_error() -> None:
    check = FilterModule().filters()["ollama_environment"]
    assert check({"OLLAMA_SCHED_SPREAD": True}, NEW) == {"OLLAMA_SCHED_SPREAD": "1"}
    with pytest.raises(AnsibleFilterError, match="OLLAMA_SCHED_SPREAD=sometimes"):
        check({"OLLAMA_SCHED_SPREAD": "sometimes"}, NEW)
    with pytest.raises(AnsibleFilterError, match="takes a dict"):
        check("OLLAMA_SCHED_SPREAD=1", NEW)
