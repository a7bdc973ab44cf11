# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of what the ledger says of releases, users and files: any bytes are entries or a refusal.

Whatever it says, a plan names only versions below the root, and nothing is changed by planning. DEV and INO in an input
stand for the identity of a version that is there, so that entries can be current.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._host import models_directory
    from ansible_collections.gguf.fleet.plugins.module_utils._install import account, engines, record, releases
    from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

PLACE = Path(tempfile.mkdtemp(prefix="gguf-fleet-fuzz-"))
ROOT, LEDGER, MODELS = PLACE / "ollama", PLACE / "ledger.json", PLACE / "models"
VERSION = ROOT / "0.5.7"
OLLAMA = engines.ENGINES["ollama"]

os.environ["GGUF_FLEET_LEDGER"] = str(LEDGER)
(VERSION / "bin").mkdir(parents=True)
(VERSION / "bin/ollama").touch()
MODELS.mkdir()
(MODELS / "a.gguf").touch()


def one_input(data: bytes) -> None:
    status = VERSION.stat()
    here = {b"DEV": str(status.st_dev), b"INO": str(status.st_ino), b"PLACE": str(PLACE)}
    for word, text in here.items():
        data = data.replace(word, text.encode())
    LEDGER.write_bytes(data)
    for look in (releases_of, accounts_of, models_of):
        try:
            look()
        except Problem as problem:
            assert problem.problem and problem.remedy
    assert LEDGER.read_bytes() == data
    assert (VERSION / "bin/ollama").exists() and (MODELS / "a.gguf").exists()


def releases_of() -> None:
    found = record.read(OLLAMA, str(ROOT))
    assert {release.version for release in found.releases} == {"0.5.7"}
    assert all(isinstance(text, str) for release in found.releases for text in release.digests)
    assert record.adopted(OLLAMA, str(ROOT)) in (None, "0.5.7")
    for action in releases.plan_absent(found, None):
        assert os.sep not in action.version


def accounts_of() -> None:
    for name in ("root", "nobody", "no-such-user"):
        removal = account.plan_absent(name)
        assert all(isinstance(text, str) for text in (*removal.actions, *removal.stays))


def models_of() -> None:
    done = models_directory.absent(str(MODELS), check=True)
    assert all(str(MODELS) in text for text in (*done.actions, *done.stays))


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
