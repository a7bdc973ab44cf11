# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._transfer import progress
from ansible_collections.gguf.fleet.plugins.plugin_utils.background import LinePacer


def test_lines_come_after_some_time_or_some_progress_and_at_a_new_phase() -> None:
    pacer = LinePacer(60.0, 10.0)
    shown = [
        (second, phase)
        for second, percent, phase in [
            (0, 0, "headers"),
            (2, 1, "download"),
            (10, 5, "download"),
            (20, 12, "download"),
            (79, 13, "download"),
            (80, 13, "download"),
            (81, 14, "verify"),
        ]
        if pacer.is_due(progress.Status(phase, percent, 100), float(second))
    ]
    assert shown == [(0, "headers"), (2, "download"), (20, "download"), (80, "download"), (81, "verify")]


def test_the_lines_of_a_verification_come_by_what_is_verified() -> None:
    pacer = LinePacer(60.0, 10.0)
    shown = [
        done
        for done in range(0, 100, 4)
        if pacer.is_due(progress.Status("verify", 100, 100, bytes_verified=done, bytes_to_verify=100), done / 10)
    ]
    assert shown == [0, 12, 24, 36, 48, 60, 72, 84, 96]
