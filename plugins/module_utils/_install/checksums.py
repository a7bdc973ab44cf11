# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Checksums of release archives: what a release publishes, and what is pinned of it beside the inventory."""

from __future__ import annotations

import io
import os
import re
from typing import Dict, Mapping, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files import moved
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.lock import wait_for_turn
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file
from ansible_collections.gguf.fleet.plugins.module_utils._install import fetch
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines, plain_name_problem

MAX_BYTES = 1 << 20
SECONDS = 60.0
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_PUBLISHED = re.compile(r"([0-9a-f]{64}) +\*?(?:\./)?([^/ ]+)\Z")
_PINNED = re.compile(r"([0-9a-f]{64})\s+\*?v([^/\s]+)/(\S+)\Z")


def published(url: str) -> Tuple[Dict[str, str], str]:
    """The list at this URL (as sha256sum writes it) by the archives' names, and why there is none, else empty."""
    answer = io.BytesIO()
    try:
        fetch.fetch(url, answer, None, MAX_BYTES, whole_seconds=SECONDS)
    except Problem as error:
        return {}, failure(error)["problem"]
    return parse_published(answer.getvalue().decode("utf-8", "replace")), ""


def parse_published(text: str) -> Dict[str, str]:
    """Of the lines, those that name a file without a directory."""
    found = (_PUBLISHED.match(line.rstrip()) for line in lines(text))
    return {line[2]: line[1] for line in found if line is not None and plain_name_problem(line[2]) is None}


def read_pins(path: str) -> str:
    """The text of the file of pins; empty where there is none yet."""
    try:
        return read_file(os.path.realpath(moved.place(path)), limit_bytes=MAX_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def pinned(text: str, version: str) -> Dict[str, str]:
    """The pins of one version by the archives' names."""
    found = (_PINNED.match(line.rstrip()) for line in lines(text))
    return {line[3]: line[1] for line in found if line is not None and line[2] == version}


def with_pins(text: str, version: str, new: Mapping[str, str]) -> str:
    """The text with these added; what is there stays as its owner wrote it."""
    known = pinned(text, version)
    added = [f"{digest}  v{version}/{name}\n" for name, digest in new.items() if name not in known]
    return "".join([text if not text or text.endswith("\n") else text + "\n", *added])


def pin(path: str, version: str, new: Mapping[str, str]) -> None:
    """Add these to the file, in one step, whatever other hosts of this run add meanwhile. Raises InstallProblem."""
    target = os.path.realpath(path)
    try:
        with Directory.open(os.path.dirname(target)) as directory:
            wait_for_turn(directory)
            text = read_pins(target)
            after = with_pins(text, version, new)
            if after != text:
                write_file(target, after.encode(), mode=0o644, owner=(os.geteuid(), os.getegid()))
    except OSError as error:
        raise InstallProblem(
            f"The checksums cannot be pinned in {path}: {error.strerror or error}.",
            "Make its directory writable for the user who runs Ansible, or name another file in ollama_checksums_file.",
        ) from error
