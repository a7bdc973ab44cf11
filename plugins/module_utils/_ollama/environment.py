# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The server's environment: every variable that Ollama knows, by version, and the values that it would misread.

Ollama never refuses a setting. A switch that it cannot read is on, a number that it cannot read is the default, an
unknown variable is ignored, and an origin without a scheme ends the server at each start. All of that is refused here.
Kept to: ollama envconfig/config.go at each release from 0.5.7 to 0.33, and llama.cpp's common/arg.cpp for LLAMA_ARG_….
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.duration import parse_duration
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.nearest_word import did_you_mean, nearest
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import (
    LOCALLY_BUILT,
    NEWEST_TESTED,
    Span,
    Version,
    parse_version,
    span,
)
from ansible_collections.gguf.fleet.plugins.module_utils._problem import together
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import is_secret, masked

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSIGNED = re.compile(r"\d+")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_MEBIBYTE = 2**20

# What the server's CORS library takes without a * (github.com/gin-contrib/cors, with browser extensions allowed).
_ORIGIN_SCHEMES = (
    "http://",
    "https://",
    "chrome-extension://",
    "safari-extension://",
    "moz-extension://",
    "ms-browser-extension://",
)
_KV_CACHE_TYPES = ("f16", "q8_0", "q4_0")
_LLAMA_KV_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
_LLAMA_SERVER = span("0.30.0")


class EnvironmentProblem(OllamaProblem):
    """A variable that Ollama would ignore, or a value that it would misread."""


@dataclass(frozen=True)
class _Context:
    """What a value is judged by."""

    name: str
    version: Version
    environment: Mapping[str, str]


# Returns what to give instead, or None when the value is read as it is meant.
Check = Callable[[str, _Context], Optional[str]]


@dataclass(frozen=True)
class _Variable:
    check: Check
    span: Span = field(default_factory=Span)


def _any(_value: str, _context: _Context) -> Optional[str]:
    return None


def _switch(value: str, _context: _Context) -> Optional[str]:
    return None if value in _TRUE + _FALSE else "true or false; Ollama takes any other word for true"


def _unsigned(value: str, _context: _Context) -> Optional[str]:
    fits = _UNSIGNED.fullmatch(value) is not None and int(value) < 2**64
    return None if fits else "a whole number from 0; Ollama takes anything else for its default"


def _bytes(value: str, context: _Context) -> Optional[str]:
    wrong = _unsigned(value, context)
    if wrong is not None:
        return "a number of bytes, without a unit"
    if 0 < int(value) < _MEBIBYTE:
        return f"bytes; {value} of them are next to nothing, and {value} MiB are {int(value) * _MEBIBYTE}"
    return None


def _duration(value: str, _context: _Context) -> Optional[str]:
    readable = parse_duration(value) is not None
    return None if readable else "seconds, or a duration such as 5m or 24h; Ollama takes anything else for 5m"


def _debug(value: str, context: _Context) -> Optional[str]:
    if value in _TRUE + _FALSE or (value == "2" and context.version in span("0.7.0")):
        return None
    return "0, 1, or, since 0.7, 2"


def _absolute_path(value: str, _context: _Context) -> Optional[str]:
    return None if value.startswith("/") else "an absolute path"


def _host(value: str, _context: _Context) -> Optional[str]:
    scheme, separator, rest = value.partition("://")
    if separator and scheme not in ("http", "https"):
        return "host:port, or a URL that begins with http:// or https://"
    address = (rest if separator else value).partition("/")[0]
    if address.startswith("["):
        name, _bracket, tail = address[1:].partition("]")
        port = tail[1:] if tail.startswith(":") else ""
        if not _is_ip(name):
            return "an IPv6 address in brackets"
    elif address.count(":") > 1:
        return None if _is_ip(address) else "an IPv6 address in brackets, with a port behind them"
    else:
        name, _colon, port = address.partition(":")
        if re.search(r"[^A-Za-z0-9._-]", name):
            return "a host name or an address"
    if address.endswith(":") or (port and (not port.isdecimal() or not 0 < int(port) <= 65535)):
        return "a port from 1 to 65535; Ollama takes anything else for its default"
    return None


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _origins(value: str, _context: _Context) -> Optional[str]:
    for origin in value.split(","):
        if origin != origin.strip() or not origin:
            return "origins with commas and no blanks between them"
        if "*" not in origin and not origin.startswith(_ORIGIN_SCHEMES):
            return f"origins with a scheme, such as http://{origin}; without one the server ends at each start"
        if origin.count("*") > 1:
            return "at most one * in each origin; with more the server ends at each start"
    return None


def _kv_cache_type(value: str, context: _Context) -> Optional[str]:
    if context.version in _LLAMA_SERVER:
        return None if value in _LLAMA_KV_CACHE_TYPES else f"one of {', '.join(_LLAMA_KV_CACHE_TYPES)}"
    if value not in _KV_CACHE_TYPES:
        return f"one of {', '.join(_KV_CACHE_TYPES)}"
    if value != "f16" and context.environment.get("OLLAMA_FLASH_ATTENTION") not in _TRUE:
        return "it together with OLLAMA_FLASH_ATTENTION=1; Ollama before 0.30 ignores it otherwise"
    return None


def _cuda_devices(value: str, _context: _Context) -> Optional[str]:
    if value == "-1":
        return None
    devices = value.split(",")
    if all(re.fullmatch(r"\d+|(GPU|MIG)-[0-9A-Za-z/-]+", device) for device in devices):
        if len(set(devices)) == len(devices):
            return None
        return "each GPU once; with one named twice CUDA shows none"
    return "indices or UUIDs with commas and no blanks between them, or -1; CUDA drops all from the first wrong one on"


def _fit_target(value: str, _context: _Context) -> Optional[str]:
    fits = all(_UNSIGNED.fullmatch(part) for part in value.split(","))
    return None if fits else "MiB to leave free, one number or one a device with commas between them"


_VARIABLES: Mapping[str, _Variable] = {
    "OLLAMA_AUTH": _Variable(_switch, span("0.8.0")),
    "OLLAMA_CONTEXT_LENGTH": _Variable(_unsigned, span("0.5.13")),
    "OLLAMA_DEBUG": _Variable(_debug),
    "OLLAMA_DEBUG_LOG_REQUESTS": _Variable(_switch, span("0.18.3")),
    "OLLAMA_EDITOR": _Variable(_any, span("0.16.0")),
    "OLLAMA_FLASH_ATTENTION": _Variable(_switch),
    "OLLAMA_GO_TEMPLATE": _Variable(_switch, span("0.30.0")),
    "OLLAMA_GPU_OVERHEAD": _Variable(_bytes),
    "OLLAMA_HOST": _Variable(_host),
    "OLLAMA_IGPU_ENABLE": _Variable(_switch, span("0.30.0")),
    "OLLAMA_INTEL_GPU": _Variable(_switch, span(until="0.12.11")),
    "OLLAMA_KEEP_ALIVE": _Variable(_duration),
    "OLLAMA_KV_CACHE_TYPE": _Variable(_kv_cache_type),
    "OLLAMA_LLM_LIBRARY": _Variable(_any),
    "OLLAMA_LOAD_TIMEOUT": _Variable(_duration),
    "OLLAMA_MAX_LOADED_MODELS": _Variable(_unsigned),
    "OLLAMA_MAX_QUEUE": _Variable(_unsigned),
    "OLLAMA_MAX_TRANSFER_STREAMS": _Variable(_unsigned, span("0.23.3")),
    "OLLAMA_MAX_VRAM": _Variable(_bytes, span(until="0.7.0")),
    "OLLAMA_MODELS": _Variable(_absolute_path),
    "OLLAMA_MULTIUSER_CACHE": _Variable(_switch, span(until="0.30.0")),
    "OLLAMA_NEW_ENGINE": _Variable(_switch, span("0.5.12", "0.30.0")),
    "OLLAMA_NEW_ESTIMATES": _Variable(_switch, span("0.11.5", "0.11.11")),
    "OLLAMA_NOHISTORY": _Variable(_switch),
    "OLLAMA_NOPRUNE": _Variable(_switch),
    "OLLAMA_NO_CLOUD": _Variable(_switch, span("0.16.2")),
    "OLLAMA_NUM_PARALLEL": _Variable(_unsigned),
    "OLLAMA_ORIGINS": _Variable(_origins),
    "OLLAMA_REMOTES": _Variable(_any, span("0.12.0")),
    "OLLAMA_SCHED_SPREAD": _Variable(_switch),
    "OLLAMA_TMPDIR": _Variable(_absolute_path, span(until="0.6.6")),
    "OLLAMA_VULKAN": _Variable(_switch, span("0.12.11")),
    # Not Ollama's own, and read by what it starts.
    "CUDA_VISIBLE_DEVICES": _Variable(_cuda_devices),
    "GGML_VK_VISIBLE_DEVICES": _Variable(_any, span("0.12.6")),
    "GPU_DEVICE_ORDINAL": _Variable(_any),
    "HIP_VISIBLE_DEVICES": _Variable(_any),
    "HOME": _Variable(_absolute_path),
    "HSA_OVERRIDE_GFX_VERSION": _Variable(_any),
    "HTTP_PROXY": _Variable(_any),
    "HTTPS_PROXY": _Variable(_any),
    "LD_LIBRARY_PATH": _Variable(_any),
    "LLAMA_ARG_FIT": _Variable(_any, _LLAMA_SERVER),
    "LLAMA_ARG_FIT_TARGET": _Variable(_fit_target, _LLAMA_SERVER),
    "NO_PROXY": _Variable(_any),
    "PATH": _Variable(_any),
    "ROCR_VISIBLE_DEVICES": _Variable(_any),
}


def check_environment(env: Mapping[str, Any], version: str) -> Dict[str, str]:
    """The environment as text, all of which that version of Ollama reads as it is meant; else EnvironmentProblem."""
    texts, problems = _read(env, version)
    if problems:
        whole = together(problems)
        raise EnvironmentProblem(whole.problem, whole.remedy)
    return texts


def environment_problems(env: Mapping[str, Any], version: str) -> List[EnvironmentProblem]:
    """All that this version of Ollama would not read as it is meant."""
    return _read(env, version)[1]


def _read(env: Mapping[str, Any], version: str) -> Tuple[Dict[str, str], List[EnvironmentProblem]]:
    known = parse_version(version)
    known = NEWEST_TESTED if known == LOCALLY_BUILT else known
    texts: Dict[str, str] = {}
    problems: List[EnvironmentProblem] = []
    for name, value in env.items():
        try:
            texts[str(name)] = _text(str(name), value)
        except EnvironmentProblem as problem:
            problems.append(problem)
    for name, text in texts.items():
        try:
            _check(text, _Context(name, known, texts))
        except EnvironmentProblem as problem:
            problems.append(problem)
    return texts, problems


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if not isinstance(value, (str, int, float)):
        raise EnvironmentProblem(f"{name} cannot be {masked(value, name)!r}.", "Give a text, a number, true or false.")
    text = str(value)
    if any(not rune.isprintable() for rune in text):
        raise EnvironmentProblem(f"{name} contains a line end or another control character.", "Give one line.")
    if not text:
        raise EnvironmentProblem(f"{name} is empty, which is the same as not set.", "Leave it out.")
    if name.startswith("OLLAMA_") and text != text.strip().strip("\"'"):
        raise EnvironmentProblem(
            f"{name} is {masked(text, name)!r}, of which Ollama takes the blanks and quotes off.",
            "Give it without them.",
        )
    return text


def _check(value: str, context: _Context) -> None:
    name, version = context.name, context.version
    if name.upper().endswith("_PROXY") and is_secret(name, value):
        raise EnvironmentProblem(
            f"{name} holds a user or a password, and Ollama writes this variable to its log at every start.",
            "Give a proxy that asks for none: one on this host that logs in to the other, or let that one know this "
            "host by its address. The collection's own downloads do not need it.",
        )
    if _NAME.fullmatch(name) is None:
        raise EnvironmentProblem(f"'{name}' cannot be the name of a variable.", "Use letters, digits and '_'.")
    variable = _VARIABLES.get(name)
    if variable is None:
        _check_unknown(name, version)
        return
    if version not in variable.span:
        raise EnvironmentProblem(
            f"Ollama {version} ignores {name}: it works {variable.span}.",
            "Leave it out, or choose another ollama_version.",
        )
    better = variable.check(value, context)
    if better is not None:
        raise EnvironmentProblem(f"Ollama {version} would misread {name}={masked(value, name)}.", f"Give {better}.")


def _check_unknown(name: str, version: Version) -> None:
    """Ollama hands its environment on, so a foreign variable may be for a library; but not one that is nearly known."""
    current = [known for known, variable in _VARIABLES.items() if version in variable.span]
    if name.startswith("OLLAMA_"):
        raise EnvironmentProblem(
            f"Ollama {version} knows no variable {name}.",
            did_you_mean(name, [known for known in current if known.startswith("OLLAMA_")]),
        )
    if name.startswith("LLAMA_ARG_") and version not in _LLAMA_SERVER:
        raise EnvironmentProblem(
            f"Ollama {version} ignores {name}: its runner is not llama-server, which it is {_LLAMA_SERVER}.",
            "Leave it out, or choose a newer ollama_version.",
        )
    meant = nearest(name, current, cutoff=0.85)
    if meant is not None and not name.islower():
        raise EnvironmentProblem(f"Ollama {version} knows no variable {name}.", f"Did you mean {meant}?")
