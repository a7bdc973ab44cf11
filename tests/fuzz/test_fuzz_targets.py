# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fuzz target still runs and still holds for its corpus; the long search is in `make test-long`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SUBJECTS = sorted(path.stem[len("fuzz_") :] for path in HERE.glob("fuzz_*.py"))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_target_holds_for_its_corpus_and_some_random_inputs(subject: str) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "replay.py"), subject], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-2]) > 20


def test_a_subject_that_is_not_there_is_refused_before_anything_is_installed() -> None:
    done = subprocess.run([str(HERE / "run.sh"), "no-such"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "there is no subject 'no_such'" in done.stderr
