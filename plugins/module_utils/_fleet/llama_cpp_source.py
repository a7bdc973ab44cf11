# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where llama.cpp comes from, and what each source needs to be told."""

from __future__ import annotations

import re
from typing import Collection, List

from ansible_collections.gguf.fleet.plugins.module_utils._engine import holes
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import Variables

_TAG = re.compile(r"b[0-9]+\Z")
_PATH = "llama_cpp_path, the whole path of llama-server"
_RELEASE = "llama_cpp_version (a tag such as b4610) and llama_cpp_release_assets (auto, or the archive for this system)"


def check_source(variables: Variables, uses: Collection[str] = ()) -> List[str]:
    """What a host's source of llama.cpp lacks, in sentences, and why it must not be used so (holes.MODELS, holes.RPC).

    A distribution's package and a program that is there are asked for their version on the host.
    """
    return _lacking(variables) or _vulnerable(variables, uses)


def _vulnerable(variables: Variables, uses: Collection[str]) -> List[str]:
    if variables["llama_cpp_source"] != "release" or variables["llama_cpp_allow_vulnerable"]:
        return []
    refused = holes.refusal(str(variables["llama_cpp_version"]), uses)
    return [f"{refused} {holes.remedy(uses)}"] if refused else []


def _lacking(variables: Variables) -> List[str]:
    source = variables["llama_cpp_source"]
    if source == "path":
        return [] if str(variables["llama_cpp_path"]).startswith("/") else [_lacks(source, _PATH)]
    if source == "release":
        known = _TAG.match(str(variables["llama_cpp_version"])) and variables["llama_cpp_release_assets"]
        return [] if known else [_lacks(source, _RELEASE)]
    return [] if source == "package" else [f"llama_cpp_source is {source}. There are package, release and path."]


def _lacks(source: str, what: str) -> str:
    return f"llama_cpp_source is {source}, which needs {what}."
