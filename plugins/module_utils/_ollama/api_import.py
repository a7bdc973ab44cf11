# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Import through the server's own API: for versions outside the tested range, and where its store cannot be reached.

The server copies the file, and rewrites it from 0.30 on, so the digest of what it holds is not the file's.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import Name, is_named
from ansible_collections.gguf.fleet.plugins.module_utils._engine.ollama import Ollama
from ansible_collections.gguf.fleet.plugins.module_utils._engine.shown import Scalar, shown_parameters
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.config import config_of_source
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.loading import whole_file_seconds
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import Settings
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import Version
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.weights import Weights

_BLOB_OF_FROM = re.compile(r"^FROM .*/sha256-([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True)
class ApiPlan:
    """What the server would be asked for; None where it has what is wanted."""

    create: Optional[Dict[str, Any]]
    upload: Optional[str]
    reason: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def plan_from_file(client: Ollama, name: Name, weights: Weights, settings: Settings, version: Version) -> ApiPlan:
    """What makes the server have the model from that file."""
    digest = f"sha256:{weights.sha256}"
    shown = client.show(str(name))
    after = _settings_fields(settings)
    reason = _difference(shown, after, bool(settings.template))
    if not reason and shown is not None and not _same_weights(shown, weights, version):
        reason = "it was made from another file"
    request = {"files": {os.path.basename(weights.path): digest}, **_request(name, settings)} if reason else None
    upload = digest if reason and not client.has_blob(digest) else None
    return ApiPlan(request, upload, reason, {} if shown is None else shown_fields(shown), after)


def plan_from_base(client: Ollama, name: Name, base: Name, settings: Settings) -> ApiPlan:
    """What makes the server have the model that builds on one that it has; it would try to pull one that it lacks."""
    shown_base = client.show(str(base))
    if shown_base is None:
        raise OllamaProblem(
            f"Ollama at {client.url} has no model {base} to make {name} from.",
            "Import it first; nothing is pulled from a registry.",
        )
    inherited = shown_fields(shown_base)
    after = {
        **inherited,
        **{key: value for key, value in _settings_fields(settings).items() if value},
        "parameters": {**inherited["parameters"], **_comparable(settings.parameters)},
    }
    shown = client.show(str(name))
    reason = _difference(shown, after, bool(settings.template))
    request = {"from": str(base), **_request(name, settings)} if reason else None
    return ApiPlan(request, None, reason, {} if shown is None else shown_fields(shown), after)


def apply(client: Ollama, plan: ApiPlan, weights: Optional[Weights]) -> None:
    """Ask the server for it. Whatever it does with the whole file it does in silence, so that sets the limit."""
    size_bytes = weights.size_bytes if weights is not None else 0
    if plan.upload is not None and weights is not None:
        client.upload_blob(plan.upload, weights.file, stall_seconds=whole_file_seconds(size_bytes))
    if plan.create is not None:
        client.create(plan.create, stall_seconds=whole_file_seconds(size_bytes))


def listed(client: Ollama, name: Name) -> Optional[Dict[str, Any]]:
    """The model's entry in `/api/tags`."""
    for model in client.models():
        if is_named(model.get("name"), name):
            return model
    return None


def _request(name: Name, settings: Settings) -> Dict[str, Any]:
    given = {
        "template": settings.template,
        "system": settings.system,
        "parameters": dict(settings.parameters),
        "messages": [dict(message) for message in settings.messages],
        "license": list(settings.license),
    }
    return {"model": str(name), **{key: value for key, value in given.items() if value}}


def _difference(shown: Optional[Mapping[str, Any]], after: Mapping[str, Any], with_template: bool) -> str:
    if shown is None:
        return "not there yet"
    before = shown_fields(shown)
    if "stop" not in after["parameters"]:
        # From a file the server takes the stop texts of the template that it recognises by itself.
        before["parameters"].pop("stop", None)
    names = ["system", "parameters", "messages", "license", *(["template"] if with_template else [])]
    differing = [name for name in names if before[name] != after[name]]
    return f"it gets another {' and '.join(differing)}" if differing else ""


def _same_weights(shown: Mapping[str, Any], weights: Weights, version: Version) -> bool:
    blob = _BLOB_OF_FROM.search(str(shown.get("modelfile") or ""))
    if blob is not None and blob.group(1) == weights.sha256:
        return True
    # What the server rewrote has another digest: what it says of the model must do.
    config = config_of_source(weights.source, version)
    details = shown.get("details") or {}
    return (details.get("family"), details.get("parameter_size"), details.get("quantization_level")) == (
        config["model_family"],
        config["model_type"],
        config["file_type"],
    )


# --- what /api/show tells, in a form that compares; its modelfile text loses quotes


def shown_fields(shown: Mapping[str, Any]) -> Dict[str, Any]:
    return {
        "template": shown.get("template") or None,
        "system": shown.get("system") or None,
        "parameters": shown_parameters(str(shown.get("parameters") or "")),
        "messages": _turns(shown.get("messages") or []),
        "license": shown.get("license") or None,
    }


def _settings_fields(settings: Settings) -> Dict[str, Any]:
    return {
        "template": settings.template or None,
        "system": settings.system or None,
        "parameters": _comparable(settings.parameters),
        "messages": _turns(settings.messages),
        "license": "\n".join(settings.license) or None,
    }


def _turns(messages: Any) -> List[Tuple[str, str]]:
    return [(str(message.get("role")), str(message.get("content"))) for message in messages]


def _comparable(parameters: Mapping[str, Any]) -> Dict[str, List[Scalar]]:
    return {
        name: [_scalar(item) for item in (value if isinstance(value, list) else [value])]
        for name, value in parameters.items()
    }


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, (bool, str)) else float(value)
