# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
import typing as t

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: ollama_assets
short_description: The archives of an Ollama release for one architecture
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Gives the names that the release's own workflow gives its archives for Linux, the release's archive first and its
    add-ons after it. They are C(.tgz) before 0.14.0 and C(.tar.zst) since.
  - An add-on that is not built for the architecture is refused.
options:
  _input:
    description: The version, without a leading v.
    type: str
    required: true
  architecture:
    description: V(amd64) or V(arm64).
    type: str
    required: true
  addons:
    description: V(rocm) (amd64), V(jetpack5) or V(jetpack6) (arm64).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ '0.33.2' | gguf.fleet.ollama_assets('amd64', ['rocm']) }}"
"""

RETURN = r"""
_value:
  description: The names, for example C(ollama-linux-amd64.tar.zst) and C(ollama-linux-amd64-rocm.tar.zst).
  type: list
  elements: str
"""

ZSTD_SINCE = (0, 14, 0)
# scripts/build_linux.sh and .github/workflows/release.yaml of Ollama, v0.5.7 to v0.33
ADDONS = {"amd64": ("rocm",), "arm64": ("jetpack5", "jetpack6")}


def ollama_assets(version: str, architecture: str, addons: t.Sequence[str] = ()) -> list[str]:
    if architecture not in ADDONS:
        raise AnsibleFilterError(f"Ollama has no release for {architecture}; {' and '.join(ADDONS)} have one.")
    for addon in addons:
        if addon not in ADDONS[architecture]:
            raise AnsibleFilterError(
                f"ollama_addons: Ollama has no {addon} for {architecture}, only {', '.join(ADDONS[architecture])}."
            )
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    extension = "tar.zst" if numbers >= ZSTD_SINCE else "tgz"
    return [f"ollama-linux-{name}.{extension}" for name in (architecture, *(f"{architecture}-{a}" for a in addons))]


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"ollama_assets": ollama_assets}
