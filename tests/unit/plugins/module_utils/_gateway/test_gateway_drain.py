# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway import admin, drain

# As HAProxy 2.6 writes it, the columns that count.
STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight
3 model_r1 1 gpu-1_ollama 192.0.2.1 2 8 1
3 model_r1 2 gpu-2_ollama 192.0.2.2 2 0 1
4 ready_model_r1 1 gpu-1_ollama 192.0.2.1 2 0 1

"""


def test_the_state_of_each_server_is_read_by_the_names_of_its_columns() -> None:
    assert [(row["be_name"], row["srv_name"], row["srv_admin_state"]) for row in drain.states(STATE)] == [
        ("model_r1", "gpu-1_ollama", "8"),
        ("model_r1", "gpu-2_ollama", "0"),
        ("ready_model_r1", "gpu-1_ollama", "0"),
    ]


@pytest.mark.parametrize(("admin_state", "drained"), [(0, False), (8, True), (2, False), (16, False)])
def test_only_what_was_set_by_hand_counts(admin_state: int, drained: bool) -> None:
    server = drain.Server("model_r1", "gpu-1_ollama", admin_state, 0)
    assert server.is_in(drain.DRAINED) is drained
    assert server.is_in(drain.READY) is not drained
    assert (server.is_in(drain.ENDED), server.is_in(drain.STARTED)) == (False, True)


@pytest.mark.parametrize("admin_state", [1, 9])
def test_what_was_removed_is_given_back_by_its_own_start_alone(admin_state: int) -> None:
    server = drain.Server("model_r1", "gpu-1_ollama-2", admin_state, 0)
    assert [server.is_in(state) for state in (drain.DRAINED, drain.READY, drain.ENDED)] == [True] * 3
    assert not server.is_in(drain.STARTED)


def test_statistics_are_read_by_the_names_of_their_columns() -> None:
    told = "# pxname,svname,qcur,scur,\nmodel_r1,gpu-1_ollama,0,3,\n\n"
    assert admin.rows(told)[0]["scur"] == "3"


@pytest.mark.parametrize("command", ["show info; shutdown", "show info\nshow stat"])
def test_no_name_makes_a_second_command(command: str) -> None:
    with pytest.raises(admin.AdminProblem, match="more than one command"):
        admin.ask("/nowhere.sock", command)


def test_a_haproxy_that_does_not_run_is_told() -> None:
    with pytest.raises(admin.AdminProblem, match="does not answer"):
        admin.ask("/nowhere.sock", "show info")
    assert admin.running("/nowhere.sock") is None
