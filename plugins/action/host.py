# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""host, which takes the controller's pynvml along, to hosts that have another one or none.

It is the first that a run asks a host. One that cannot be reached has failed here: Ansible leaves an unreachable host
out of all that follows, `always` as well, so that a run that reached none would end without a word on any of them.
"""

from __future__ import annotations

import hashlib
import importlib.util
from importlib.machinery import SourceFileLoader
from typing import Any, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.gguf.fleet.plugins.module_utils._text import printable
from ansible_collections.gguf.fleet.plugins.plugin_utils.preload import preload

# Ansible reads an action in the process that starts the workers; this is the first of a play with a role alone.
preload()


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        binding = pynvml() if boolean(arguments.get("pynvml", False), strict=False) else None
        if binding is not None:
            arguments["pynvml_sha256"] = hashlib.sha256(binding).hexdigest()
        try:
            told = self._execute_module(module_args=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            return {**result, "failed": True, "not_reached": True, "msg": printable(str(error), lines=True)}
        if binding is not None and told.get("lacks_pynvml"):
            arguments["pynvml_content"] = binding.decode("utf-8")
            told = self._execute_module(module_args=arguments, task_vars=task_vars)
        result.update(told)
        return result


def pynvml() -> Optional[bytes]:
    """The controller's binding, which is one file of pure Python; None where Ansible's Python has none, or another."""
    spec = importlib.util.find_spec("pynvml")
    if spec is None or spec.origin is None or spec.submodule_search_locations is not None:
        return None
    loader = spec.loader
    return loader.get_data(spec.origin) if isinstance(loader, SourceFileLoader) else None
