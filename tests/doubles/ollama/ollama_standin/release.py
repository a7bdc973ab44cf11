# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version that this build claims to be; the archive builder writes its own copy of this file."""

from __future__ import annotations

VERSION = "0.5.7"
