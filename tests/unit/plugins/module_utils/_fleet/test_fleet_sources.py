# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources whose files lie on the hosts: who reads them, and whose are pinned."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import DeclarationProblem, declare
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.files import downloads
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.sources import (
    entries_on_host,
    read_on_hosts,
    resolve_entries,
)

OWN = {"name": "own", "source": {"hub": "path", "path": "/srv/quants", "quant": "Q4_K_M"}}
OTHER = {"name": "other", "source": {"repo": "o/s", "quant": "Q4"}}
LOCK = "files:Q4_K_M"
PINNED = {LOCK: {"quant": "Q4_K_M", "files": [{"path": "x", "size_bytes": 7}], "gguf": {"name": "known"}}}


def on_host(name: str, locks: Dict[str, Any], update: bool = False) -> Any:
    hosts = {"a": {"models_serve": [OTHER]}, "b": {"models_serve": [OWN, OTHER]}}
    value = describe_fleet(hosts, {}, locks).as_dict()
    return entries_on_host(value["hosts"][name], value, update)


def test_a_host_reads_its_own_files_until_they_are_pinned() -> None:
    source = {"hub": "path", "path": "/srv/quants", "quant": "Q4_K_M"}
    assert on_host("b", {}) == [{"name": LOCK, "source": source}]
    assert on_host("a", {}) == [], "it serves nothing of the kind"
    assert on_host("b", PINNED) == []
    assert on_host("b", PINNED, update=True) == [{"name": LOCK, "source": source}]


def test_files_of_the_controller_are_resolved_there_and_sent_from_a_folder_beside_the_inventory() -> None:
    entry = {"name": "own", "source": {"hub": "path", "controller": "../quants", "quant": "Q4_K_M"}}
    fleet = describe_fleet({"a": {"models_serve": [entry], "inventory_dir": "/home/me/fleet"}}, {}, {})
    value = fleet.as_dict()
    assert entries_on_host(value["hosts"]["a"], value) == []
    (resolved,) = resolve_entries(fleet, ["a"], {}, {})
    assert resolved["source"] == {"hub": "path", "path": "/home/me/quants", "quant": "Q4_K_M"}
    lock = {"hub": "path", "files": [{"path": "own.gguf"}]}
    (one,) = downloads(value["hosts"]["a"]["models"], {LOCK: lock}, "/srv/models", {})
    assert (one["controller"], one["dest"]) == ("/home/me/quants", "/srv/models/files/own.gguf")


def test_of_several_hosts_what_the_first_one_read_is_pinned() -> None:
    read = {"a": {"skipped": True}, "b": {"locks": {LOCK: {"of": "b"}}}, "c": {"locks": {LOCK: {"of": "c"}}}, "d": {}}
    variables = {host: {"__models_read": told} if told else {} for host, told in read.items()}
    found = read_on_hosts(["a", "b", "c", "d"], variables)
    assert found == {LOCK: {"of": "b"}}
    fleet = describe_fleet({host: {"models_serve": [OWN, OTHER]} for host in read}, {}, {})
    own, other = resolve_entries(fleet, list(read), {}, {}, read=found)
    assert (own["lock"], "lock" in other) == ({"of": "b"}, False)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"hub": "path", "path": "quants"}, "does not begin with /"),
        ({"hub": "path", "path": "~/quants"}, "does not begin with /"),
        ({"hub": "path", "path": "/srv/quants", "controller": "quants"}, "give `hub: path` and `controller:` alone"),
        ({"controller": "quants"}, "give `hub: path` and `controller:` alone"),
    ],
)
def test_a_folder_that_is_none_of_the_hosts_is_refused(source: Dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationProblem, match=said):
        declare([{"name": "own", "source": source}], {})
