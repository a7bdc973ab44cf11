# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups that set one variable beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ansible_collections.gguf.fleet.plugins.plugin_utils.groups import rivals

HOSTS = """
all:
  children:
    gpu:
      vars: {models_serve: [{name: around}]}
      children:
        big: {hosts: {both: , one: , own: {models_serve: []}}}
        small: {hosts: {both: , own: , alone: }}
"""


@pytest.mark.parametrize("inline", [True, False], ids=["in the inventory", "in group_vars"])
def test_a_host_whose_groups_both_set_models_serve_is_told_which_one_holds(tmp_path: Path, inline: bool) -> None:
    text = HOSTS
    if inline:
        text = text.replace("big: {", "big: {vars: {models_serve: []}, ").replace(
            "small: {", "small: {vars: {models_serve: []}, "
        )
    else:
        (tmp_path / "group_vars").mkdir()
        for name in ("big", "small"):
            (tmp_path / "group_vars" / f"{name}.yml").write_text("models_serve: []\n")
    (tmp_path / "hosts.yml").write_text(text)
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(tmp_path / "hosts.yml")])
    found = rivals(HostVars(inventory, VariableManager(loader=loader, inventory=inventory), loader))
    assert list(found) == ["both"]
    assert found["both"].startswith("models_serve is set by its groups big and small, and that of small holds.")


def test_variables_that_are_no_inventory_s_have_no_groups() -> None:
    assert rivals({"one": {"models_serve": []}}) == {}
