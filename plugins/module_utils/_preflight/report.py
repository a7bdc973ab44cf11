# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The findings of a fleet as one table of text, and below it what is not in order, errors before warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._preflight.finding import ERROR, OK, WARNING
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

Findings = Sequence[Mapping[str, str]]


def report_lines(hosts: Mapping[str, Findings]) -> list[str]:
    subjects = list(dict.fromkeys(finding["subject"] for findings in hosts.values() for finding in findings))
    rows = [["host", "verdict", *subjects]]
    for host, findings in hosts.items():
        verdict = "NOT READY" if any(finding["level"] == ERROR for finding in findings) else "ready"
        rows.append([host, verdict, *(_cell(findings, subject) for subject in subjects)])
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    for level, title in ((ERROR, "Errors:"), (WARNING, "Warnings:")):
        bad = [(host, finding) for host, findings in hosts.items() for finding in findings if finding["level"] == level]
        lines += [title] * bool(bad)
        lines += [f"  {host}: {finding['subject']}: {finding['text']} {finding['remedy']}" for host, finding in bad]
    # What hosts say of their processes and GPUs is part of them.
    return [printable(line) for line in lines]


def _cell(findings: Findings, subject: str) -> str:
    mine = [finding for finding in findings if finding["subject"] == subject]
    counts = [(sum(finding["level"] == level for finding in mine), level) for level in (ERROR, WARNING)]
    bad = [f"{count} {level}{'s' if count > 1 else ''}" for count, level in counts if count]
    good = [finding["short"] for finding in mine if finding["level"] == OK and finding["short"]]
    return ", ".join(bad + good) or ("ok" if mine else "-")
