# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Variables whose names are nearly those of public ones: a typo that would otherwise mean the default, silently."""

from __future__ import annotations

import functools
from typing import FrozenSet, Iterable, List, Optional

# Those of playbooks and of the fleet as a whole; the roles' have their defaults.
OF_PLAYBOOKS = (
    *("fleet_engines", "fleet_fabric_manager", "fleet_gpus", "fleet_hosts", "fleet_own_variables", "fleet_ram_gib"),
    *("fleet_record_file", "min_gpus_counts", "min_gpus_max_tokens", "min_gpus_question", "min_gpus_report"),
    *("min_gpus_timeout_seconds", "plan_from_hosts", "plan_judge", "plan_options", "plan_quant", "preflight_urls"),
    *("rehearse_timeout_seconds", "rollback_version", "status_file", "uninstall_files", "upgrade_serial"),
)
# The names that a user means as they are.
OWN = "fleet_own_variables"
_EDITS_AT_MOST = 2


def misspelt(given: Iterable[str], public: FrozenSet[str], meant: Iterable[str] = ()) -> List[str]:
    """Sentences about names that are within two edits of one in `public`.

    Args:
        given: names of all variables of a host.
        public: names that mean something.
        meant: names that are as they should be.
    """
    fine = set(meant)
    found = []
    for name in given:
        if name in public or name in fine or name.startswith("_"):
            continue
        ours = _nearest(name, public)
        if ours:
            found.append(f"there is no variable {name}. Did you mean {ours}? If it is one of yours, add it to {OWN}.")
    return found


# Most names are those of every host.
@functools.lru_cache(maxsize=4096)
def _nearest(name: str, public: FrozenSet[str]) -> Optional[str]:
    near = [(edits, ours) for ours in public if (edits := _edits(name, ours)) <= _EDITS_AT_MOST]
    return min(near)[1] if near else None


def _edits(one: str, other: str) -> int:
    """How many letters have to be changed, added or left out; more than are allowed as soon as that is certain."""
    if abs(len(one) - len(other)) > _EDITS_AT_MOST or one[0] != other[0]:
        return _EDITS_AT_MOST + 1
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one, 1):
        before, row = row, [index]
        for column, wanted in enumerate(other, 1):
            same = before[column - 1] + (letter != wanted)
            row.append(min(same, before[column] + 1, row[column - 1] + 1))
        if min(row) > _EDITS_AT_MOST:
            return _EDITS_AT_MOST + 1
    return row[-1]
