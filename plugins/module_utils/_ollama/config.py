# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The config blob: what Ollama says of a GGUF file in `ollama show` and `/api/tags`.

Kept to: createModel in ollama server/create.go, types/model/config.go, HumanNumber in format/format.go, and the file
types of llm/filetype.go and fs/ggml/type.go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import Header
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.gojson import encode
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import Rules, Span, Version, span

MEDIA_TYPE = "application/vnd.docker.container.image.v1+json"

_UNKNOWN = "unknown"
_EVERYWHERE = {
    1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 21: "Q2_K_S", 32: "BF16",
}  # fmt: skip
_IQ = {
    19: "IQ2_XXS", 20: "IQ2_XS", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M",
    28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M",
}  # fmt: skip
# Of the releases in between, none knows the IQ types by name.
_FILE_TYPES: Sequence[Tuple[Span, Mapping[int, str]]] = (
    (span(until="0.7.0"), {**_EVERYWHERE, **_IQ, 4: "Q4_1_F16"}),
    (span("0.7.0", "0.11.0"), _EVERYWHERE),
    (span("0.11.0", "0.30.0"), {**_EVERYWHERE, 4: "MXFP4"}),
    (span("0.30.0"), {**_EVERYWHERE, **_IQ, 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0"}),
)


# Architectures whose prompts Ollama renders, and whose answers it parses, with code of its own instead of a template.
@dataclass(frozen=True)
class _BuiltIn:
    versions: Span
    renderer: str
    parser: str
    stops: Sequence[str] = ()


_NEMOTRON = _BuiltIn(span("0.22.0"), "nemotron-3-nano", "nemotron-3-nano")
_BUILT_IN: Mapping[str, _BuiltIn] = {
    "gemma4": _BuiltIn(span("0.20.0"), "gemma4", "gemma4", ("<turn|>",)),
    "laguna": _BuiltIn(span("0.22.0"), "laguna", "laguna"),
    "nemotron_h": _NEMOTRON,
    "nemotron_h_moe": _NEMOTRON,
    "nemotron_h_omni": _NEMOTRON,
}


class SourceProblem(OllamaProblem):
    """A GGUF file that Ollama could not serve."""


@dataclass(frozen=True)
class Source:
    """What Ollama wants to know of a GGUF file."""

    architecture: str
    parameter_count: int
    file_type: Optional[int]
    has_chat_template: bool


def source_of(header: Header, path: str) -> Source:
    """The facts of one whole model; a single shard or something that is no language model is refused."""
    shards = _value(header, "split.count")
    if isinstance(shards, int) and shards > 1:
        raise SourceProblem(
            f"{path} is one of {shards} shards.", "Merge them first, with gguf_merge or gguf_download's layout merged."
        )
    kind = _value(header, "general.type")
    if kind in ("adapter", "projector", "mmproj"):
        raise SourceProblem(f"{path} is a {kind}, not a model.", "Name the file of the model itself.")
    architecture = _value(header, "general.architecture")
    file_type = _value(header, "general.file_type")
    return Source(
        architecture=architecture if isinstance(architecture, str) else _UNKNOWN,
        parameter_count=sum(math.prod(tensor.dims) for tensor in header.tensors),
        file_type=file_type if isinstance(file_type, int) else None,
        has_chat_template=_value(header, "tokenizer.chat_template") is not None,
    )


def _value(header: Header, name: str) -> Any:
    found = header.kv.get(name)
    return None if found is None else found.value


def human_number(number: int) -> str:
    """`671026419200` as `671.0B`."""
    if number >= 10**9:
        return _human(number / 10**9, "B", 1)
    if number >= 10**6:
        return _human(number / 10**6, "M", 2)
    if number >= 10**3:
        return f"{number / 10**3:.0f}K"
    return str(number)


def _human(number: float, unit: str, digits: int) -> str:
    return f"{number:.0f}{unit}" if number == math.floor(number) else f"{number:.{digits}f}{unit}"


def file_type_name(file_type: Optional[int], version: Version) -> str:
    """The quantization level as that version names it."""
    names = next(names for versions, names in _FILE_TYPES if version in versions)
    return names.get(file_type or -1, _UNKNOWN)


def config_of_source(source: Source, version: Version) -> Dict[str, Any]:
    """The config of a model made from a file, without what the layers add."""
    config: Dict[str, Any] = {
        "model_format": "gguf",
        "model_family": source.architecture,
        "model_families": [source.architecture],
        "model_type": human_number(source.parameter_count),
        "file_type": file_type_name(source.file_type, version),
    }
    built_in = _built_in(source, version)
    if built_in is not None:
        config["renderer"], config["parser"] = built_in.renderer, built_in.parser
    return config


def stops_of_source(source: Source, version: Version) -> List[str]:
    """The stop texts that the version sets by itself for this architecture when none are given."""
    built_in = _built_in(source, version)
    return [] if built_in is None else list(built_in.stops)


def _built_in(source: Source, version: Version) -> Optional[_BuiltIn]:
    built_in = _BUILT_IN.get(source.architecture)
    return built_in if built_in is not None and version in built_in.versions else None


def config_bytes(config: Mapping[str, Any], layer_digests: Sequence[str], rules: Rules) -> bytes:
    """The config blob; `config` is that of `config_of_source`, or the one of another model to derive from."""
    written = {name: value for name, value in config.items() if name not in ("architecture", "os", "rootfs")}
    # The server writes these on every machine.
    written.update(architecture="amd64", os="linux")
    if rules.config_has_rootfs:
        written["rootfs"] = {"type": "layers", "diff_ids": list(layer_digests)}
    return encode(written)
