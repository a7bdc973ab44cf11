# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What can be wrong in a declaration beyond its grammar: engines, parameters, ports. Each check gives sentences."""

from __future__ import annotations

from typing import Any, Callable, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import parse_name
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import ENGINES, OLLAMA, Engine, Server
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import is_address, without_credentials
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.duration import parse_duration
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.environment import environment_problems
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.nearest_word import nearest
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.parameters import check_parameters
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import checked_template
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import (
    LOCALLY_BUILT,
    NEWEST_TESTED,
    Version,
    parse_version,
)
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

# Ollama's words, and what llama-server (common/arg.cpp) calls the same.
LLAMA_CPP_WORDS: Mapping[str, str] = {
    "min_p": "min-p",
    "num_batch": "batch-size",
    "num_ctx": "ctx-size (of all slots together)",
    "num_gpu": "n-gpu-layers",
    "num_keep": "keep",
    "num_parallel": "parallel",
    "num_predict": "n-predict",
    "num_thread": "threads",
    "repeat_last_n": "repeat-last-n",
    "repeat_penalty": "repeat-penalty",
    "stop": "nothing: clients send it",
    "temperature": "temp",
    "top_k": "top-k",
    "top_p": "top-p",
    "use_mlock": "mlock",
    "use_mmap": "mmap",
}
# Long options of llama-server (common/arg.cpp) that a model is usually served with: the words that a typo is near to.
LLAMA_CPP_OPTIONS = (
    *("alias", "api-key", "api-key-file", "batch-size", "cache-reuse", "cache-type-k", "cache-type-v", "chat-template"),
    *(
        "chat-template-file",
        "cont-batching",
        "cpu-moe",
        "ctx-size",
        "defrag-thold",
        "device",
        "direct-io",
        "embeddings",
    ),
    *("flash-attn", "frequency-penalty", "host", "jinja", "keep", "kv-unified", "load-mode", "log-file", "lora"),
    *("main-gpu", "metrics", "min-p", "mlock", "mmap", "mmproj", "n-cpu-moe", "n-gpu-layers", "n-predict", "no-mmap"),
    *("no-webui", "no-warmup", "numa", "override-kv", "override-tensor", "parallel", "pooling", "port", "prio"),
    *("presence-penalty", "props", "reasoning-budget", "reasoning-format", "repeat-last-n", "repeat-penalty"),
    *(
        "reranking",
        "rope-freq-base",
        "rope-freq-scale",
        "rope-scale",
        "rope-scaling",
        "rpc",
        "seed",
        "slots",
        "split-mode",
    ),
    *("swa-full", "temp", "tensor-split", "threads", "threads-batch", "threads-http", "timeout", "top-k", "top-p"),
    *("ubatch-size", "verbose", "yarn-attn-factor", "yarn-beta-fast", "yarn-beta-slow", "yarn-ext-factor"),
)
_ONLY_LLAMA_CPP = ("host", "port")
_OLDEST = parse_version("0.5.7")


def check_wanted(engines: Sequence[str]) -> List[str]:
    """Of fleet_engines, the engines that a host has also without a model."""
    return [
        f"fleet_engines names {engine!r}. There are {' and '.join(ENGINES)}."
        for engine in engines
        if engine not in ENGINES
    ]


def check_mirrors(mirrors: Sequence[Any]) -> List[str]:
    """Of models_mirrors: each is an address, or a directory on the host."""
    return [
        f"models_mirrors names {without_credentials(mirror)!r}. Give an http or https address with its scheme, or a "
        "directory on the hosts, whole, from / on."
        for mirror in map(str, mirrors)
        if not mirror.startswith("/") and not is_address(mirror, ("http", "https", "file"))
    ]


def check_engine(engine: Engine, settings: Mapping[str, Any]) -> List[str]:
    """Of the settings of a host's engine; `settings` is Ollama's environment with what may be secret in it."""
    if engine.name != OLLAMA:
        return []
    if _version(engine) is not None:
        return [str(problem) for problem in environment_problems(settings, str(engine.version))]
    return [
        f"ollama_version is {engine.version}. Ollama 0.5.7 and newer can be served; write the number without a v, "
        "such as 0.33.2."
    ]


def check_model(model: Mapping[str, Any], engine: Engine) -> List[str]:
    """Of one model with the engine that serves it."""
    return _of_ollama(model, engine) if engine.name == OLLAMA else _of_llama_cpp(model)


def _of_ollama(model: Mapping[str, Any], engine: Engine) -> List[str]:
    found = _refused(parse_name, model["name"])
    if model["layout"] != "merged":
        found.append("layout is shards, and Ollama serves one merged file. Leave layout out.")
    for key in _ONLY_LLAMA_CPP:
        if model[key] is not None:
            found.append(f"{key} is for llama.cpp; where Ollama listens is said by ollama_host. Leave {key} out.")
    keep_alive = model["keep_alive"]
    if keep_alive is not None and parse_duration(str(keep_alive)) is None:
        found.append(f"keep_alive is {keep_alive!r}. Give seconds or a duration such as 5m or 24h; -1 is for ever.")
    version = _version(engine) or NEWEST_TESTED
    found += _refused(checked_template, model["template"] or "", version)
    for parameter in model["parameters"].items():
        found += _refused(check_parameters, dict([parameter]), version)
    return found


def _version(engine: Engine) -> Optional[Version]:
    """The version whose rules hold; None for one that cannot be served."""
    try:
        version = parse_version(str(engine.version))
    except Problem:
        return None
    if version == LOCALLY_BUILT:
        return NEWEST_TESTED
    return version if version >= _OLDEST else None


def _refused(check: Callable[..., object], *arguments: object) -> List[str]:
    try:
        check(*arguments)
    except Problem as problem:
        return [str(problem)]
    return []


def _of_llama_cpp(model: Mapping[str, Any]) -> List[str]:
    found = []
    for name in model["parameters"]:
        word = str(name).lstrip("-")
        dashed = word.replace("_", "-")
        if dashed in LLAMA_CPP_OPTIONS or len(dashed) < 3:
            continue
        if word.replace("-", "_") in LLAMA_CPP_WORDS:
            found.append(f"{name} is Ollama's word; llama.cpp says {LLAMA_CPP_WORDS[word.replace('-', '_')]}.")
            continue
        meant = nearest(dashed, LLAMA_CPP_OPTIONS, cutoff=0.85)
        if meant is not None:
            found.append(f"llama-server has no option {name}. Did you mean {meant}?")
    return found


def check_listening(servers: Sequence[Server]) -> List[str]:
    """Two servers of one host on one port, and two with one name."""
    found = []
    for index, server in enumerate(servers):
        for other in servers[:index]:
            if server.name == other.name:
                found.append(f"two servers have the name {server.name}. Give each a name of its own.")
            elif server.listen.takes_from(other.listen):
                variable = " (ollama_host)" if OLLAMA in (server.engine, other.engine) else ""
                found.append(
                    f"{other.name} and {server.name} would both listen on {server.listen.text}. "
                    f"Give one of them another port{variable}."
                )
    return found
