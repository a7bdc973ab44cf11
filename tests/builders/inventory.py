# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories for Ansible, and hosts that are this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

# Modules run here, by the Python that runs the tests.
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


def inventory(folder: Path, hosts: Mapping[str, Mapping[str, Any]], **variables: Any) -> Path:
    """A file `inventory.yml` with these hosts by name, and with variables of all of them."""
    file = folder / "inventory.yml"
    content = {"all": {"hosts": {name: dict(own) for name, own in hosts.items()}, "vars": variables}}
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file
