# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What llama-fit-params printed before, by build, header and settings: the same question is asked once."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Dict, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file

MOST_ANSWERS = 200
MOST_BYTES = 4 * 2**20


def default_path() -> str:
    """Root's state, or the cache of whoever runs the controller."""
    if os.geteuid() == 0:
        return "/var/lib/gguf-fleet/judge.json"
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "gguf-fleet", "judge.json")


class Cache:
    """Answers in one file, the oldest first. What cannot be read is forgotten: it can be asked again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._answers: Dict[str, str] = _read(path)
        self._changed = False

    def get(self, key: str) -> Optional[bytes]:
        answer = self._answers.get(key)
        return None if answer is None else answer.encode("utf-8")

    def put(self, key: str, output: bytes) -> None:
        self._answers.pop(key, None)
        self._answers[key] = output.decode("utf-8", "replace")
        while len(self._answers) > MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]
        self._changed = True

    def save(self) -> None:
        """Write it where that is possible; without it the same question is asked again."""
        if self._changed:
            with contextlib.suppress(OSError, PathProblem):
                write_file(self.path, json.dumps(self._answers).encode(), mode=0o600, make_parents=True)


def _read(path: str) -> Dict[str, str]:
    try:
        answers = json.loads(read_file(path, limit_bytes=MOST_BYTES))
    except (OSError, PathProblem, ValueError, RecursionError):
        return {}
    if not isinstance(answers, dict):
        return {}
    return {key: text for key, text in answers.items() if isinstance(key, str) and isinstance(text, str)}
