# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's programs as tests run them. A warning that the test does not expect fails it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

CHECKOUT = Path(__file__).resolve().parents[1]

_TAG = re.compile(r"^\[(?:WARNING|DEPRECATION WARNING)\]: ", re.MULTILINE)
# What ends the text of a warning where standard output and standard error are one stream.
_NEXT = re.compile(r"\n(?:\n|\[|(?:TASK|PLAY|RUNNING HANDLER) \[|(?:ok|changed|skipping|fatal|failed|included): )")


def program(name: str) -> str:
    """A program of the environment that the tests run in."""
    return str(Path(sys.executable).with_name(name))


def environment(**more: str) -> dict[str, str]:
    """By the settings of the checkout, but messages on one line, as Ansible prints them by default."""
    return {
        **os.environ,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        # Plays on localhost alone.
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
        **more,
    }


def ansible(
    name: str,
    *arguments: str,
    warnings: Sequence[str] = (),
    env: Optional[dict[str, str]] = None,
    cwd: Path = CHECKOUT,
    seconds: float = 540,
) -> subprocess.CompletedProcess[str]:
    """Runs ansible, ansible-playbook, ... to its end.

    `warnings` are words of those that it must print; any other fails the test.
    """
    command = [program(name), *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=env or environment(), text=True, capture_output=True, check=False, timeout=seconds
    )
    only_expected_warnings(done.stdout + done.stderr, warnings)
    return done


def warnings_of(output: str) -> list[str]:
    """The warnings and deprecations in an output, each on one line."""
    found = []
    for tag in _TAG.finditer(output):
        rest = _NEXT.split(output[tag.start() :], maxsplit=1)[0]
        found.append(" ".join(rest.split()))
    return found


def only_expected_warnings(output: str, expected: Sequence[str] = ()) -> None:
    """Fails where a warning comes that holds none of the words, or where words come in none."""
    found = warnings_of(output)
    # Ansible breaks long ones wherever the terminal's width ends.
    packed = ["".join(text.split()) for text in found]
    wanted = ["".join(words.split()) for words in expected]
    strange = [text for text, one in zip(found, packed) if not any(words in one for words in wanted)]
    assert not strange, "warnings that the test does not expect:\n" + "\n".join(strange)
    missing = [words for words, one in zip(expected, wanted) if not any(one in text for text in packed)]
    assert not missing, f"expected warnings that did not come: {missing}"


def main(log: str, expected: str = "") -> None:
    """For scripts: fails where the output in a file has a warning that holds no line of the other file."""
    output = re.sub(r"\x1b\[[0-9;]*m", "", Path(log).read_text(encoding="utf-8", errors="replace"))
    known = Path(expected).read_text(encoding="utf-8").splitlines() if expected else []
    found = warnings_of(output)
    strange = [text for text in found if not any(words in text for words in known)]
    if strange:
        sys.exit("warnings that nobody expects:\n" + "\n".join(strange))


if __name__ == "__main__":
    main(*sys.argv[1:])
