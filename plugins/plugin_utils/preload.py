# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nearly every task of a fleet's play needs, read once for all of them.

Ansible keeps no compiled files of a collection: each process that imports them reads and compiles them anew. A task
runs in a process of its own for each host, so a task that uses one filter would take a third of a CPU second longer on
every host. What is imported in the process that starts them is there in all of them.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util

from ansible.plugins.loader import connection_loader, filter_loader, test_loader

from ansible_collections.gguf.fleet.plugins.plugin_utils import fleet

_PLUGINS = "ansible_collections.gguf.fleet.plugins."
FILTERS = (
    *("door", "fleet", "gateway", "llama_server_command", "llama_server_environment", "llama_server_services"),
    *(
        "models",
        "ollama_environment",
        "ollama_services",
        "plan",
        "preflight_report",
        "report",
        "verify",
        "without_secrets",
    ),
)
# Of Ansible's own connections it does the same by itself. A fleet of containers is reached by this one.
CONNECTION = "community.docker.docker"


@functools.cache
def preload() -> None:
    """Import the filters and tests with all that they stand on, and read the catalog, once."""
    for file in FILTERS:
        module = importlib.import_module(f"{_PLUGINS}filter.{file}")
        for name in module.FilterModule().filters():
            # Where it is, is looked up once then, too.
            filter_loader.get(f"gguf.fleet.{name}")
    list(test_loader.all())
    if _is_there(CONNECTION):
        connection_loader.get(CONNECTION, class_only=True)
    fleet.catalog()
    fleet.public_variables()


def _is_there(connection: str) -> bool:
    """Whether its collection is installed; Ansible warns of one that is not."""
    namespace, collection, _name = connection.split(".")
    try:
        return importlib.util.find_spec(f"ansible_collections.{namespace}.{collection}") is not None
    except ModuleNotFoundError:
        return False
