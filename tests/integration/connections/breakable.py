# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local connection, lost as long as the file is there that BREAKABLE_CUT names; each try adds a line to it."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as LocalConnection

DOCUMENTATION = """
name: breakable
short_description: the local connection, with a cut
description: The local connection, lost as long as a file is there.
author: gguf.fleet contributors (@gguf-fleet)
extends_documentation_fragment:
  - connection_pipelining
"""


class Connection(LocalConnection):
    transport = "breakable"

    def exec_command(self, *arguments: Any, **options: Any) -> Any:
        cut = os.environ["BREAKABLE_CUT"]
        if os.path.exists(cut):
            with open(cut, "a", encoding="utf-8") as file:
                file.write("tried\n")
            raise AnsibleConnectionFailure("the line is cut")
        return super().exec_command(*arguments, **options)
