# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._service.plan import (
    CUTS,
    MOVED,
    STARTS,
    Action,
    File,
    Found,
    plan_absent,
    plan_restarted,
    plan_started,
    plan_stopped,
    touches,
)
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import State

UNIT = File("/etc/systemd/system/ollama.service.d/gguf-fleet.conf", "[Service]\n")
ENVIRONMENT = File("/etc/gguf-fleet/ollama.env", "A=1\n", 0o600)
PROGRAM = File("/usr/local/lib/gguf-fleet/run-service", "new", 0o755, restart=False)
FILES = [UNIT, ENVIRONMENT, PROGRAM]
RUNNING = State(known=True, active=True, enabled=True, pid=7, restarts=0)
NOTHING = State(known=False, active=False, enabled=False, pid=0, restarts=0)


def on_disk(*files: File) -> dict[str, Found]:
    return {file.path: Found(file.content, file.mode) for file in files}


def plan(
    found: dict[str, Found],
    state: State,
    *,
    current: Optional[str] = "2.0",
    restart: str = "auto",
    pending: tuple[str, ...] = (),
    wrong_links: tuple[str, ...] = (),
    outdated: tuple[str, ...] = (),
    runs_another: tuple[str, ...] = (),
) -> list[str]:
    actions = plan_started(
        "ollama",
        FILES,
        found,
        state,
        current=current,
        version="2.0",
        wrong_links=wrong_links,
        restart=restart,
        pending=pending,
        outdated=outdated,
        runs_another=runs_another,
    )
    return [action.verb for action in actions]


def test_a_command_that_was_put_right_is_told_in_the_diff() -> None:
    (action,) = plan_started(
        "ollama",
        FILES,
        on_disk(*FILES),
        RUNNING,
        current="2.0",
        version="2.0",
        wrong_links=["/usr/local/bin/ollama"],
        restart="auto",
        pending=(),
    )
    assert str(action) == "switch 2.0: /usr/local/bin/ollama did not lead to it"


def test_a_service_that_is_as_wanted_is_left_alone() -> None:
    assert plan(on_disk(*FILES), RUNNING) == []


def test_a_new_service_is_written_switched_enabled_and_started_once() -> None:
    verbs = plan({}, NOTHING, current=None)
    assert verbs == ["write", "write", "write", "switch", "reload", "enable", "start"]


def test_a_changed_environment_restarts_without_a_reload() -> None:
    found = on_disk(UNIT, File(ENVIRONMENT.path, "A=0\n", 0o600), PROGRAM)
    assert plan(found, RUNNING) == ["write", "restart"]


def test_a_changed_unit_is_reloaded_before_the_restart() -> None:
    found = on_disk(File(UNIT.path, "old"), ENVIRONMENT, PROGRAM)
    assert plan(found, RUNNING) == ["write", "reload", "restart"]


def test_several_reasons_make_one_restart() -> None:
    assert plan(on_disk(File(UNIT.path, "old"), PROGRAM), RUNNING, current="1.0").count("restart") == 1


def test_a_new_program_of_ours_or_a_mode_alone_is_no_reason_to_restart() -> None:
    found = on_disk(UNIT, File(ENVIRONMENT.path, "A=1\n", 0o644), File(PROGRAM.path, "old", 0o755))
    assert plan(found, RUNNING) == ["write", "write"]


def test_a_command_that_leads_elsewhere_is_put_right_without_a_restart() -> None:
    assert plan(on_disk(*FILES), RUNNING, wrong_links=("/usr/local/bin/ollama",)) == ["switch"]


def test_a_restart_that_an_earlier_run_owed_is_made_up_for() -> None:
    assert plan(on_disk(*FILES), RUNNING, pending=("/etc/gguf-fleet/ollama.env changed",)) == ["restart"]


def test_a_process_that_is_another_than_the_files_say_is_restarted() -> None:
    assert plan(on_disk(*FILES), RUNNING, runs_another=("it is version 1.0",)) == ["restart"]
    assert plan(
        on_disk(*FILES), RUNNING, wrong_links=("/usr/local/bin/ollama",), runs_another=("it is version 1.0",)
    ) == [
        "switch",
        "restart",
    ]


def test_never_changes_the_files_and_leaves_the_process_alone() -> None:
    assert plan(on_disk(UNIT, PROGRAM), RUNNING, restart="never") == ["write", "wait"]


def test_never_is_no_change_again_once_it_was_said() -> None:
    assert plan(on_disk(*FILES), RUNNING, restart="never", pending=("x changed",)) == []


def test_never_still_starts_what_does_not_run() -> None:
    stopped = State(known=True, active=False, enabled=True, pid=0, restarts=0)
    assert plan(on_disk(*FILES), stopped, restart="never") == ["start"]


OUTDATED = "/etc/gguf-fleet/services/ollama.service"


def test_what_ran_by_the_script_moves_with_one_restart() -> None:
    found = on_disk(ENVIRONMENT, File(OUTDATED, "old"))
    assert plan(found, RUNNING, outdated=(OUTDATED,)) == ["write", "write", "remove", "reload", "restart"]
    assert plan(on_disk(*FILES), RUNNING, outdated=(OUTDATED,)) == []


def test_never_leaves_it_with_the_script_and_says_so_once() -> None:
    found = on_disk(*FILES, File(OUTDATED, "old"))
    assert plan(found, RUNNING, outdated=(OUTDATED,), restart="never") == ["wait"]
    assert plan(found, RUNNING, outdated=(OUTDATED,), restart="never", pending=(MOVED,)) == []


def test_a_unit_that_the_manager_has_not_read_is_reloaded() -> None:
    stale = State(known=True, active=True, enabled=True, pid=7, restarts=0, stale=True)
    assert plan(on_disk(*FILES), stale) == ["reload"]


def test_a_restart_as_it_is_leaves_what_does_not_run() -> None:
    assert plan_restarted("ollama", NOTHING, ["why"]) == []
    assert plan_restarted("ollama", RUNNING, ["why"]) == [Action("restart", "ollama", ("why",))]


def test_stopping_what_does_not_run_is_no_change() -> None:
    assert plan_stopped("ollama", NOTHING) == []
    assert [action.verb for action in plan_stopped("ollama", RUNNING)] == ["stop"]


def test_removing_stops_first_and_removes_only_what_is_there() -> None:
    unit = File("/etc/systemd/system/ollama.service", "[Service]\n")
    paths = [UNIT.path, ENVIRONMENT.path, unit.path, "/etc/gguf-fleet/other"]
    actions = plan_absent("ollama", paths, on_disk(UNIT, ENVIRONMENT, unit), RUNNING)
    assert [action.verb for action in actions] == ["stop", "disable", "remove", "remove", "remove", "reload"]
    assert plan_absent("ollama", paths, {}, NOTHING) == []


def test_the_unit_of_another_installer_is_neither_removed_nor_disabled() -> None:
    actions = plan_absent("ollama", [UNIT.path, ENVIRONMENT.path], on_disk(UNIT, ENVIRONMENT), RUNNING)
    assert [action.verb for action in actions] == ["stop", "remove", "remove", "reload"]


def test_what_ends_a_stream_is_told_from_what_begins_something() -> None:
    write, start, restart = (Action(verb, "ollama") for verb in ("write", "start", "restart"))
    assert touches([write]) == ""
    assert touches([write, start]) == STARTS
    assert touches([write, restart]) == touches([start], ["llama-cpp-r1"]) == CUTS
    assert touches([Action("stop", "ollama")]) == touches([Action("put back", "a")]) == CUTS
