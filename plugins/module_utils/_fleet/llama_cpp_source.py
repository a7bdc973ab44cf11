# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where llama.cpp comes from, and what each source needs to be told."""

from __future__ import annotations

import re
from typing import List

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import Variables

_TAG = re.compile(r"b[0-9]+\Z")
_PATH = "llama_cpp_path, the whole path of llama-server"
_RELEASE = "llama_cpp_version (a tag such as b4610) and llama_cpp_release_assets (the archive for this system)"


def check_source(variables: Variables) -> List[str]:
    """What a host's source of llama.cpp lacks, in sentences."""
    source = variables["llama_cpp_source"]
    if source == "path":
        return [] if str(variables["llama_cpp_path"]).startswith("/") else [_lacks(source, _PATH)]
    if source == "release":
        known = _TAG.match(str(variables["llama_cpp_version"])) and variables["llama_cpp_release_assets"]
        return [] if known else [_lacks(source, _RELEASE)]
    return [] if source == "package" else [f"llama_cpp_source is {source}. There are package, release and path."]


def _lacks(source: str, what: str) -> str:
    return f"llama_cpp_source is {source}, which needs {what}."
