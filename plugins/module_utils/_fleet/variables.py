# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The public variables of a host that the fleet value reads, and what holds where the inventory is silent.

The defaults are those of the roles; a test compares them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, FrozenSet, List, Mapping

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.controller_files import with_whole_paths
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.derived import expanded
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.misspelt import OWN, misspelt
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.template_files import with_templates

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "fleet_engines": [],
        "fleet_fabric_manager": False,
        "fleet_gpus": [],
        "fleet_ram_gib": 0,
        "gateway_bind": "",
        "gateway_clients": [],
        "gateway_door_port": 8443,
        "gateway_http_redirect": False,
        "gateway_max_body_bytes": 2097152,
        "gateway_max_connections": 1000,
        "gateway_name": "",
        "gateway_origins": [],
        "gateway_port": 443,
        "gateway_queue": 100,
        "gateway_queue_seconds": 600,
        "gateway_transport": "mtls",
        "host_models_dir": "/srv/gguf-fleet/models",
        "llama_cpp_allow_unverified": False,
        "llama_cpp_allow_vulnerable": False,
        "llama_cpp_build_native": True,
        "llama_cpp_build_number": 0,
        "llama_cpp_build_options": {},
        "llama_cpp_build_targets": ["llama-server", "llama-gguf-split", "llama-fit-params", "ggml-rpc-server"],
        "llama_cpp_checksums": {},
        "llama_cpp_environment": {},
        "llama_cpp_gpus": [],
        "llama_cpp_path": "",
        "llama_cpp_release_assets": ["auto"],
        "llama_cpp_release_url": "https://github.com/ggml-org/llama.cpp/releases/download/{version}/{asset}",
        "llama_cpp_rpc": {},
        "llama_cpp_servers": [],
        "llama_cpp_source": "package",
        "llama_cpp_source_archive": "",
        "llama_cpp_source_sha256": "",
        "llama_cpp_source_url": "https://github.com/ggml-org/llama.cpp",
        "llama_cpp_version": "",
        "models_catalog": {},
        "models_engine": "ollama",
        "models_llama_cpp_host": "127.0.0.1",
        "models_mirrors": [],
        "models_plan": "enforce",
        "models_serve": [],
        "ollama_addons": [],
        "ollama_allow_unverified": False,
        "ollama_archive": "",
        "ollama_archive_remote": "",
        "ollama_archive_sha256": "",
        "ollama_checksums": {},
        "ollama_context_length": 0,
        "ollama_environment": {},
        "ollama_gpus": [],
        "ollama_host": "127.0.0.1:11434",
        "ollama_keep_alive": "",
        "ollama_models_dir": "/var/lib/ollama/models",
        "ollama_origins": [],
        "ollama_source_url": "https://github.com/ollama/ollama/releases/download/v{version}/{asset}",
        "ollama_trust_mirror_checksums": False,
        "ollama_version": "0.33.2",
    }
)
# What they were called before.
RENAMED: Mapping[str, str] = MappingProxyType(
    {
        "drain_seconds": "gateway_drain_seconds",
        "ollama_sums_file": "ollama_checksums_file",
        "ollama_trust_mirror_sums": "ollama_trust_mirror_checksums",
    }
)
# Values that were called otherwise before.
RENAMED_VALUES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "llama_cpp_service_manager": {"script": "supervisord"},
        "ollama_service_manager": {"script": "supervisord"},
    }
)
# Known by Ansible itself, or by what ran before in the same play.
ADDRESS = "ansible_host"
ADOPTED = "__ollama_info"
GROUPS = "group_names"
# What the module host told of it.
SEEN = "__host_info"


class Variables:
    """What one host's variables say. `given` may be a lazy mapping that templates at each access: each is read once."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._read: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The value of a variable of ours, the role's default where the inventory has none."""
        if name not in self._read:
            value = self._given.get(name)
            value = DEFAULTS[name] if value is None else value
            if name == "models_serve":
                folder = str(self._given.get("inventory_dir") or ".")
                value = expanded(with_whole_paths(with_templates(value, folder), folder))
            self._read[name] = value
        return self._read[name]

    def get(self, name: str) -> Any:
        """A variable that has no default of ours; None where it is not set."""
        return self._given.get(name)

    def outdated(self) -> List[str]:
        """What is wrong with names and values that are no more, a sentence each."""
        wrong = [
            f"{old} is called {new} now. Rename it." for old, new in RENAMED.items() if self._given.get(old) is not None
        ]
        for name, values in RENAMED_VALUES.items():
            given = self._given.get(name)
            if isinstance(given, str) and given in values:
                wrong.append(f"{name} is {given}, which is called {values[given]} now. Rename it.")
        return wrong

    def misspelt(self, public: FrozenSet[str]) -> List[str]:
        """Names that are nearly public ones, a sentence each. Nothing is looked for where none is public."""
        if not public:
            return []
        meant = self._given.get(OWN) or ()
        return misspelt(map(str, self._given), public.union(RENAMED), meant)

    def ask_for(self, quant: str) -> None:
        """Read models_serve as if every entry had this quant."""
        self._read["models_serve"] = [{**entry, "quant": quant} for entry in self["models_serve"]]

    def says_where_ollama_listens(self) -> bool:
        """Whether the inventory does, so that what an adopted installation set does not count."""
        return self.is_set("ollama_host") or "OLLAMA_HOST" in self["ollama_environment"]

    def is_set(self, name: str) -> bool:
        """Whether the inventory says something else than the default."""
        return bool(self[name] != DEFAULTS[name])
