# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The paths of an engine that pass a gateway or a door. Everything that is not in this table is refused.

What changes something (pull, delete, /slots, /props …) is in none of them, and no path is compared but as a whole.
"""

from __future__ import annotations

from typing import Mapping, Tuple

OLLAMA, LLAMA_CPP = "ollama", "llama_cpp"
# POST, for every client, on both engines.
OPENAI_PATHS: Tuple[str, ...] = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
)
# POST, on Ollama alone, for clients with `native_api`: by them a client can unload or reload a model.
NATIVE_PATHS: Tuple[str, ...] = ("/api/chat", "/api/generate", "/api/show")
# GET, by which a gateway asks whether an instance is ready, by engine. Behind a slash at the end stands a model's name.
CHECK_PATHS: Mapping[str, Tuple[str, ...]] = {OLLAMA: ("/v1/models/", "/api/ps"), LLAMA_CPP: ("/health",)}
# GET, answered by the gateway itself.
LIST_PATHS: Tuple[str, ...] = ("/v1/models", "/api/tags")
VERSION_PATH = "/api/version"
# What to ask instead of a native path, where llama.cpp serves the model.
OPENAI_PATH_OF: Mapping[str, str] = {
    "/api/chat": "/v1/chat/completions",
    "/api/generate": "/v1/completions",
    "/api/show": "/v1/models",
}
