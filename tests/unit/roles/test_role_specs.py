# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role says the same of its variables in defaults/main.yml and in meta/argument_specs.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
WITH_DEFAULTS = sorted(path.parent.parent.name for path in ROLES.glob("*/defaults/main.yml"))


def options(role: str) -> dict[str, dict[str, Any]]:
    spec = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())
    main: dict[str, dict[str, Any]] = spec["argument_specs"]["main"]["options"]
    return main


def defaults(role: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    return values


@pytest.mark.parametrize("role", WITH_DEFAULTS)
def test_every_default_is_specified_with_the_same_value(role: str) -> None:
    assert {name: option.get("default") for name, option in options(role).items()} == defaults(role)


@pytest.mark.parametrize("role", WITH_DEFAULTS)
def test_every_public_variable_carries_its_role_s_name(role: str) -> None:
    assert [name for name in defaults(role) if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir() if path.is_dir()))
def test_every_entry_point_is_specified(role: str) -> None:
    spec = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    for name in ("main", "absent", "servers"):
        assert (name in spec) == (ROLES / role / "tasks" / f"{name}.yml").exists(), name
