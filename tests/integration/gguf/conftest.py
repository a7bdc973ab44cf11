# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs gguf_merge and gguf_info as Ansible does."""

from __future__ import annotations

from ansible_collections.gguf.fleet.tests.integration.gpu.conftest import run_module

__all__ = ["run_module"]
