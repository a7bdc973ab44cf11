# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet value from what Ansible knows on the controller: variables of all hosts, the catalog, the lock files."""

from __future__ import annotations

import functools
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.gguf.fleet.plugins.module_utils._fleet import record
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet, describe_host
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.misspelt import OF_PLAYBOOKS
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.quants import AUTO_LOCK
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import Fleet, Host
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import DEFAULTS
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock_file import checked, load

LOCK_FILE = "models.lock.txt"
CHECKSUMS_FILE = "ollama-releases.txt"
ROLES = Path(__file__).resolve().parents[2] / "roles"
CATALOG = ROLES / "models" / "vars" / "catalog.yml"


def locks_of(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The locks of all lock files that the hosts name."""
    locks: dict[str, Any] = {}
    for path in dict.fromkeys(map(lock_file, hosts.values())):
        found = load(path)
        locks.update({name: checked(found, name, path) for name in found})
    return locks


def lock_file(variables: Mapping[str, Any]) -> str:
    return str(variables.get("models_lock_file") or Path(str(variables.get("inventory_dir") or ".")) / LOCK_FILE)


def checksums_file(variables: Any) -> str:
    """Where official checksums of Ollama's archives are pinned. `variables` has only `get`."""
    beside = Path(str(variables.get("inventory_dir") or variables.get("playbook_dir") or ".")) / CHECKSUMS_FILE
    return str(variables.get("ollama_checksums_file") or beside)


@functools.cache
def catalog() -> dict[str, Any]:
    """The built-in catalog."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    models: dict[str, Any] = yaml.load(CATALOG.read_text(encoding="utf-8"), Loader=loader)["_models_catalog"]
    return models


@functools.cache
def options() -> dict[str, Any]:
    """The specification of every public variable of the roles, by its name, as the roles declare it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = [path.read_text(encoding="utf-8") for path in sorted(ROLES.glob("*/meta/argument_specs.yml"))]
    roles = [yaml.load(text, Loader=loader)["argument_specs"].get("main", {}) for text in texts]
    return {name: spec for role in roles for name, spec in role.get("options", {}).items()}


@functools.cache
def public_variables() -> frozenset[str]:
    """The names of all variables that mean something: those of the roles, by their defaults, and of the playbooks."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    defaults = (path.read_text(encoding="utf-8") for path in ROLES.glob("*/defaults/main.yml"))
    return frozenset((*OF_PLAYBOOKS, *DEFAULTS)).union(*(yaml.load(text, Loader=loader) or () for text in defaults))


def describe_one(variables: Mapping[str, Any], name: str, given: Mapping[str, Any]) -> Host:
    """A host whose variables are these, with `given` over them. Raises a Problem."""
    own: Mapping[str, Any] = ChainMap(dict(given), variables)  # type: ignore[arg-type]
    return describe_host(name, own, catalog(), lambda: (locks_of({name: own}), reports_of({name: own})))


def record_file(variables: Mapping[str, Any]) -> str:
    """Where a host's reports are kept."""
    beside = Path(str(variables.get("inventory_dir") or ".")) / record.FOLDER / record.NAME
    return str(variables.get("fleet_record_file") or beside)


def reports_of(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, record.Reported]:
    """What the hosts reported in earlier runs, by their names."""
    files = {name: record_file(variables) for name, variables in hosts.items()}
    read = {path: record.load(path) for path in dict.fromkeys(files.values())}
    return {name: read[path][name] for name, path in files.items() if name in read[path]}


def describe(hostvars: Mapping[str, Mapping[str, Any]], quant: str = "") -> Fleet:
    """The fleet; with `quant`, as if every model had that quant and none had been chosen before. Raises a Problem."""
    locks = {name: lock for name, lock in locks_of(hostvars).items() if not (quant and name.endswith(AUTO_LOCK))}
    return describe_fleet(
        hostvars, catalog(), locks, quant=quant or None, records=reports_of(hostvars), public=public_variables()
    )
