#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_sums
short_description: Read the checksums that a release publishes
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Run it on the controller, with C(delegate_to). It reads a list of sums as C(sha256sum) writes it. That the list
    cannot be had is no failure; RV(problem) then says why.
  - The answer is bounded in size and time, and no user, password or query of the URL is in what the module returns.
extends_documentation_fragment:
  - gguf.fleet.attributes.info
options:
  url:
    description: Where the list is.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Ask for the release's sums
  gguf.fleet.engine_sums:
    url: https://github.com/ollama/ollama/releases/download/v0.33.2/sha256sum.txt
  delegate_to: localhost
  register: sums
"""

RETURN = r"""
sums:
  description: The sha256 of each archive, by the archive's name.
  returned: always
  type: dict
problem:
  description: Why the list cannot be had, else empty.
  returned: always
  type: str
shown:
  description: The URL as it may be printed.
  returned: always
  type: str
"""

import io
import re

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import secrets_of, shown
from ansible_collections.gguf.fleet.plugins.module_utils._install import fetch
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem, failure
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines, plain_name_problem

MAX_BYTES = 1 << 20
SECONDS = 60.0
LINE = re.compile(r"([0-9a-f]{64}) +\*?(?:\./)?([^/ ]+)\Z")


def sums_of(text: str) -> dict[str, str]:
    """By name; of sha256sum's lines, those that name a file without a directory."""
    found = (LINE.match(line.rstrip()) for line in lines(text))
    return {line[2]: line[1] for line in found if line is not None and plain_name_problem(line[2]) is None}


def main() -> None:
    # A URL may hold a password; nothing of it goes to the log of the controller.
    module = AnsibleModule(
        argument_spec={"url": {"type": "str", "required": True}}, supports_check_mode=True, no_log=True
    )
    url = module.params["url"]
    module.no_log_values.update(secrets_of(url))
    answer, problem = io.BytesIO(), ""
    try:
        fetch.fetch(url, answer, None, MAX_BYTES, whole_seconds=SECONDS)
    except Problem as error:
        problem, answer = failure(error)["problem"], io.BytesIO()
    text = answer.getvalue().decode("utf-8", "replace")
    module.exit_json(changed=False, sums=sums_of(text), problem=problem, shown=shown(url))


if __name__ == "__main__":
    main()
