# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The report of a fleet: one block a host, and what is open to the network."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

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


def _over_network(check: Mapping[str, Any], lan: Sequence[Mapping[str, Any]]) -> str:
    """The address on which the controller got its answer from this endpoint, empty when it did not ask."""
    for other in lan:
        if other.get("verified") and other.get("item") == check.get("item"):
            return str(other["url"])
    return ""


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


def report(
    hosts: Sequence[str],
    here: Sequence[Sequence[Mapping[str, Any]]],
    lan: Sequence[Sequence[Mapping[str, Any]]],
    failed: Sequence[str] = (),
) -> List[str]:
    """Lines to print.

    :param hosts: the hosts that were checked.
    :param here: for each of them, the results of C(endpoint_check) on the host itself, each with its C(item).
    :param lan: the same from the controller over the network.
    :param failed: the hosts that did not come as far as this.
    """
    lines: List[str] = []
    opened: List[str] = []
    for host, checks, others in zip(hosts, here, lan):
        if not checks:
            lines.append("%s  declares no model in models_serve" % host)
        for check in checks:
            if not check.get("verified"):
                lines.append("%s  %s: there is nothing to ask yet" % (host, check.get("url", "")))
                continue
            reached = _over_network(check, others)
            lines += _block(host, check, reached)
            if (check.get("item") or {}).get("open"):
                opened.append("%s  %s" % (host, reached or check["url"]))
    lines += ["%s  FAILED, see its message above" % host for host in failed]
    if opened:
        lines += ["WARNING: " + OPEN, *("    " + place for place in dict.fromkeys(opened))]
    # Answers, versions and names are the engines' own words.
    return [printable(line) for line in lines]
