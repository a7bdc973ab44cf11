# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that never had anything of ours: taking it away makes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.integration.bare_host import Start
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import changed

pytestmark = pytest.mark.docker
# What Ansible itself, Python and the connection leave aside.
FOUND = "find / -xdev -not -path '/proc/*' -not -path '/sys/*' -not -path '/root/.ansible*' -not -name '*.pyc' | sort"


def test_uninstalling_a_blank_host_creates_nothing_there_and_nothing_on_the_controller(
    bare_host: Start, tmp_path: Path
) -> None:
    host = bare_host("bookworm")
    before = host.sh(FOUND)
    done = host.play("uninstall.yml", uninstall_files=True, ollama_remove_models=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert changed(done) == 0
    made = set(host.sh(FOUND).splitlines()) - set(before.splitlines())
    assert not [path for path in made if "__pycache__" not in path]
    assert [path.name for path in tmp_path.iterdir()] == ["inventory.yml"]
