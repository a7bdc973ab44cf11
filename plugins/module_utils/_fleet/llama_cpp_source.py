# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where llama.cpp comes from, what each source needs to be told, and what the directory of its version is called."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Collection, List, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._engine import holes
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import Variables

_TAG = re.compile(r"b[0-9]+\Z")
# What git and a directory's name both take.
_ANY_TAG = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,63}\Z")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
_PATH = "llama_cpp_path, the whole path of llama-server"
_RELEASE = "llama_cpp_version (a tag such as b4610) and llama_cpp_release_assets (auto, or the archive for this system)"


def version_of(variables: Variables) -> Optional[str]:
    """The version of llama.cpp, as its directory is called where it is ours; None where none is named.

    That of a build begins with its number (b0 where nothing says it) and ends with what it is built from and how, so
    that another option makes another version, beside the one that serves.
    """
    version = str(variables["llama_cpp_version"])
    if variables["llama_cpp_source"] != "source":
        return version or None
    number = int(variables["llama_cpp_build_number"]) or holes.build_number(version) or 0
    names = ("source_archive", "source_sha256", "source_url", "build_options", "build_targets", "build_native")
    content = [version, *(variables[f"llama_cpp_{name}"] for name in names)]
    if variables["llama_cpp_source_archive"]:
        # Where it lies says nothing.
        content[1], content[3] = "", ""
    text = json.dumps(content, sort_keys=True, default=str)
    return f"b{number}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def check_source(variables: Variables, uses: Collection[str] = ()) -> List[str]:
    """What a host's source of llama.cpp lacks, in sentences, and why it must not be used so (holes.MODELS, holes.RPC).

    A distribution's package and a program that is there are asked for their version on the host.
    """
    return _lacking(variables) or _vulnerable(variables, uses)


def _vulnerable(variables: Variables, uses: Collection[str]) -> List[str]:
    if variables["llama_cpp_source"] not in ("release", "source") or variables["llama_cpp_allow_vulnerable"]:
        return []
    refused = holes.refusal(str(version_of(variables)), uses)
    return [f"{refused} {holes.remedy(uses)}"] if refused else []


def _lacking(variables: Variables) -> List[str]:
    source = variables["llama_cpp_source"]
    if source == "path":
        return [] if str(variables["llama_cpp_path"]).startswith("/") else [_lacks(source, _PATH)]
    if source == "release":
        known = _TAG.match(str(variables["llama_cpp_version"])) and variables["llama_cpp_release_assets"]
        return [] if known else [_lacks(source, _RELEASE)]
    if source == "source":
        return _lacking_source(variables)
    if source == "package":
        return []
    return [f"llama_cpp_source is {source}. There are package, release, source and path."]


def _lacking_source(variables: Variables) -> List[str]:
    if not _ANY_TAG.match(str(variables["llama_cpp_version"])):
        return [_lacks("source", "llama_cpp_version (a tag such as b11434)")]
    archive, url = variables["llama_cpp_source_archive"], variables["llama_cpp_source_url"]
    if archive and not _SHA256.match(str(variables["llama_cpp_source_sha256"])):
        return [_lacks("source", "llama_cpp_source_sha256 (of llama_cpp_source_archive, 64 hexadecimal digits)")]
    if not archive and not url:
        return [_lacks("source", "llama_cpp_source_url (of a git repository) or llama_cpp_source_archive")]
    if "llama-server" not in variables["llama_cpp_build_targets"]:
        return ["llama_cpp_build_targets does not name llama-server, which every version has."]
    return []


def _lacks(source: str, what: str) -> str:
    return f"llama_cpp_source is {source}, which needs {what}."
