# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/variables.md has every variable that the playbooks read, with its default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jinja2 import Environment, meta, nodes

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.misspelt import OF_PLAYBOOKS
from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import public_variables
from ansible_collections.gguf.fleet.tests.integration.docs.pages import ROOT

PAGE = (ROOT / "docs/variables.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \|(.+)\|$", PAGE, flags=re.MULTILINE))
# Ansible's own, and what playbooks set for themselves.
NOT_OURS = re.compile(
    r"_|ansible_|(?:hostvars|groups|group_names|inventory_\w+|item|lookup|omit|playbook_dir|gguf_fleet\w*)\Z"
)


def texts(value: Any) -> Iterator[str]:
    """All strings of a playbook, with conditions as expressions."""
    if isinstance(value, str):
        if not value.endswith(".yml"):
            yield value if "{{" in value else f"{{{{ {value} }}}}"
    elif isinstance(value, dict):
        for key, one in value.items():
            # What is only told.
            if key in ("name", "msg", "fail_msg"):
                continue
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


class Lenient(dict[str, Any]):
    """Any filter and test: only names of variables are looked for."""

    def __contains__(self, key: object) -> bool:
        return True

    def get(self, key: object, default: object = None) -> Any:
        return lambda *_arguments: default


def parsed() -> Iterator[nodes.Template]:
    environment = Environment()
    environment.filters = environment.tests = Lenient()
    for path in sorted((ROOT / "playbooks").rglob("*.yml")):
        for text in texts(yaml.safe_load(path.read_text(encoding="utf-8"))):
            try:
                yield environment.parse(text)
            except Exception:  # Text that is no expression.
                continue


def loop_variables() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "playbooks").rglob("*.yml"):
        found |= set(re.findall(r"loop_var: (\w+)", path.read_text(encoding="utf-8")))
    return found


def test_every_variable_that_the_playbooks_read_is_public_and_on_the_page() -> None:
    used = {name for tree in parsed() for name in meta.find_undeclared_variables(tree) if not NOT_OURS.match(name)}
    used -= loop_variables()
    ours = {
        name
        for name in used
        if re.match(r"(?:fleet|plan|preflight|rehearse|rollback|drain|verify|status|min_gpus|uninstall|upgrade)_", name)
    }
    assert len(ours) > 10
    assert ours <= public_variables()
    assert sorted({*ours, *OF_PLAYBOOKS} - set(ROWS)) == []


def test_the_page_has_no_variable_that_is_not_there() -> None:
    assert sorted(set(ROWS) - public_variables()) == []


def given_defaults() -> dict[str, Any]:
    """Those that playbooks write as `name | default(value)`."""
    found: dict[str, Any] = {}
    for tree in parsed():
        for node in tree.find_all(nodes.Filter):
            if node.name == "default" and isinstance(node.node, nodes.Name) and node.node.name in ROWS and node.args:
                try:
                    found[node.node.name] = node.args[0].as_const()
                except nodes.Impossible:
                    continue
    return found


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, value in given_defaults().items() if value not in ("", False, {})]
)
def test_a_default_on_the_page_is_that_of_the_playbooks(name: str, value: Any) -> None:
    assert str(value) in ROWS[name], f"{name} is {value}"
