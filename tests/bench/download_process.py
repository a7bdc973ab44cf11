#!/usr/bin/env python3
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One download in a process of its own, as the module runs it: `download_process.py LOCK DEST auto|N`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._transfer import download
from ansible_collections.gguf.fleet.plugins.module_utils._transfer.pipeline import Settings


def main() -> None:
    lock, dest, connections = sys.argv[1:4]
    settings = Settings(connections=None if connections == "auto" else int(connections))
    request = download.Request(json.loads(Path(lock).read_text(encoding="utf-8")), dest, settings=settings)
    result = download.present(request, Ledger(dest + ".ledger.json"))
    print(json.dumps({"seconds": result.seconds, "bytes_moved": result.bytes_moved}))


if __name__ == "__main__":
    main()
