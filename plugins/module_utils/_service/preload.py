# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Loads models into an Ollama that is just starting, for ever: those with keep_alive -1 are in memory after each start.

    preload HOST PORT SECONDS MODEL...

It goes on in the background and ends when all are loaded, or when the time is over. It is the service's user, and goes
with the service when that stops. This file stands alone: hosts get it as it is, as /usr/local/lib/gguf-fleet/preload.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
from typing import List

PAUSE_SECONDS = 1.0
# After an answer that is an error: memory that others hold, most of the time.
LONG_PAUSE_SECONDS = 10.0
ANSWER_BYTES = 65536


def say(text: str) -> None:
    sys.stderr.write(f"gguf-fleet: {text}\n")


def load(host: str, port: int, model: str, end: float) -> None:
    """Until it is loaded, or cannot be, or the time is over."""
    said = ""
    while (left := end - time.monotonic()) > 0:
        connection = http.client.HTTPConnection(host, port, timeout=left)
        try:
            body = json.dumps({"model": model, "keep_alive": -1, "stream": False})
            connection.request("POST", "/api/generate", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            told = answer.read(ANSWER_BYTES).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            # It does not listen yet.
            time.sleep(PAUSE_SECONDS)
            continue
        finally:
            connection.close()
        if answer.status == http.client.OK:
            return say(f"{model} is loaded, for ever")
        if answer.status == http.client.NOT_FOUND:
            return say(f"{model} is not there yet, and is not loaded")
        if told != said:
            said = told
            say(f"{model} is not loaded yet: HTTP {answer.status} {told[:200]!r}")
        time.sleep(LONG_PAUSE_SECONDS)
    say(f"{model} is not loaded: the time is over")


def main(arguments: List[str]) -> int:
    host, port, seconds, models = arguments[0], int(arguments[1]), float(arguments[2]), arguments[3:]
    # Who starts it goes on at once.
    if os.fork():
        return 0
    end = time.monotonic() + seconds
    for model in models:
        load(host, port, model, end)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
