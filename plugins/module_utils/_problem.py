# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The base of every error of ours, and its way to the operator."""

from __future__ import annotations

from typing import Dict, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

# The end of a service's log is part of some messages.
_MAX_CHARACTERS = 10_000


class Problem(Exception):
    """What is wrong (and where), and what to do about it: one or two sentences each."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} {remedy}".strip())
        self.problem = problem
        self.remedy = remedy


def failure(error: Problem) -> Dict[str, str]:
    """The fields of a module's failure: `msg`, `problem` and `remedy`, with text from outside made harmless."""
    problem = printable(error.problem, limit=_MAX_CHARACTERS, lines=True)
    remedy = printable(error.remedy, limit=_MAX_CHARACTERS, lines=True)
    return {"msg": f"{problem} {remedy}".strip(), "problem": problem, "remedy": remedy}


def together(problems: Sequence[Problem]) -> Problem:
    """Several problems of one run as one: a line for each, with what to do about it. One alone stays as it is."""
    if len(problems) == 1:
        return problems[0]
    return Problem("\n".join(str(problem) for problem in problems), "Do what each line says, then run again.")


def file_problem(error: OSError, path: str, remedy: str) -> Problem:
    """What the system says of a file, as a problem of ours; `path` for errors that name none."""
    return Problem(f"{error.filename or path}: {error.strerror or error}.", remedy)
