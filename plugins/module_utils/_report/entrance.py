# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The table that a run with gateways ends with: where clients ask, whether they are answered, and what changed."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._report.end_of_run import changes, notes
from ansible_collections.gguf.fleet.plugins.module_utils._report.grid import FAILURE_CHARACTERS, grid
from ansible_collections.gguf.fleet.plugins.module_utils._report.results import NO_RESULT, Results

_VERIFIED = "__gateway_verified"
RESULTS = (
    *("__gateway_clients", "__gateway_authority", "__gateway_entrance", "__gateway_entrance_service"),
    *("__gateway_settled", "__gateway_address", _VERIFIED),
)


def table(
    names: Sequence[str],
    variables: Mapping[str, Any],
    fleet: Mapping[str, Any],
    alive: Sequence[str],
    check: bool = False,
) -> List[str]:
    """Lines to print.

    Args:
        names: the gateways of the run, also those that failed.
        variables: by host, what its tasks left there; each has only `get`.
        fleet: the fleet value, as plain data.
        alive: those that did not fail.
        check: whether the run only said what it would do.
    """
    gateways = {name: Results(variables[name], RESULTS) for name in names if name in fleet["gateways"]}
    failed = {
        name: one.failure() or one.unreachable() or NO_RESULT for name, one in gateways.items() if name not in alive
    }
    rows = [("gateway", "base URL", "state")]
    for name, one in gateways.items():
        state = "FAILED" if name in failed else _state(one, check=check)
        rows.append((name, fleet["gateways"][name]["url"], state))
    return [*grid(rows), *notes("FAILED", failed, str, FAILURE_CHARACTERS), *changes(gateways, failed, check=check)]


def _state(results: Results, *, check: bool) -> str:
    told = results.get(_VERIFIED)
    if not told.get("verified"):
        return "not asked yet" if check else "not asked"
    count = len(told.get("models") or ())
    return f"answers for {count} model{'' if count == 1 else 's'}"
