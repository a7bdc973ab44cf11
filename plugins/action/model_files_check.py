# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""model_files_check with its progress in the playbook's output."""

from __future__ import annotations

from typing import Any, Dict

from ansible_collections.gguf.fleet.plugins.module_utils._transfer.proof import status_path
from ansible_collections.gguf.fleet.plugins.plugin_utils.background import BackgroundAction


class ActionModule(BackgroundAction):
    def status_path(self, dest: str, arguments: Dict[str, Any]) -> str:
        return status_path(dest)
