# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role says the same of its variables in defaults/main.yml, in meta/argument_specs.yml and in its README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.role_readme import (
    PAGES,
    ROLES,
    WITH_DEFAULTS,
    main_options,
    page_with_catalog,
    readme,
)


def defaults(role: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    return values


@pytest.mark.parametrize("role", WITH_DEFAULTS)
def test_every_default_is_specified_with_the_same_value(role: str) -> None:
    assert {name: option.get("default") for name, option in main_options(role).items()} == defaults(role)


@pytest.mark.parametrize("role", WITH_DEFAULTS)
def test_the_readme_has_every_variable(role: str) -> None:
    assert (ROLES / role / "README.md").read_text() == readme(role), "run: python tests/role_readme.py"


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=lambda page: page.name)
def test_the_page_lists_every_model_of_the_catalog(page: Path) -> None:
    assert page.read_text() == page_with_catalog(page), "run: python tests/role_readme.py"


@pytest.mark.parametrize("role", WITH_DEFAULTS)
def test_every_public_variable_carries_its_role_s_name(role: str) -> None:
    assert [name for name in defaults(role) if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir() if path.is_dir()))
def test_every_entry_point_is_specified(role: str) -> None:
    spec = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    for name in ("main", "absent", "servers"):
        assert (name in spec) == (ROLES / role / "tasks" / f"{name}.yml").exists(), name
