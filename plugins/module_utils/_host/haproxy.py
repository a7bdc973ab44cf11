# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The program HAProxy of a host: whether it is there, or to be had, and new enough."""

from __future__ import annotations

import re
from typing import Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem
from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import ProcessProblem, run_bounded
from ansible_collections.gguf.fleet.plugins.module_utils._process.programs import find_program

NAME = "haproxy"
OLDEST = (2, 4)
ASK_SECONDS = 60.0
_VERSION = re.compile(rb"version (\d+)\.(\d+)")
_CANDIDATE = re.compile(rb"^\s*Candidate:\s*(\S+)", re.MULTILINE)


class HaproxyProblem(Problem):
    """HAProxy is missing, or too old."""


def version(program: str) -> Tuple[int, ...]:
    """Of HAProxy. Raises HaproxyProblem for one that is too old or tells none."""
    told = run_bounded([program, "-v"], seconds=ASK_SECONDS).stdout
    match = _VERSION.search(told)
    if match is None:
        raise HaproxyProblem(f"{program} does not print its version.", "Install the distribution's package haproxy.")
    found = tuple(map(int, match.groups()))
    if found < OLDEST:
        raise HaproxyProblem(
            f"{program} is HAProxy {'.'.join(map(str, found))}, and 2.4 or later is needed.",
            "Take a newer release of the distribution, or its backports.",
        )
    return found


def refuse_without() -> None:
    """Raises HaproxyProblem where it is certain that this host cannot run HAProxy, also not after an installation."""
    program = find_program(NAME)
    if program is not None:
        version(program)
    elif _candidate() == "":
        raise HaproxyProblem(
            "There is no HAProxy on this host, and apt knows no package haproxy, so none can be installed.",
            "Give the host a package index and run apt-get update there, or install the package haproxy (2.4 or later) "
            "by hand, and run again.",
        )


def _candidate() -> Optional[str]:
    """The version that apt would install, empty where it knows none; None where there is no apt to ask."""
    apt = find_program("apt-cache")
    if apt is None:
        return None
    try:
        told = run_bounded([apt, "policy", NAME], seconds=ASK_SECONDS)
    except ProcessProblem:
        return None
    match = _CANDIDATE.search(told.stdout)
    found = match.group(1).decode("ascii", "replace") if match else "(none)"
    return None if told.code else "" if found == "(none)" else found
