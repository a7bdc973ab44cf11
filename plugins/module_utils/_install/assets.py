# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The names that releases give their archives, and where each is fetched from."""

from __future__ import annotations

import re
from typing import Dict, List, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

FILE_SCHEME = "file://"
ZSTD_SINCE = (0, 14, 0)
# scripts/build_linux.sh and .github/workflows/release.yaml of Ollama, v0.5.7 to v0.33
OLLAMA_ADDONS = {"amd64": ("rocm",), "arm64": ("jetpack5", "jetpack6")}


def ollama_assets(version: str, architecture: str, addons: Sequence[str] = ()) -> List[str]:
    """The archives of an Ollama release for Linux, the release's own first and its add-ons after it.

    Raises InstallProblem for an architecture or an add-on that is not built.
    """
    built = OLLAMA_ADDONS.get(architecture)
    if built is None:
        raise InstallProblem(
            f"Ollama has no release for {architecture}; {' and '.join(OLLAMA_ADDONS)} have one.",
            "Serve by llama.cpp on this host.",
        )
    for addon in addons:
        if addon not in built:
            raise InstallProblem(
                f"ollama_addons: Ollama has no {addon} for {architecture}, only {', '.join(built)}.",
                "Leave it out for this host.",
            )
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    extension = "tar.zst" if numbers >= ZSTD_SINCE else "tgz"
    return [f"ollama-linux-{name}.{extension}" for name in (architecture, *(f"{architecture}-{a}" for a in addons))]


def filled(template: str, version: str, asset: str) -> str:
    """A template of a URL or path with its {version} and {asset}."""
    return template.replace("{version}", version).replace("{asset}", asset)


def place(template: str, version: str, asset: str) -> Dict[str, str]:
    """Where the host takes an asset from: `url`, or `src` for a file: URL, which names a file of the host."""
    where = filled(template, version, asset)
    return {"src": where[len(FILE_SCHEME) :]} if where.startswith(FILE_SCHEME) else {"url": where}
