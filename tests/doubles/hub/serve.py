# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the hub double in the foreground: `python3 serve.py --root DIR --host 0.0.0.0 --port 8080`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

# The folder is a package wherever it lies, also when it was copied alone into a container.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hub.faults import Fault  # type: ignore[import-not-found]
from hub.server import HubDouble  # type: ignore[import-not-found]


def main() -> int:
    parser = argparse.ArgumentParser(description="A hub that speaks ModelScope's and Hugging Face's protocols.")
    parser.add_argument("--root", type=Path, required=True, help="folder with <owner>/<repo>/<path> and releases/")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--token", help="demand this token from every request")
    parser.add_argument("--cdn", action="store_true", help="redirect every file request to the second listener")
    parser.add_argument("--cdn-host", default="localhost", help="the name of this machine in those redirects")
    parser.add_argument("--faults", type=Path, help="JSON file with a list of faults (see README.md)")
    parser.add_argument("--checksums-file", type=Path, help="where checksums are cached (default: in the root)")
    options = parser.parse_args()
    faults = [Fault.from_json(value) for value in json.loads(options.faults.read_text())] if options.faults else []
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    double = HubDouble(
        options.root,
        faults=faults,
        token=options.token,
        cdn=options.cdn,
        cdn_host=options.cdn_host,
        host=options.host,
        port=options.port,
        checksums_file=options.checksums_file,
    )
    count = double.catalog.index()
    with double:
        print(f"hub double: {count} files, listening on {double.url}", flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
