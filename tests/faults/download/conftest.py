# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.gguf.fleet.tests.builders.download_fixtures import (  # noqa: F401
    a_dest,
    a_ledger,
    a_model,
)
