#!/usr/bin/env python3
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks each host of an inventory a question, as any client would, and prints endpoint, model and answer.

`ask.py NAME=URL …`: standard library only; the engines' OpenAI-compatible interface is all that it knows.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request

QUESTION = "Name the capital of France."
PATIENCE_SECONDS = 120


def fetch(url: str, body: dict[str, object] | None = None) -> dict:
    request = urllib.request.Request(url, headers={"Content-Type": "application/json"})
    if body is not None:
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        return json.load(response)


def ask(name: str, endpoint: str) -> None:
    model = fetch(f"{endpoint}/v1/models")["data"][0]["id"]
    started = time.monotonic()
    chat = {"model": model, "temperature": 0, "max_tokens": 48, "messages": [{"role": "user", "content": QUESTION}]}
    answer = fetch(f"{endpoint}/v1/chat/completions", chat)["choices"][0]["message"]["content"]
    seconds = time.monotonic() - started
    print(f"\n{name}\n  endpoint  {endpoint}\n  model     {model}")
    print(f"  answer    {' '.join(answer.split())}  ({seconds:.1f} s)")


def main(arguments: list[str]) -> int:
    failed = 0
    print(f"Asking: {QUESTION}")
    for argument in arguments:
        name, _, endpoint = argument.partition("=")
        try:
            ask(name, endpoint)
        except (OSError, ValueError, LookupError) as error:
            failed += 1
            print(f"\n{name}\n  endpoint  {endpoint}\n  no answer: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
