# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a plain pytest run import this checkout as ansible_collections.gguf.fleet."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder


def _import_collection() -> None:
    # ansible-test installs this loader itself. A plain pytest run needs it too: the `ansible` distribution's own
    # ansible_collections package would hide a namespace package.
    if any(type(finder).__name__ == "_AnsibleCollectionFinder" for finder in sys.meta_path):
        return
    checkout = Path(__file__).resolve().parent.parent
    _AnsibleCollectionFinder(paths=[str(checkout / ".collections")])._install()


_import_collection()

from ansible_collections.gguf.fleet.tests.fixtures_assets import (  # noqa: E402, F401
    builder_image,
    cache_dir,
    forky,
    gateway_image,
    judge,
    llama_source,
    nvml_library,
    ollama_archives,
    smollm2,
)
