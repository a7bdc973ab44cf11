# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The report of a fleet: one block a host, and what is open to the network."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._text import printable

_ANSWER_LENGTH = 200

OPEN = (
    "Open to the network without authentication: whoever reaches one of these ports can use its model and, on Ollama, "
    "also add, change and delete models and fill the disk. Let only known addresses reach it (firewall, VPN), put a "
    "proxy with authentication before it, or listen on 127.0.0.1 (ollama_host, models_llama_cpp_host)."
)


def _speed(check: Mapping[str, Any]) -> str:
    rate = check.get("tokens_per_second")
    first = check.get("first_token_seconds")
    told = "speed unknown" if rate is None else "%.1f tokens/s" % rate
    return told if first is None else "%s, first token after %.2f s" % (told, first)


def _share(check: Mapping[str, Any]) -> str:
    share = check.get("gpu_share")
    if share is None:
        return "not told by the engine"
    return "none, the CPU computes" if share == 0 else "%.0f %%" % (100 * share)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _ANSWER_LENGTH else line[: _ANSWER_LENGTH - 1].rstrip() + "…"


def _block(host: str, check: Mapping[str, Any], reached: str) -> List[str]:
    engine = " ".join(part for part in (str(check["engine"]), str(check.get("version") or "")) if part)
    answer = check.get("answer") or "(still thinking) " + str(check.get("reasoning", ""))
    return [
        "%s  %s" % (host, reached or check["url"]),
        "    model    %s (%s)" % (check["model"], engine),
        "    answer   %s" % _shortened(answer),
        "    speed    %s" % _speed(check),
        "    on GPUs  %s" % _share(check),
    ]


def _results(asked: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """A host without any such endpoint was not asked, and its task skipped."""
    return asked.get("endpoints") or ()


def _asked(
    endpoints: Sequence[Mapping[str, Any]], here: Mapping[str, Any], lan: Mapping[str, Any]
) -> Iterator[Tuple[Mapping[str, Any], bool, str]]:
    """For each endpoint of a host its result, whether it is open, and the address where the controller reached it."""
    over_network = iter(_results(lan))
    for endpoint, check in zip(endpoints, _results(here)):
        other = next(over_network, {}) if endpoint["open"] else {}
        yield check, endpoint["open"], str(other["url"]) if other.get("verified") else ""


def report(
    hosts: Sequence[str],
    fleet: Mapping[str, Mapping[str, Any]],
    here: Sequence[Mapping[str, Any]],
    lan: Sequence[Mapping[str, Any]],
    failed: Sequence[str] = (),
) -> List[str]:
    """Lines to print.

    :param hosts: the hosts that were checked.
    :param fleet: all hosts of the fleet by name, each with its C(endpoints).
    :param here: for each of hosts, the result of C(endpoint_check) on the host itself, for all of its endpoints.
    :param lan: the same from the controller over the network, for all that are open.
    :param failed: the hosts that did not come as far as this.
    """
    lines: List[str] = []
    opened: List[str] = []
    for host, on_host, from_controller in zip(hosts, here, lan):
        if not _results(on_host):
            lines.append("%s  declares no model in models_serve" % host)
        for check, is_open, reached in _asked(fleet[host]["endpoints"], on_host, from_controller):
            if not check.get("verified"):
                lines.append("%s  %s: there is nothing to ask yet" % (host, check.get("url", "")))
                continue
            lines += _block(host, check, reached)
            if is_open:
                opened.append("%s  %s" % (host, reached or check["url"]))
    lines += ["%s  FAILED, see its message above" % host for host in failed]
    if opened:
        lines += ["WARNING: " + OPEN, *("    " + place for place in dict.fromkeys(opened))]
    # Answers, versions and names are the engines' own words.
    return [printable(line) for line in lines]
