# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Which commit a tag is, and its build number: pinned beside the inventory when it is first asked for.

A line is the commit, the tag, the build number and the URL. What its owner writes there stays.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.lock import wait_for_turn
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._files.writing import write_file
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines

COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_LINE = re.compile(r"([0-9a-f]{40})\s+(\S+)\s+(\d{1,9})\s+(\S+)\s*\Z")
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Pin:
    """A tag of a repository. number: the build number, 0 where nothing says it."""

    commit: str
    tag: str
    number: int
    url: str

    def __str__(self) -> str:
        return f"{self.commit}  {self.tag}  {self.number}  {self.url}\n"


def read(path: str) -> str:
    """The text of the file; empty where there is none yet."""
    try:
        return read_file(os.path.realpath(path), limit_bytes=_MAX_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def find(text: str, tag: str, url: str) -> Optional[Pin]:
    """The pin of a tag."""
    for line in lines(text):
        found = _LINE.match(line)
        if found and (found.group(2), found.group(4)) == (tag, url):
            return Pin(found.group(1), tag, int(found.group(3)), url)
    return None


def with_pin(text: str, pin: Pin) -> str:
    """The text with this one added, if the tag is not pinned yet."""
    if find(text, pin.tag, pin.url):
        return text
    return (text if not text or text.endswith("\n") else text + "\n") + str(pin)


def add(path: str, pin: Pin) -> None:
    """Into the file, in one step, whatever other hosts of this run add meanwhile. Raises BuildProblem."""
    target = os.path.realpath(path)
    try:
        with Directory.open(os.path.dirname(target)) as directory:
            wait_for_turn(directory)
            text = read(target)
            if with_pin(text, pin) != text:
                write_file(target, with_pin(text, pin).encode(), mode=0o644, owner=(os.geteuid(), os.getegid()))
    except OSError as error:
        raise BuildProblem(
            f"The source cannot be pinned in {path}: {error.strerror or error}.",
            "Make its directory writable for the user who runs Ansible, or name another in llama_cpp_sources_file.",
        ) from error
