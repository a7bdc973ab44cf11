# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway import live, proxy
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.proxy import (
    CONFIGURATION,
    TRUST,
    Proxy,
    State,
    Wanted,
)

FILES = {CONFIGURATION: "global\n    description @DIGEST@\n", "clients.map": "aa one\n"}
SERVER = Wanted("tls/server.pem", ("a.example",), "server", "certificate and key\n")
WANTED = Proxy("door", FILES, (SERVER,), trust="authority\n", live=("clients.map",))
EMPTY = State(files={}, due=(), not_after={}, running=None, program="/usr/sbin/haproxy", version=(2, 6))


def after(steps: proxy.Plan, *, running: bool = True, maps: bool = True) -> State:
    """What is there when the plan was carried out."""
    return dataclasses.replace(
        EMPTY,
        files=dict(steps.write),
        running=steps.description if running else None,
        maps={"clients.map": live.entries(steps.write["clients.map"])} if maps else {},
    )


def kept(wanted: Proxy) -> Proxy:
    """The same in a later run, which makes no certificate."""
    return dataclasses.replace(wanted, certificates=(dataclasses.replace(SERVER, content=""),))


def test_all_is_written_at_first_and_the_configuration_last() -> None:
    steps = proxy.plan(WANTED, EMPTY)
    assert list(steps.write) == ["clients.map", TRUST, "tls/server.pem", CONFIGURATION]
    assert steps.description in steps.write[CONFIGURATION]
    assert not steps.reload


def test_a_second_run_has_nothing_to_do_and_keeps_the_certificate() -> None:
    first = proxy.plan(WANTED, EMPTY)
    assert proxy.plan(kept(WANTED), after(first)).actions == []


def test_a_run_that_ended_before_the_reload_is_gone_on_with() -> None:
    found = dataclasses.replace(after(proxy.plan(WANTED, EMPTY)), running="another")
    assert proxy.plan(kept(WANTED), found).actions == ["reload HAProxy"]


def test_a_map_is_taken_up_without_a_reload() -> None:
    found = after(proxy.plan(WANTED, EMPTY))
    changed = dataclasses.replace(kept(WANTED), files={**FILES, "clients.map": "bb two words\n"})
    steps = proxy.plan(changed, found)
    assert steps.actions == ["write clients.map", "take up clients.map"]
    # It was written, and the run ended.
    written = dataclasses.replace(found, files={**found.files, "clients.map": "bb two words\n"})
    assert proxy.plan(changed, written).actions == ["take up clients.map"]


def test_a_new_certificate_is_taken_up_by_a_reload() -> None:
    found = after(proxy.plan(WANTED, EMPTY))
    new = dataclasses.replace(WANTED, certificates=(dataclasses.replace(SERVER, content="new\n"),))
    assert proxy.plan(new, found).actions == ["write tls/server.pem", "write haproxy.cfg", "reload HAProxy"]


def test_what_is_wanted_no_more_goes() -> None:
    first = proxy.plan(WANTED, EMPTY)
    found = dataclasses.replace(after(first), files={**first.write, "old.map": "x y\n"})
    assert proxy.plan(kept(WANTED), found).actions == ["remove old.map"]


def test_without_a_certificate_nothing_can_start() -> None:
    assert not proxy.is_complete(kept(WANTED), EMPTY)
    assert proxy.is_complete(WANTED, EMPTY)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b/c", "tls/../../x", "", "a b", ".hidden"])
def test_no_name_leaves_the_directory(name: str) -> None:
    with pytest.raises(proxy.ProxyProblem, match="is not the name of a file"):
        proxy.check_names([name])


def test_the_lines_of_a_map_are_read_as_haproxy_does() -> None:
    assert live.entries("# comment\n\nkey some value \nother x\n") == {"key": "some value", "other": "x"}
