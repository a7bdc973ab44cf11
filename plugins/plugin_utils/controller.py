# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this controller has what a fleet's models and engines need, before a host is touched."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Callable

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import declare_all
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.record import FOLDER, Reported
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import Variables
from ansible_collections.gguf.fleet.plugins.module_utils._gateway import authority
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.door import members
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.given import given_certificate
from ansible_collections.gguf.fleet.plugins.module_utils._install.resolve import Wanted
from ansible_collections.gguf.fleet.plugins.module_utils._preflight import checksums, controller
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure, file_problem
from ansible_collections.gguf.fleet.plugins.module_utils._text import printable
from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import catalog, checksums_file, locks_of, reports_of


def look(fleet: Mapping[str, Any], hostvars: Mapping[str, Any], hosts: Sequence[str]) -> controller.Found:
    """What would stop the models of these hosts from being resolved, and mirrors of them that do not answer."""
    try:
        models, locked = _declared(fleet, hostvars, hosts)
    except Problem:
        # What cannot be read is among the problems of the declarations.
        return controller.Found([], [])
    update = [host for host in hosts if boolean(hostvars[host].get("models_lock_update", False), strict=False)]
    mirrors: dict[str, list[str]] = {}
    for host in hosts:
        for mirror in hostvars[host].get("models_mirrors") or () if models.get(host) else ():
            mirrors.setdefault(str(mirror), []).append(host)
    found = controller.look(
        controller.unresolved(models, locked, update),
        mirrors,
        has=lambda module: _other_python(hostvars) or importlib.util.find_spec(module) is not None,
        program=sys.executable,
        environment=os.environ,
        ca_file=next((str(file) for host in hosts if (file := hostvars[host].get("models_ca_file"))), None),
    )
    return controller.Found(list(map(printable, found.problems)), list(map(printable, found.warnings)))


def unknown_checksums(fleet: Mapping[str, Any], hostvars: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
    """The archives of these hosts' engines for which nothing vouches, a sentence each."""
    try:
        reports = reports_of({host: hostvars[host] for host in hosts})
        releases = [
            checksums.Release(host, wanted, reported.architecture)
            for host in hosts
            for reported in [reports.get(host, Reported())]
            for wanted in _wanted(fleet, Variables(hostvars[host]), host)
            # Whoever has a verified copy is asked for nothing more.
            if reported.releases.get(wanted.engine) != wanted.version
        ]
    except Problem:
        return []
    return list(map(printable, checksums.problems(releases)))


def unusable_certificates(fleet: Mapping[str, Any], hostvars: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
    """Why given certificates, or the fleet's own authority, cannot be used; asked where a run goes over hosts."""
    if not hosts or not fleet["gateways"]:
        return []
    found = []
    given = {name: str(hostvars[name].get("gateway_certificate") or "") for name in fleet["gateways"]}
    for name, path in given.items():
        if path:
            key = str(hostvars[name].get("gateway_certificate_key") or "")
            found.append(_why_not(name, path, partial(given_certificate, path, key, fleet["gateways"][name]["name"])))
    doors = any(own["transport"] == "mtls" for own in fleet["gateways"].values())
    signed = [name for name in members(fleet) if (doors and fleet["instances"]) or given.get(name) == ""]
    authorities: dict[tuple[str, str | None], str] = {}
    for name in signed:
        beside = os.path.join(str(hostvars[name].get("inventory_dir") or "."), FOLDER, "authority")
        directory = os.path.realpath(str(hostvars[name].get("gateway_ca_directory") or beside))
        passphrase = str(hostvars[name].get("gateway_ca_passphrase") or "") or None
        authorities.setdefault((directory, passphrase), name)
    for (directory, passphrase), name in authorities.items():
        found.append(_why_not(name, directory, partial(authority.load, directory, passphrase)))
    return [printable(sentence) for sentence in found if sentence]


def _why_not(host: str, path: str, look: Callable[[], object]) -> str:
    try:
        look()
    except Problem as problem:
        return f"{host}: {failure(problem)['msg']}"
    except OSError as error:
        return f"{host}: {failure(file_problem(error, path, 'Correct it; the file is on the controller.'))['msg']}"
    return ""


def _wanted(fleet: Mapping[str, Any], read: Variables, host: str) -> list[Wanted]:
    """The releases of the host, as far as they matter here."""
    found = []
    engines = fleet["hosts"][host]["engines"] if fleet["hosts"] else _engines(read)
    if "ollama" in engines:
        version = str(read["ollama_version"])
        found.append(
            Wanted(
                "ollama",
                version,
                str(read["ollama_source_url"]),
                addons=tuple(read["ollama_addons"]),
                sha256=str(read["ollama_archive_sha256"]).lower(),
                checksums=_digests(read["ollama_checksums"].get(version)),
                pins=checksums_file(read),
                trust_mirror=_true(read["ollama_trust_mirror_checksums"]),
                allow_unverified=_true(read["ollama_allow_unverified"]),
            )
        )
    if "llama_cpp" in engines and read["llama_cpp_source"] == "release":
        found.append(
            Wanted(
                "llama_cpp",
                str(read["llama_cpp_version"]),
                str(read["llama_cpp_release_url"]),
                assets=tuple(read["llama_cpp_release_assets"]),
                checksums=_digests(read["llama_cpp_checksums"]),
                allow_unverified=_true(read["llama_cpp_allow_unverified"]),
            )
        )
    return found


def _engines(read: Variables) -> set[str]:
    """Those of a host in whose declarations something is wrong, as far as they can be read."""
    models, _refused = declare_all(
        read["models_serve"], {**catalog(), **read["models_catalog"]}, engine=read["models_engine"]
    )
    by_hand = {"llama_cpp"} if read["llama_cpp_servers"] or read["llama_cpp_rpc"] else set()
    return {model["engine"] for model in models} | set(read["fleet_engines"]) | by_hand


def _digests(given: Any) -> dict[str, str]:
    return {str(name): str(digest).lower() for name, digest in (given or {}).items()}


def _true(value: Any) -> bool:
    return bool(boolean(value, strict=False))


def without_pynvml(fleet: Mapping[str, Any], hostvars: Mapping[str, Any], hosts: Sequence[str]) -> str:
    """A warning where GPUs are declared, which are read through NVML, and this machine has no binding; else empty."""
    expecting = [
        host
        for host in hosts
        if host in fleet["hosts"]
        and fleet["hosts"][host]["declared_gpus"]
        and boolean(hostvars[host].get("host_pynvml", True), strict=False)
    ]
    if not expecting or importlib.util.find_spec("pynvml") is not None:
        return ""
    return (
        f"{', '.join(expecting)}: {sys.executable} on the controller has no pynvml to read their GPUs with, so "
        "nvidia-smi is asked, which tells less. Install it beside ansible-core: python -m pip install nvidia-ml-py."
    )


def _declared(
    fleet: Mapping[str, Any], hostvars: Mapping[str, Any], hosts: Sequence[str]
) -> tuple[dict[str, list[Mapping[str, Any]]], Collection[str]]:
    """The models of each host, and the lock names that are pinned; where declarations are wrong, of the right ones."""
    if fleet["hosts"]:
        known = {name for name, quants in fleet["quants"].items() if any(one["size_bytes"] for one in quants)}
        return {host: fleet["hosts"][host]["models"] for host in hosts}, known
    declared: dict[str, list[Mapping[str, Any]]] = {}
    for host in hosts:
        read = Variables(hostvars[host])
        own = {**catalog(), **read["models_catalog"]}
        right, _refused = declare_all(read["models_serve"], own, engine=read["models_engine"])
        declared[host] = list(right)
    return declared, locks_of(hostvars)


def _other_python(hostvars: Mapping[str, Any]) -> bool:
    """Whether hubs are asked by another Python than this one, of whose packages nothing is known here."""
    told = hostvars["localhost"].get("ansible_python_interpreter") if "localhost" in hostvars else None
    return told not in (None, sys.executable)
