# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A gateway asked as a client of it would: each model, with a stream and without, and what has to be refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question, generate
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.gateway import model_key
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_dicts, as_text
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

# What nobody may do through a gateway, by method and path.
REFUSED = (("POST", "/api/pull"), ("DELETE", "/api/delete"), ("POST", "/v1/../api/pull"), ("GET", "/slots"))
WARN_BELOW_DAYS = 30
_CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Client:
    """Who asks: the name, the key, and the models that it may ask for."""

    name: str
    key: str
    models: Sequence[str]


def client_to_ask(
    clients: Sequence[Mapping[str, Any]], keys: Mapping[str, str], served: Sequence[str]
) -> Optional[Client]:
    """The client by which most is seen: the one with the most models, without a limit; None where no key is known.

    Args:
        clients: entries of gateway_clients.
        keys: those that the controller knows, by the client's name.
        served: the models behind the gateway.
    """
    found = []
    for client in clients:
        name, only = str(client["name"]), [model_key(str(model)) for model in client.get("models") or ()]
        models = [model for model in served if not only or model_key(model) in only]
        limited = bool(client.get("requests_per_minute") or client.get("requests_at_once"))
        if name in keys and models:
            found.append((not limited, len(models), Client(name, keys[name], models)))
    return max(found, key=lambda one: one[:2])[2] if found else None


def check_entrance(
    stranger: Endpoint, with_key: Endpoint, client: Client, question: Question, seconds: float
) -> List[Dict[str, Any]]:
    """What each model answered: model, answer, first_token_seconds, tokens_per_second.

    Args:
        stranger: the gateway without a key.
        with_key: the gateway with the client's key.
        question: asked of every model, once as a stream and once as a whole.
        seconds: that a model may take to load and answer.

    Raises:
        EngineProblem: at the first thing that is not as it should be.
    """
    for method, path in (("GET", "/v1/models"), ("POST", _CHAT)):
        _expect(stranger, method, path, 401, "without a key")
    for method, path in REFUSED:
        _expect(with_key, method, path, 403, f"with the key of {client.name}")
    listed = {as_text(one.get("id")) for one in as_dicts(with_key.json("GET", "/v1/models").get("data"))}
    missing = [model for model in client.models if model not in listed]
    if missing:
        raise EngineProblem(
            f"{with_key.url}/v1/models does not list {missing[0]}.", "Run site.yml, which brings the gateway's list."
        )
    found = []
    for model in client.models:
        heard = generate(with_key, model, question, wait_seconds=seconds)
        _ask_whole(with_key, model, question, seconds)
        found.append(
            {
                "model": printable(model, limit=200),
                "answer": heard.answer,
                "first_token_seconds": heard.first_token_seconds,
                "tokens_per_second": heard.tokens_per_second,
            }
        )
    return found


def _ask_whole(endpoint: Endpoint, model: str, question: Question, seconds: float) -> None:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question.text}],
        "max_tokens": question.max_tokens,
        "stream": False,
    }
    if not as_dicts(endpoint.json("POST", _CHAT, body, limit_seconds=seconds).get("choices")):
        raise EngineProblem(f"{endpoint.url}{_CHAT}: {model} gives no answer.", "Look at the engine's log.")


def _expect(endpoint: Endpoint, method: str, path: str, status: int, who: str) -> None:
    got = endpoint.ask(method, path, {} if method == "POST" else None).status
    if got != status:
        raise EngineProblem(
            f"{endpoint.url}: {method} {path} {who} gives {got}, not {status}.",
            "Check what answers there: the configuration of the gateway refuses that.",
        )


def report(
    url: str, client: str, key_file: str, found: Sequence[Mapping[str, Any]], days_left: Optional[int] = None
) -> List[str]:
    """Lines to print.

    key_file: where the client's key is, empty where it was given. days_left: of the gateway's certificate.
    """
    where = f", in {key_file}" if key_file else ""
    lines = [
        f"{url}  answers with the key of {client}{where}",
        "    Strangers, and paths that change something, are refused.",
    ]
    for one in found:
        words = " ".join(str(one["answer"]).split())[:200]
        lines.append(f"    {one['model']}  first token after {one['first_token_seconds']:.2f} s: {words}")
    return [*(printable(line) for line in lines), *ends_soon(url, days_left)]


def ends_soon(url: str, days_left: Optional[int]) -> List[str]:
    """A line about a certificate that does not hold for long."""
    if days_left is None or days_left >= WARN_BELOW_DAYS:
        return []
    return [
        printable(
            f"WARNING: The certificate of {url} ends in {days_left} days. Run site.yml, which renews the fleet's own, "
            "or replace the given one (gateway_certificate)."
        )
    ]
