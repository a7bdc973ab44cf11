# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One merge as a process of its own, without site packages.

merge_process.py FIRST_SHARD DEST LEDGER OPTIONS_AS_JSON [STORE]

With STORE the result is imported into an Ollama store there, too, by the code of ollama_model.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._merge.merge import apply_merge
from ansible_collections.gguf.fleet.plugins.module_utils._merge.plan import MergeRequest, plan_merge


def main(first: str, dest: str, ledger_path: str, options: str, store: str = "") -> None:
    ledger = Ledger(ledger_path)
    result = apply_merge(plan_merge(MergeRequest(first, dest, **json.loads(options)), ledger), ledger)
    if store:
        import_into(store, dest, ledger)
    print(result.sha256)


def import_into(models_dir: str, file: str, ledger: Ledger) -> None:
    from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import parse_name
    from ansible_collections.gguf.fleet.plugins.module_utils._ollama.apply import make_present
    from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import Settings
    from ansible_collections.gguf.fleet.plugins.module_utils._ollama.plan import Wanted
    from ansible_collections.gguf.fleet.plugins.module_utils._ollama.store import Store
    from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import parse_version, rules_for
    from ansible_collections.gguf.fleet.plugins.module_utils._ollama.weights import weights_of

    with weights_of(file, ledger, note=True, protect=True) as weights, Store(models_dir) as store:
        wanted = Wanted(parse_name("bench"), Settings(), weights)
        make_present(store, wanted, rules_for(parse_version("0.5.7")), ledger)


if __name__ == "__main__":
    main(*sys.argv[1:])
