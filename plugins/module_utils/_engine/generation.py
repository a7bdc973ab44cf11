# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A question to a model, and what its answer tells: the words, how soon the first came, how fast the rest."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import (
    as_count,
    as_dict,
    as_dicts,
    as_number,
    as_text,
    decode_json,
)
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

# No engine that serves needs longer for a token, nor more bytes around it.
_SECONDS_A_TOKEN = 30.0
_BYTES_A_TOKEN = 16 * 2**10
_BYTES_BEFORE = 2**20
_MAX_BYTES = 64 * 2**20
_MAX_TEXT_CHARACTERS = 1_000_000

# A chat as OpenAI's clients and Ollama's have it, and a bare prompt, which goes past the model's template.
_PATHS = {
    "openai": "/v1/chat/completions",
    "ollama": "/api/chat",
    "openai_prompt": "/v1/completions",
    "ollama_prompt": "/api/generate",
}


@dataclass(frozen=True)
class Question:
    """What is asked, by which interface (a key of C(_PATHS)), and how much may be answered."""

    text: str
    max_tokens: int
    api: str = "openai"
    may_be_empty: bool = False


@dataclass(frozen=True)
class Generation:
    """What came back. Models that think aloud may use up their tokens before they answer: that counts as serving."""

    answer: str
    reasoning: str
    finish_reason: str
    tokens: int
    tokens_per_second: Optional[float]
    first_token_seconds: float
    seconds: float


@dataclass
class _Heard:
    """A stream so far."""

    answer: List[str] = field(default_factory=list)
    reasoning: List[str] = field(default_factory=list)
    finish_reason: str = ""
    pieces: int = 0
    first: float = 0.0
    last: float = 0.0
    tokens: Optional[int] = None
    rate: Optional[float] = None
    done: bool = False


def _request(question: Question, model: str) -> Dict[str, Any]:
    body: Dict[str, Any] = {"model": model, "stream": True}
    if question.api.endswith("_prompt"):
        body["prompt"] = question.text
    else:
        body["messages"] = [{"role": "user", "content": question.text}]
    if _is_ollamas(question.api):
        body["options"] = {"num_predict": question.max_tokens, "temperature": 0, "seed": 1}
    else:
        body.update(max_tokens=question.max_tokens, temperature=0, seed=1, stream_options={"include_usage": True})
    return body


def _is_ollamas(api: str) -> bool:
    return api.startswith("ollama")


def _values(lines: Iterator[bytes], api: str) -> Iterator[Dict[str, Any]]:
    for line in lines:
        data = line
        if not _is_ollamas(api):
            # llama-server before 2025-08 sends an error that comes in the middle under a name of its own.
            kind, _colon, data = line.partition(b":")
            if kind not in (b"data", b"error"):
                continue
            if data.strip() == b"[DONE]":
                yield {}
                return
        try:
            value = decode_json(data)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise EngineProblem(
                f"The answer holds a line that is not JSON: {line[:80].decode('utf-8', 'replace')!r}.",
                "Check whether the address is that of the engine and not of something in front of it.",
            )
        yield value if line is data or not line.startswith(b"error") else {"error": value}


def _hear_openai(heard: _Heard, value: Dict[str, Any]) -> Tuple[str, str]:
    if not value:
        heard.done = True
        return "", ""
    tokens = as_count(as_dict(value.get("usage")).get("completion_tokens"))
    rate = as_number(as_dict(value.get("timings")).get("predicted_per_second"))
    heard.tokens = heard.tokens if tokens is None else tokens
    heard.rate = heard.rate if rate is None else float(rate)
    choice = (as_dicts(value.get("choices")) or [{}])[0]
    delta = as_dict(choice.get("delta"))
    heard.finish_reason = as_text(choice.get("finish_reason")) or heard.finish_reason
    words = as_text(delta.get("content")) or as_text(choice.get("text"))
    return words, as_text(delta.get("reasoning_content")) or as_text(delta.get("reasoning"))


def _hear_ollama(heard: _Heard, value: Dict[str, Any]) -> Tuple[str, str]:
    message = as_dict(value.get("message"))
    if value.get("done"):
        heard.done = True
        heard.finish_reason = as_text(value.get("done_reason")) or "stop"
        heard.tokens = as_count(value.get("eval_count"))
        nanoseconds = as_count(value.get("eval_duration"))
        heard.rate = heard.tokens * 1e9 / nanoseconds if heard.tokens and nanoseconds else None
    words = as_text(message.get("content")) or as_text(value.get("response"))
    return words, as_text(message.get("thinking")) or as_text(value.get("thinking"))


def generate(
    endpoint: Endpoint,
    model: str,
    question: Question,
    clock: Callable[[], float] = time.monotonic,
    *,
    wait_seconds: float,
) -> Generation:
    """Ask and listen to the end, which comes at most so many seconds later than the tokens take.

    The rate is the engine's own where it tells one, else the tokens after the first over the time that they took.
    """
    path = _PATHS[question.api]
    hear = _hear_ollama if _is_ollamas(question.api) else _hear_openai
    heard = _Heard()
    begun = clock()
    lines = endpoint.lines(
        path,
        _request(question, model),
        limit_seconds=wait_seconds + _SECONDS_A_TOKEN * question.max_tokens,
        limit_bytes=min(_MAX_BYTES, _BYTES_BEFORE + _BYTES_A_TOKEN * question.max_tokens),
    )
    for value in _values(lines, question.api):
        if value.get("error"):
            error = value["error"]
            told = str(error.get("message") if isinstance(error, dict) else error)[:500]
            raise EngineProblem(
                f"{endpoint.url}{path}: {model} broke off: {told}.", "The engine's log tells more.", said=told
            )
        answer, reasoning = hear(heard, value)
        if answer or reasoning:
            heard.answer.append(answer)
            heard.reasoning.append(reasoning)
            heard.pieces += 1
            heard.last = clock()
            heard.first = heard.last if heard.pieces == 1 else heard.first
    if not heard.done:
        raise EngineProblem(
            f"{endpoint.url}{path}: the answer of {model} ended in the middle, after {heard.pieces} pieces.",
            "The engine's log tells why; out of memory ends it most often.",
        )
    said, thought = "".join(heard.answer).strip(), "".join(heard.reasoning).strip()
    if not said and not thought and not question.may_be_empty:
        raise EngineProblem(
            f"{endpoint.url}{path}: {model} answered nothing to {question.text!r}.",
            "Check whether its template and its stop parameters fit the model.",
        )
    tokens = heard.tokens if heard.tokens is not None else heard.pieces
    rate = heard.rate
    if rate is None and tokens > 1 and heard.last > heard.first:
        rate = (tokens - 1) / (heard.last - heard.first)
    return Generation(
        answer=printable(said, limit=_MAX_TEXT_CHARACTERS, lines=True),
        reasoning=printable(thought, limit=_MAX_TEXT_CHARACTERS, lines=True),
        finish_reason=printable(heard.finish_reason, limit=100),
        tokens=tokens,
        tokens_per_second=None if rate is None else round(rate, 2),
        first_token_seconds=round((heard.first or clock()) - begun, 3),
        seconds=round(clock() - begun, 3),
    )
