# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What can go wrong between a request for a model and its lock."""

from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

CHECK_THE_WAY = (
    "Check the endpoint, the network of this controller and its proxy (https_proxy, no_proxy), and ca_file where the "
    "certificate is your own. A lock file that is there works without the hub."
)


class HubProblem(Problem, ValueError):
    """A source, a hub's answer or a lock cannot be used: the problem and the remedy, one sentence each."""
