# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins beside an inventory, as Ansible sees them."""

from __future__ import annotations

from ansible import constants

from ansible_collections.gguf.fleet.plugins.module_utils._files.moved import OLD_NAMES


def test_ansible_reads_none_of_the_new_names_as_an_inventory() -> None:
    ignored = tuple(constants.INVENTORY_IGNORE_EXTS)
    assert [name for name in OLD_NAMES if not name.endswith(ignored)] == []
