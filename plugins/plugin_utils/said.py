# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands print on a host, without what a login prints there before them."""

from __future__ import annotations

import uuid
from typing import List

from ansible.plugins.action import ActionBase


def said(action: ActionBase, *commands: str) -> List[str]:
    """The output of each command, without white space around it; empty where a command did not come to its turn.

    Without pipelining ssh gives a command a terminal, and its login may print a banner or a warning.
    """
    # Outputs may hold what a hub said, so nobody may know beforehand what stands between them.
    mark = f"said-{uuid.uuid4().hex}"
    script = "; ".join(f"echo; echo {mark}; {command}" for command in commands)
    answer = action._low_level_execute_command(f"{script}; echo")
    _login, *texts = str(answer.get("stdout") or "").split(mark)
    return [text.strip() for text in texts] + [""] * (len(commands) - len(texts))
