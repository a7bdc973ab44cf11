# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAI dress of /api/chat, /api/generate and /api/tags."""

from __future__ import annotations

import random
import time
from typing import Any, Dict, List, Optional

_OPTIONS = ("seed", "frequency_penalty", "presence_penalty")


class BadRequest(Exception):
    """The request cannot be translated."""


def error(status: int, message: str) -> Dict[str, Any]:
    """An error as OpenAI clients expect it."""
    kind = {400: "invalid_request_error", 404: "not_found_error"}.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _content(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = []
        for part in value:
            if not isinstance(part, dict) or not isinstance(part.get("text"), str):
                raise BadRequest("invalid message format")
            texts.append(part["text"])
        return "\n\n".join(texts)
    raise BadRequest("invalid message content type: <nil>")


def _options(request: Dict[str, Any]) -> Dict[str, Any]:
    options: Dict[str, Any] = {}
    stop = request.get("stop")
    if isinstance(stop, str):
        options["stop"] = [stop]
    elif isinstance(stop, list):
        options["stop"] = stop
    if request.get("max_tokens") is not None:
        options["num_predict"] = request["max_tokens"]
    for name in _OPTIONS:
        if request.get(name) is not None:
            options[name] = request[name]
    for name in ("temperature", "top_p"):
        options[name] = request[name] if request.get(name) is not None else 1.0
    return options


def chat_request(request: Dict[str, Any]) -> Dict[str, Any]:
    """/v1/chat/completions -> /api/chat."""
    if not request.get("messages"):
        raise BadRequest("[] is too short - 'messages'")
    messages = [{"role": m.get("role", ""), "content": _content(m.get("content"))} for m in request["messages"]]
    form = request.get("response_format") or {}
    translated: Dict[str, Any] = {
        "model": request.get("model", ""),
        "messages": messages,
        "options": _options(request),
        "stream": bool(request.get("stream")),
    }
    if form.get("type") == "json_object":
        translated["format"] = "json"
    elif form.get("type") == "json_schema":
        translated["format"] = (form.get("json_schema") or {}).get("schema")
    return translated


def generate_request(request: Dict[str, Any]) -> Dict[str, Any]:
    """/v1/completions -> /api/generate."""
    return {
        "model": request.get("model", ""),
        "prompt": request.get("prompt", ""),
        "suffix": request.get("suffix", ""),
        "options": _options(request),
        "stream": bool(request.get("stream")),
    }


def new_id(prefix: str) -> str:
    """chatcmpl-123."""
    return "%s-%d" % (prefix, random.randrange(999))


def _usage(piece: Dict[str, Any]) -> Dict[str, int]:
    prompt, answer = piece.get("prompt_eval_count", 0), piece.get("eval_count", 0)
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def chat(identity: str, answer: Dict[str, Any], *, chunk: bool) -> Dict[str, Any]:
    """/api/chat's answer, or one piece of it, as a chat completion."""
    message = {"role": "assistant", "content": answer["message"]["content"]}
    choice = {"index": 0, "delta" if chunk else "message": message, "finish_reason": answer.get("done_reason") or None}
    return _completion(identity, answer, choice, "chat.completion" + (".chunk" if chunk else ""), chunk)


def text(identity: str, answer: Dict[str, Any], *, chunk: bool) -> Dict[str, Any]:
    """/api/generate's answer, or one piece of it, as a completion."""
    choice = {"text": answer["response"], "index": 0, "finish_reason": answer.get("done_reason") or None}
    return _completion(identity, answer, choice, "text_completion", chunk)


def _completion(
    identity: str, answer: Dict[str, Any], choice: Dict[str, Any], kind: str, chunk: bool
) -> Dict[str, Any]:
    result: Dict[str, Any] = {
        "id": identity,
        "object": kind,
        "created": int(time.time()),
        "model": answer["model"],
        "system_fingerprint": "fp_ollama",
        "choices": [choice],
    }
    if not chunk:
        result["usage"] = _usage(answer)
    return result


def usage_chunk(identity: str, answer: Dict[str, Any], kind: str) -> Dict[str, Any]:
    """The extra piece that stream_options.include_usage asks for."""
    result = _completion(identity, answer, {}, kind, True)
    return dict(result, choices=[], usage=_usage(answer))


def models(listing: List[Dict[str, Any]]) -> Dict[str, Any]:
    """/api/tags as /v1/models."""
    return {"object": "list", "data": [model(entry["name"], None) for entry in listing] or None}


def model(name: str, created: Optional[int]) -> Dict[str, Any]:
    """One entry of /v1/models."""
    owner = name.split("/")[-2] if "/" in name else "library"
    return {
        "id": name,
        "object": "model",
        "created": int(time.time()) if created is None else created,
        "owned_by": owner,
    }
