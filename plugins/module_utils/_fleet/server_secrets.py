# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The secrets among llama-server's parameters.

Every user of a host can read a command line, so they go by the environment.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import is_secret

API_KEY = "LLAMA_API_KEY"
VARIABLES = {"api-key": API_KEY, "hf-token": "HF_TOKEN", "hft": "HF_TOKEN"}
# The oldest build whose LLAMA_API_KEY was seen to take several keys.
SEVERAL_KEYS_BUILD = 10875
# What an Authorization header carries unchanged; a comma ends a key.
_KEY = re.compile(r"[!-~]+\Z")


def option(name: Any) -> str:
    """A long option as llama-server spells it, without dashes before it."""
    return str(name).lstrip("-").replace("_", "-")


def split(where: str, parameters: Mapping[str, Any], build: int = 0) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """The parameters for the command line, and the environment that takes the others' place.

    :param where: where they are declared, for messages.
    :param build: the build of llama.cpp; 0 means a build that nobody knows, which is taken for a new one.
    :raises DeclarationProblem: for a secret that cannot be handed over unseen.
    """
    plain: Dict[str, Any] = {}
    variables: Dict[str, str] = {}
    for given, value in parameters.items():
        key = option(given)
        if key in VARIABLES:
            if value not in (None, "", []):
                variables[VARIABLES[key]] = _keys(where, value, build) if key == "api-key" else str(value)
            continue
        values = value if isinstance(value, (list, tuple)) else [value]
        if any(is_secret(key, item) for item in values):
            raise DeclarationProblem(
                f"{where}: {key} holds a secret, and every user of the host can read a command line.",
                f"Set it in llama_cpp_environment instead (LLAMA_ARG_{key.upper().replace('-', '_')}, if llama-server "
                "has a variable for it), or by a file.",
            )
        plain[str(given)] = value
    return plain, variables


def secret_parameters(parameters: Mapping[str, Any]) -> Dict[str, Any]:
    """Those that :func:`split` takes out."""
    return {name: value for name, value in parameters.items() if option(name) in VARIABLES}


def api_keys(value: Any) -> List[str]:
    """Several keys are a list, or one text with commas."""
    given = value if isinstance(value, (list, tuple)) else [value]
    return [key.strip() for item in given for key in str(item).split(",") if key.strip()]


def _keys(where: str, value: Any, build: int) -> str:
    keys = api_keys(value)
    # None of these messages shows a key.
    if not keys or any(not _KEY.match(key) or '"' in key for key in keys):
        raise DeclarationProblem(
            f"{where}: api-key holds a key with a blank, a quote or a character that is not ASCII.",
            "Clients send it in a header, so use letters, digits and signs.",
        )
    if len(keys) > 1 and 0 < build < SEVERAL_KEYS_BUILD:
        raise DeclarationProblem(
            f"{where}: llama.cpp b{build} takes one key from its environment, not {len(keys)}.",
            f"Give one, or set api-key-file to a file on the host, or use b{SEVERAL_KEYS_BUILD} or newer.",
        )
    return ",".join(keys)
