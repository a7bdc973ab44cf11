# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_resolve as Ansible runs it, on the controller."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible

HOST = {"architecture": "amd64", "zstd": True, "releases": []}


def run(check: bool = False, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command with as much output as there is."""
    given = {"engine": "ollama", "host": HOST, **options}
    arguments = ["localhost", "-m", "gguf.fleet.engine_resolve", "-a", json.dumps(given), "--diff", "-vvv"]
    return ansible("ansible", *arguments, *(["--check"] if check else []))


def resolve(check: bool = False, **options: Any) -> dict[str, Any]:
    """Its result, or its failure."""
    done = run(check, **options)
    _head, arrow, body = done.stdout.partition("=> ")
    assert arrow, done.stdout + done.stderr
    result, _end = json.JSONDecoder().raw_decode(body)
    return dict(result)
