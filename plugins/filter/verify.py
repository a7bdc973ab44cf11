# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role verify; each is documented in its own file beside this one."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._verify.endpoints import endpoints
from ansible_collections.gguf.fleet.plugins.module_utils._verify.report import report


def verify_endpoints(
    models: Any, engine: str, *, ollama_host: str, llama_cpp_host: str, llama_cpp_servers: Any
) -> List[Dict[str, Any]]:
    return endpoints(
        models, engine=engine, ollama_host=ollama_host, llama_cpp_host=llama_cpp_host, servers=llama_cpp_servers
    )


def verify_report(hosts: Any, here: Any, lan: Any, failed: Sequence[str] = ()) -> List[str]:
    return report(hosts, here, lan, failed)


class FilterModule:
    def filters(self) -> Dict[str, Callable[..., Any]]:
        return {"verify_endpoints": verify_endpoints, "verify_report": verify_report}
