# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SDKs of OpenAI and Ollama get by a gateway, as JSON. Runs in the environment of tests/requirements-sdks.txt.

SSL_CERT_FILE=ca.pem KEY=... PLAIN_KEY=... sdks.py openai|ollama URL MODEL

PLAIN_KEY is one without `native_api`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

QUESTION = [{"role": "user", "content": "Name the capital of France."}]


def by_openai(url: str, model: str) -> dict[str, Any]:
    import openai

    # As the end of a run tells it.
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=os.environ["KEY"], timeout=3600, max_retries=0)
    asked = {"model": model, "messages": QUESTION, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**asked)
    pieces, times = [], []
    for event in client.chat.completions.create(**asked, stream=True):
        if event.choices and event.choices[0].delta.content:
            pieces.append(event.choices[0].delta.content)
            times.append(time.monotonic())
    wrong: dict[str, Any] = {}
    for name, call in {
        "key": openai.OpenAI(base_url=f"{url}/v1", api_key="k" * 40, max_retries=0).models.list,
        "model": lambda: client.chat.completions.create(model="nobody", messages=QUESTION),
        "path": lambda: client.images.generate(model=model, prompt="a"),
        "long": lambda: client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "x" * 3 * 2**20}]
        ),
    }.items():
        try:
            call()
        except openai.APIStatusError as error:
            wrong[name] = [type(error).__name__, error.status_code, error.code]
    return {
        "models": sorted(one.id for one in client.models.list()),
        "whole": whole.choices[0].message.content,
        "stream": "".join(pieces),
        "pieces": len(pieces),
        "seconds": times[-1] - times[0],
        "wrong": wrong,
    }


def by_ollama(url: str, model: str) -> dict[str, Any]:
    import ollama

    def by(key: str) -> Any:
        return ollama.Client(host=url, headers={"Authorization": f"Bearer {key}"})

    client = by(os.environ["KEY"])
    options = {"temperature": 0, "num_predict": 24}
    whole = client.chat(model=model, messages=QUESTION, options=options)
    stream = [
        part.message.content for part in client.chat(model=model, messages=QUESTION, options=options, stream=True)
    ]
    generated = client.generate(model=model, prompt="Name the capital of France.", options=options)
    wrong: dict[str, Any] = {}
    for name, call in {
        "key": by("k" * 40).list,
        "native": lambda: by(os.environ["PLAIN_KEY"]).chat(model=model, messages=QUESTION),
        "pull": lambda: client.pull(model),
        "delete": lambda: client.delete(model),
        "model": lambda: client.chat(model="nobody", messages=QUESTION),
    }.items():
        try:
            call()
        except ollama.ResponseError as error:
            wrong[name] = [error.status_code, error.error]
    return {
        "models": sorted(str(one.model) for one in client.list().models),
        "shows": client.show(model).details is not None,
        "whole": whole.message.content,
        "stream": "".join(stream),
        "pieces": len(stream),
        "generated": generated.response,
        "wrong": wrong,
    }


if __name__ == "__main__":
    print(json.dumps({"openai": by_openai, "ollama": by_ollama}[sys.argv[1]](*sys.argv[2:])))
