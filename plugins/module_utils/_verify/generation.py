# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A question to a model, and what its answer tells: the words, how soon the first came, how fast the rest."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._verify.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._verify.problem import EndpointProblem

_PATHS = {"openai": "/v1/chat/completions", "ollama": "/api/chat"}


@dataclass(frozen=True)
class Question:
    """What is asked, and how much may be answered."""

    text: str
    max_tokens: int
    api: str = "openai"


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

    answer: str = ""
    reasoning: str = ""
    finish_reason: str = ""
    pieces: int = 0
    tokens: Optional[int] = None
    rate: Optional[float] = None
    done: bool = False


def _request(question: Question, model: str) -> Dict[str, Any]:
    messages = [{"role": "user", "content": question.text}]
    body: Dict[str, Any] = {"model": model, "messages": messages, "stream": True}
    if question.api == "ollama":
        body["options"] = {"num_predict": question.max_tokens, "temperature": 0, "seed": 1}
    else:
        body.update(max_tokens=question.max_tokens, temperature=0, seed=1, stream_options={"include_usage": True})
    return body


def _values(lines: Iterator[bytes], api: str) -> Iterator[Dict[str, Any]]:
    for line in lines:
        if api == "openai":
            if not line.startswith(b"data:"):
                continue
            line = line[5:].strip()  # noqa: PLW2901
            if line == b"[DONE]":
                yield {}
                return
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise EndpointProblem(
                f"The answer holds a line that is not JSON: {line[:80].decode('utf-8', 'replace')!r}.",
                "See whether the address is that of the engine and not of something in front of it.",
            )
        yield value


def _hear_openai(heard: _Heard, value: Dict[str, Any]) -> Tuple[str, str]:
    if not value:
        heard.done = True
        return "", ""
    usage, timings = value.get("usage") or {}, value.get("timings") or {}
    heard.tokens = usage.get("completion_tokens", heard.tokens)
    heard.rate = timings.get("predicted_per_second", heard.rate)
    choices = value.get("choices") or [{}]
    delta = choices[0].get("delta") or {}
    heard.finish_reason = choices[0].get("finish_reason") or heard.finish_reason
    return delta.get("content") or "", delta.get("reasoning_content") or delta.get("reasoning") or ""


def _hear_ollama(heard: _Heard, value: Dict[str, Any]) -> Tuple[str, str]:
    message = value.get("message") or {}
    if value.get("done"):
        heard.done = True
        heard.finish_reason = value.get("done_reason") or "stop"
        heard.tokens = value.get("eval_count")
        nanoseconds = value.get("eval_duration") or 0
        heard.rate = heard.tokens * 1e9 / nanoseconds if heard.tokens and nanoseconds else None
    return message.get("content") or "", message.get("thinking") or ""


def generate(
    endpoint: Endpoint, model: str, question: Question, clock: Callable[[], float] = time.monotonic
) -> Generation:
    """Ask and listen to the end.

    The rate is the engine's own where it tells one, else the tokens after the first over the time that they took.
    """
    path = _PATHS[question.api]
    hear = _hear_openai if question.api == "openai" else _hear_ollama
    heard = _Heard()
    times: List[float] = []
    begun = clock()
    for value in _values(endpoint.lines(path, _request(question, model)), question.api):
        if value.get("error"):
            error = value["error"]
            told = error.get("message") if isinstance(error, dict) else error
            raise EndpointProblem(f"{endpoint.url}{path}: {model} broke off: {told}.", "The engine's log tells more.")
        answer, reasoning = hear(heard, value)
        if answer or reasoning:
            heard.answer += answer
            heard.reasoning += reasoning
            heard.pieces += 1
            times.append(clock())
    if not heard.done:
        raise EndpointProblem(
            f"{endpoint.url}{path}: the answer of {model} ended in the middle, after {heard.pieces} pieces.",
            "The engine's log tells why; out of memory ends it most often.",
        )
    if not times or not (heard.answer.strip() or heard.reasoning.strip()):
        raise EndpointProblem(
            f"{endpoint.url}{path}: {model} answered nothing to {question.text!r}.",
            "See whether its template and its stop parameters fit the model.",
        )
    tokens = heard.tokens if heard.tokens is not None else heard.pieces
    rate = heard.rate
    if rate is None and tokens > 1 and times[-1] > times[0]:
        rate = (tokens - 1) / (times[-1] - times[0])
    return Generation(
        answer=heard.answer.strip(),
        reasoning=heard.reasoning.strip(),
        finish_reason=heard.finish_reason,
        tokens=tokens,
        tokens_per_second=None if rate is None else round(rate, 2),
        first_token_seconds=round(times[0] - begun, 3),
        seconds=round(clock() - begun, 3),
    )
