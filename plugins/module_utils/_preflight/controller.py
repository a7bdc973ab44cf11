# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a run needs of the controller, found out before any host is touched: packages, the ways to hubs and mirrors."""

from __future__ import annotations

import os
import threading
import urllib.parse
from dataclasses import dataclass
from typing import Any, Callable, Collection, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import HUB_URLS
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import is_address, without_credentials
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.checks import Way, judge_reach
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.finding import ERROR, Finding
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.look import REACH_SECONDS, reach

# The SDK of each hub: its package, the module of it that is used, and what pip is told.
SDKS: Mapping[str, Tuple[str, str, str]] = {
    "modelscope": ("modelscope", "modelscope_hub", "'modelscope>=1.38'"),
    "huggingface": ("huggingface_hub", "huggingface_hub", "huggingface_hub"),
}
# What the SDKs ask where the source names no endpoint.
_ENDPOINT_VARIABLES: Mapping[str, Tuple[str, ...]] = {
    "modelscope": ("MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"),
    "huggingface": ("HF_ENDPOINT",),
}
# A name that no resolver answers for takes longer than a deadline of ours.
_WAIT_SECONDS = REACH_SECONDS + 5


@dataclass(frozen=True)
class Unresolved:
    """A source that this run asks a hub for. models: the names that it serves, each with its host, for messages.

    folder: of the controller, for files that lie there.
    """

    hub: str
    endpoint: Optional[str]
    urls: Tuple[str, ...]
    models: Tuple[str, ...]
    folder: str = ""


@dataclass(frozen=True)
class Found:
    """What ends the run, and what only is worth knowing: sentences with what, where and what to do."""

    problems: List[str]
    warnings: List[str]


def unresolved(
    models: Mapping[str, Sequence[Mapping[str, Any]]], locked: Collection[str], update: Collection[str] = ()
) -> List[Unresolved]:
    """The sources that have no lock, each once.

    :param models: the declared models by host, as `declare` completes them.
    :param locked: the lock names that the lock files hold.
    :param update: hosts whose models are resolved again although they have locks.
    """
    found: Dict[str, Tuple[Mapping[str, Any], List[str]]] = {}
    for host, each in models.items():
        for model in each:
            if model["lock_name"] in locked and host not in update:
                continue
            _source, names = found.setdefault(model["lock_name"], (model["source"], []))
            names.append(f"{model['name']} on {host}")
    return [
        Unresolved(
            source["hub"], source["endpoint"], tuple(source["urls"]), tuple(names), str(source["controller"] or "")
        )
        for source, names in found.values()
    ]


def look(
    sources: Iterable[Unresolved],
    mirrors: Mapping[str, Sequence[str]],
    *,
    has: Callable[[str], bool],
    program: str,
    environment: Mapping[str, str],
    ca_file: Optional[str] = None,
) -> Found:
    """All that would stop the resolving of these sources, and which mirrors of their files do not answer.

    :param mirrors: as models_mirrors names them, each with the hosts that do.
    :param has: whether the controller's Python has a module of this name.
    :param program: that Python, for messages.
    :param environment: in which the hubs' SDKs run.
    :param ca_file: certificates to trust instead of the system's.
    """
    asked = list(sources)
    hubs: Dict[str, List[Unresolved]] = {}
    for source in asked:
        for origin in sorted(_origins(source, environment)):
            hubs.setdefault(origin, []).append(source)
    by_origin: Dict[str, List[str]] = {}
    for mirror, hosts in mirrors.items() if asked else ():
        if is_address(mirror):
            by_origin.setdefault(_origin(mirror), []).extend(hosts)
    silent = _silent([*hubs, *by_origin], ca_file)
    return Found(
        [
            *_missing_sdks(asked, has, program),
            *(
                f"controller: {_named([one])} cannot be resolved: {one.folder} is not a folder here. Give the folder "
                "of the files in `controller:`; a relative path begins at the folder of the inventory."
                for one in asked
                if one.folder and not os.path.isdir(one.folder)
            ),
            *(
                f"controller: {_named(hubs[origin])} cannot be resolved: {one.text} {one.remedy}"
                for origin, one in silent.items()
                if origin in hubs
            ),
        ],
        [
            f"{', '.join(dict.fromkeys(by_origin[origin]))}: models_mirrors: asked from the controller, {one.text} "
            "Where the hosts do not reach it either, they take the files from the hub."
            for origin, one in silent.items()
            if origin in by_origin
        ],
    )


def _missing_sdks(sources: Sequence[Unresolved], has: Callable[[str], bool], program: str) -> List[str]:
    found = []
    for hub, (package, module, requirement) in SDKS.items():
        mine = [one for one in sources if one.hub == hub]
        if mine and not has(module):
            found.append(
                f"controller: {program} has no package {package}, which resolves {_named(mine)}. "
                f"Install it beside ansible-core: python -m pip install {requirement}."
            )
    return found


def _silent(origins: Sequence[str], ca_file: Optional[str]) -> Dict[str, Finding]:
    """Those that do not answer, and what is wrong with each."""
    asked = list(dict.fromkeys(origins))
    ways = _ways(asked, ca_file)
    found = {origin: judge_reach({origin: ways[origin]})[0] for origin in asked}
    return {origin: one for origin, one in found.items() if one.level == ERROR}


def _origins(source: Unresolved, environment: Mapping[str, str]) -> Set[str]:
    """The addresses to ask, each without a path, and without user and password."""
    told = next((environment[name] for name in _ENDPOINT_VARIABLES.get(source.hub, ()) if environment.get(name)), None)
    if told and "://" not in told:
        told = f"https://{told}"
    urls = source.urls if source.hub == "url" else (source.endpoint or told or HUB_URLS.get(source.hub, ""),)
    return {_origin(url) for url in urls if is_address(url)}


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(without_credentials(url))
    return f"{parts.scheme}://{parts.netloc}"


def _ways(origins: Sequence[str], ca_file: Optional[str]) -> Dict[str, Way]:
    """How each is reached, all asked at once."""
    found: Dict[str, Way] = {}

    def ask(origin: str) -> None:
        found[origin] = reach(origin, ca_file)

    threads = [threading.Thread(target=ask, args=(origin,), daemon=True) for origin in origins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_WAIT_SECONDS)
    return {origin: found.get(origin, Way(f"It did not answer within {_WAIT_SECONDS:g} s.")) for origin in origins}


def _named(sources: Sequence[Unresolved]) -> str:
    names = list(dict.fromkeys(name for source in sources for name in source.models))
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"
