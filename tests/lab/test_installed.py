# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built and installed collection, away from the checkout, on the running lab."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker

CHECKOUT = Path(__file__).resolve().parents[2]


def test_the_installed_collection_finds_the_same_fleet_in_order(tmp_path: Path) -> None:
    # Settings of its own: the checkout's would let the checkout pass for an installed collection.
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections")}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
        return done.stdout

    run("ansible-galaxy", "collection", "build", str(CHECKOUT))
    (tarball,) = tmp_path.glob("gguf-fleet-*.tar.gz")
    run("ansible-galaxy", "collection", "install", tarball.name, "--offline", "--collections-path", "collections")
    assert (tmp_path / "collections/ansible_collections/gguf/fleet/MANIFEST.json").exists()
    assert not (tmp_path / "collections/ansible_collections/gguf/fleet/lab").exists()

    output = run("ansible-playbook", "gguf.fleet.site", "--inventory", str(CHECKOUT / "inventories" / "lab"))
    assert re.findall(r"^(\S+) .* changed=(\d+) ", output, re.MULTILINE) == [
        ("cpp-01", "0"),
        ("gw-01", "0"),
        ("h20-01", "0"),
        ("rtx4090-01", "0"),
    ]
    assert str(tmp_path / "collections") in output
