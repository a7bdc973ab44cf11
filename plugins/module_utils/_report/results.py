# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What the tasks of a run told of one host: read from the variables in which they kept their results."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Sequence

# Of a host that failed in a task whose result is not kept.
NO_RESULT = "it stopped; its message stands above"

# In the order of a run.
RESULTS = (
    "__host_info",
    "__models_resolved",
    "__ollama_info",
    "__ollama_release",
    "__ollama_installed",
    "__ollama_removed",
    "__ollama_served",
    "__ollama_stopped",
    "__llama_cpp_info",
    "__llama_cpp_packages",
    "__llama_cpp_release",
    "__llama_cpp_built",
    "__llama_cpp_compiled",
    "__llama_cpp_installed",
    "__llama_cpp_served",
    "__llama_cpp_removed",
    "__models_judged",
    "__models_refused",
    "__models_downloaded",
    "__models_registered_before",
    "__models_registered",
    "__verify_here",
    "__verify_lan",
)
REMOVALS = ("__ollama_removed", "__llama_cpp_removed")
# What goes with something else that is worth a line.
_NOTICED = ("stop ", "start ", "restart ", "switch ", "put back ")
_DETAILS = ("write ", "reload ", "enable ", "take over ", "protect ")


class Results:
    """The results of one host. `variables` has only `get`; names: of the variables that hold them."""

    def __init__(self, variables: Any, names: Sequence[str] = RESULTS) -> None:
        self._variables = variables
        self._names = names

    def get(self, name: str) -> Mapping[str, Any]:
        """The result of a task; an empty one where it did not run."""
        found = self._variables.get(name)
        return found if isinstance(found, Mapping) and not found.get("skipped") else {}

    def each(self) -> Iterator[Mapping[str, Any]]:
        """All results, those of a loop one by one."""
        for name in self._names:
            yield from self._items(name)

    def _items(self, name: str) -> List[Mapping[str, Any]]:
        """The result of a task, or those of its loop."""
        found = self.get(name)
        items = found.get("results")
        each = items if isinstance(items, list) else [found]
        return [one for one in each if isinstance(one, Mapping) and one and not one.get("skipped")]

    def failure(self) -> str:
        """The message of the task that failed, of each item of a loop; empty where none of those that are kept did."""
        for name in self._names:
            told = [_message(one) for one in self._items(name) if one.get("failed")]
            if told:
                return " ".join(dict.fromkeys(told))
        return ""

    def unreachable(self) -> str:
        """Why the host could not be reached; empty where it could, or nothing is known of it."""
        lost = (
            _message(one)
            for name in self._names
            for one in self._items(name)
            if one.get("unreachable") or one.get("not_reached")
        )
        return next(lost, "")

    def changes(self) -> List[str]:
        """What was changed, or would be, in words, what clients notice first; each at most once."""
        found: Dict[str, None] = {}
        for one in self.each():
            if not one.get("changed"):
                continue
            for action in _worth_a_line([str(action) for action in one.get("actions") or ()]):
                found[action] = None
        return sorted(found, key=lambda action: not action.startswith(_NOTICED))

    def variable(self, name: str) -> Any:
        """A variable of the inventory; None where it is not set."""
        return self._variables.get(name)

    def services_removed(self) -> List[str]:
        """The names of services that went."""
        items = [one for name in REMOVALS for one in self.get(name).get("results") or ()]
        found = [str(one.get("name")) for one in items if not one.get("failed")]
        return [*found, "ollama"] if self.get("__ollama_stopped").get("changed") else found

    @property
    def plan(self) -> Mapping[str, Any]:
        """The plan of the host, with what llama.cpp itself said of it."""
        found = self._variables.get("_models_host_plan")
        planned = found if isinstance(found, Mapping) else {}
        judged = self.get("__models_judged").get("plans") or {}
        return {**planned, "plans": {**(planned.get("plans") or {}), **judged}}


def _message(result: Mapping[str, Any]) -> str:
    """A list is a line each."""
    told = result.get("msg") or ""
    return " ".join(map(str, told)) if isinstance(told, (list, tuple)) else str(told)


def _worth_a_line(actions: Sequence[str]) -> Sequence[str]:
    return [text for text in actions if not text.startswith(_DETAILS)] or actions[:1]
