# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the table of variables of every role into its README, from meta/argument_specs.yml. A test compares them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[1] / "roles"
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


if __name__ == "__main__":
    for name in WITH_DEFAULTS:
        (ROLES / name / "README.md").write_text(readme(name))
