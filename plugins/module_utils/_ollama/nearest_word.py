# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Did you mean: the known word nearest to a mistyped one."""

from __future__ import annotations

import difflib
from typing import Iterable, Optional


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.7) -> Optional[str]:
    """The known word that `word` was probably meant to be; upper and lower case count as the same."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(word.lower(), sorted(by_folded), n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A remedy for a mistyped word: the nearest known one, or all of them when nothing is near."""
    names = sorted(known)
    meant = nearest(word, names)
    if meant is not None:
        return f"Did you mean {meant}?"
    return f"Known ones: {', '.join(names)}."
