# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes tables that tell what the code holds; tests compare them.

The variables of every role go into its README, from meta/argument_specs.yml. The models of the catalog go into
README.md and its translation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
ROLES = ROOT / "roles"
CATALOG = ROLES / "models/vars/catalog.yml"
# The page, and its translation.
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
HEADING = "## Variables\n"
WITH_DEFAULTS = sorted(path.parent.parent.name for path in ROLES.glob("*/defaults/main.yml"))


def main_options(role: str) -> dict[str, dict[str, Any]]:
    spec = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())
    options: dict[str, dict[str, Any]] = spec["argument_specs"]["main"]["options"]
    return options


def rows(options: dict[str, dict[str, Any]], prefix: str = "") -> Iterator[str]:
    for name, option in options.items():
        told = option["description"]
        text = " ".join((told if isinstance(told, str) else " ".join(told)).split())
        text = re.sub(r"\b[COV]\(([^()]*)\)", r"`\1`", text)
        if option.get("choices"):
            text += f" One of {', '.join(map(str, option['choices']))}."
        kind = f"list of {option['elements']}" if "elements" in option else option["type"]
        default = "required" if option.get("required") else f"`{json.dumps(option.get('default'))}`"
        default = "" if default == "`null`" else default
        cells = (f"`{prefix}{name}`", kind, default, text)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        yield from rows(option.get("options") or {}, f"{prefix}{name}{'[]' if 'elements' in option else ''}.")


def table(role: str) -> str:
    lines = ["| variable | type | default | what it is |", "|---|---|---|---|", *rows(main_options(role))]
    return HEADING + "\n" + "\n".join(lines) + "\n"


def readme(role: str) -> str:
    """The role's README with the table as its last section."""
    text = (ROLES / role / "README.md").read_text()
    return text.split(HEADING)[0].rstrip() + "\n\n" + table(role)


def catalog_rows() -> list[str]:
    """A row of a table for each model: its name, quants with their aliases, hub, repository, licence."""
    models = yaml.safe_load(CATALOG.read_text(encoding="utf-8"))["_models_catalog"]
    found = []
    for name, model in models.items():
        quants = []
        for quant, facts in model["quants"].items():
            # 2.51-bit is 2.51bit, and Q2_K_XL a part of the name.
            aliases = [alias for alias in facts.get("aliases", ()) if alias not in quant and "-" not in alias]
            quants.append(f"`{quant}`" + "".join(f" or `{alias}`" for alias in aliases))
        cells = (f"`{name}`", ", ".join(quants), model["hub"], f"`{model['repo']}`", model["license"])
        found.append("| " + " | ".join(cells) + " |")
    return found


def page_with_catalog(page: Path) -> str:
    """The page with these rows in its table that has a column of this heading in code."""
    text = page.read_text(encoding="utf-8")
    begun = re.search(r"^\| `catalog` \|.*\n\|[-|]+\n", text, flags=re.MULTILINE)
    assert begun, f"{page.name} has no table whose first column is `catalog`"
    rest = re.sub(r"\A(?:\|.*\n)*", "", text[begun.end() :])
    return text[: begun.end()] + "".join(f"{row}\n" for row in catalog_rows()) + rest


if __name__ == "__main__":
    for page in PAGES:
        if page.exists():
            page.write_text(page_with_catalog(page), encoding="utf-8")
    for name in WITH_DEFAULTS:
        (ROLES / name / "README.md").write_text(readme(name))
