# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A model's manifest, and the small blobs around it, composed byte for byte as the server would write them.

Kept to: createModel and its set… functions in ollama server/create.go, manifest/manifest.go and manifest/layer.go.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._ollama import config as config_blob
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.gojson import encode
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import Rules
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

MODEL = "application/vnd.ollama.image.model"
_TEMPLATE = "application/vnd.ollama.image.template"
_SYSTEM = "application/vnd.ollama.image.system"
_LICENSE = "application/vnd.ollama.image.license"
PARAMS = "application/vnd.ollama.image.params"
_MESSAGES = "application/vnd.ollama.image.messages"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

# What the server and we write as a whole number
_MAX_SIZE_BYTES = 2**53
_MAX_DEPTH = 100
_MAX_DIGITS = 100
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ManifestProblem(OllamaProblem):
    """A manifest that is not one."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"The manifest {printable(path)} cannot be read ({printable(why)}).",
            "Remove that file, or create its model again; Ollama does not prune its store while it is there.",
        )
        self.path = path


@dataclass(frozen=True)
class Layer:
    media_type: str
    digest: str
    size_bytes: int
    origin: str = ""
    name: str = ""

    def as_json(self) -> Dict[str, Any]:
        fields: Dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size_bytes}
        if self.origin:
            fields["from"] = self.origin
        if self.name:
            fields["name"] = self.name
        return fields


@dataclass(frozen=True)
class Manifest:
    config: Layer
    layers: Tuple[Layer, ...]

    @property
    def digests(self) -> Tuple[str, ...]:
        return (*(layer.digest for layer in self.layers), self.config.digest)

    @property
    def size_bytes(self) -> int:
        return sum(layer.size_bytes for layer in (*self.layers, self.config))

    def layer(self, media_type: str) -> Optional[Layer]:
        """The last layer of that type: the one that the server uses."""
        return next((layer for layer in reversed(self.layers) if layer.media_type == media_type), None)

    def encode(self) -> bytes:
        return encode(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": self.config.as_json(),
                "layers": [layer.as_json() for layer in self.layers],
            }
        )


def parse_manifest(data: bytes, path: str) -> Manifest:
    """The manifest in a file of the store; a model's own file, so it may hold anything."""
    try:
        content = json.loads(data, parse_int=_whole_number)
        manifest = Manifest(_layer(content["config"]), tuple(_layer(layer) for layer in content["layers"] or []))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestProblem(path, str(error)) from None
    return manifest


def _layer(fields: Any) -> Layer:
    digest, size = fields["digest"], fields["size"]
    if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
        raise ValueError(f"a layer's digest is {str(digest)[:80]!r}")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _MAX_SIZE_BYTES:
        raise ValueError(f"the size of layer {digest} is no number of bytes")
    return Layer(_text(fields, "mediaType"), digest, size, _text(fields, "from"), _text(fields, "name"))


def _text(fields: Mapping[str, Any], name: str) -> str:
    text = fields.get(name) or ""
    if not isinstance(text, str):
        raise ValueError(f"a layer's {name} is no text")
    return text


def _whole_number(digits: str) -> int:
    """Python before 3.11 takes minutes for a number of millions of digits."""
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


@dataclass(frozen=True)
class Settings:
    """What a model adds to its weights; None and empty mean: nothing."""

    template: Optional[str] = None
    system: Optional[str] = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: Sequence[Mapping[str, str]] = ()
    license: Sequence[str] = ()


@dataclass(frozen=True)
class Composition:
    """All that makes a model: its manifest, and the blobs to write beside the weights, by digest."""

    manifest: Manifest
    blobs: Mapping[str, bytes]


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def json_object(data: Optional[bytes]) -> Optional[Dict[str, Any]]:
    """The JSON object in a blob; None when there is none."""
    try:
        content = json.loads(
            data or b"", parse_int=_whole_number, parse_float=_finite_number, parse_constant=_finite_number
        )
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and not _is_too_deep(content) else None


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]}")
    return number


def _is_too_deep(content: Any) -> bool:
    """Whether it is nested deeper than anything that a server writes."""
    level = [content]
    for _depth in range(_MAX_DEPTH):
        level = [
            item
            for value in level
            if isinstance(value, (dict, list))
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def described(manifest: Manifest, read: Callable[[str], Optional[bytes]]) -> Dict[str, Any]:
    """The model as an operator wants to see it: its weights' digest and its settings."""

    def texts(media_type: str) -> List[str]:
        blobs = [read(layer.digest) for layer in manifest.layers if layer.media_type == media_type]
        return [blob.decode(errors="replace") for blob in blobs if blob is not None]

    params = manifest.layer(PARAMS)
    weights = manifest.layer(MODEL)
    config = json_object(read(manifest.config.digest)) or {}
    return {
        "weights": weights.digest if weights else None,
        "config": {key: value for key, value in config.items() if key != "rootfs"},
        "template": next(iter(texts(_TEMPLATE)), None),
        "system": next(iter(texts(_SYSTEM)), None),
        "parameters": json_object(read(params.digest)) if params else {},
        "messages": next(iter(texts(_MESSAGES)), None),
        "license": texts(_LICENSE),
    }


def compose_from_file(source: config_blob.Source, weights: Layer, settings: Settings, rules: Rules) -> Composition:
    """The model that a GGUF file becomes."""
    stops = config_blob.stops_of_source(source, rules.version)
    if stops and "stop" not in settings.parameters:
        settings = replace(settings, parameters={**settings.parameters, "stop": stops})
    config = config_blob.config_of_source(source, rules.version)
    return _compose([weights], config, settings, {}, rules)


def weights_layer(sha256: str, size_bytes: int, blob_path: str, rules: Rules) -> Layer:
    """The layer of the GGUF file itself; `blob_path` is where the server sees it."""
    return Layer(MODEL, f"sha256:{sha256}", size_bytes, blob_path if rules.model_layer_names_its_blob else "")


@dataclass(frozen=True)
class Base:
    """A model to derive from: its short name, its manifest, its config and its parameters."""

    name: str
    manifest: Manifest
    config: Mapping[str, Any]
    parameters: Mapping[str, Any]


def compose_from_base(base: Base, settings: Settings, rules: Rules) -> Composition:
    """The model that builds on another one: what `settings` leaves out is the base's."""
    layers = [replace(layer, origin=base.name) for layer in base.manifest.layers]
    return _compose(layers, base.config, settings, base.parameters, rules)


def _compose(
    layers: List[Layer],
    config: Mapping[str, Any],
    settings: Settings,
    inherited: Mapping[str, Any],
    rules: Rules,
) -> Composition:
    blobs: Dict[str, bytes] = {}

    def add(media_type: str, data: bytes, *, instead: bool = True) -> None:
        if instead:
            layers[:] = [layer for layer in layers if layer.media_type != media_type]
        blobs[digest_of(data)] = data
        layers.append(Layer(media_type, digest_of(data), len(data)))

    if settings.template:
        add(_TEMPLATE, settings.template.encode())
    if settings.system:
        add(_SYSTEM, settings.system.encode())
    for text in settings.license:
        add(_LICENSE, text.encode(), instead=False)
    parameters = {**inherited, **settings.parameters}
    if parameters:
        add(PARAMS, encode(parameters, sort_keys=True))
    if settings.messages:
        messages = [{"role": message["role"], "content": message["content"]} for message in settings.messages]
        add(_MESSAGES, encode(messages))
    config_data = config_blob.config_bytes(config, [layer.digest for layer in layers], rules)
    blobs[digest_of(config_data)] = config_data
    config_layer = Layer(config_blob.MEDIA_TYPE, digest_of(config_data), len(config_data))
    return Composition(Manifest(config_layer, tuple(layers)), blobs)
