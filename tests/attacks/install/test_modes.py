# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modes of an installation, whatever the umask: services can run it, and nobody but root can change it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._install import install, releases
from ansible_collections.gguf.fleet.tests.attacks.install.conftest import OLLAMA, VERSION, Host
from ansible_collections.gguf.fleet.tests.builders.archives import ollama_tree, tgz


@pytest.mark.parametrize("umask", [0o077, 0o000])
@pytest.mark.parametrize("way", ["install", "adopt"])
def test_an_installation_has_the_same_modes_under_every_umask(
    host: Host, reachable: Path, tmp_path: Path, umask: int, way: str
) -> None:
    archive = tgz(tmp_path / "a.tgz", ollama_tree(VERSION))
    prefix = reachable / "usr/local"
    for name in ("bin/ollama", "lib/ollama/libggml.so.1"):
        place = prefix / name
        place.parent.mkdir(parents=True)
        content = ollama_tree(VERSION)[f"./{name}"]
        assert isinstance(content, bytes)
        place.write_bytes(content)
        # What others can write to is copied, and not linked.
        place.chmod(0o6777)
    before = os.umask(umask)
    try:
        if way == "install":
            source = install.Source(None, str(archive), None)
            install.install(OLLAMA, str(host.root), VERSION, [source], 1 << 30, record=lambda _path, _digests: None)
        else:
            install.adopt(OLLAMA, str(host.root), str(prefix), lambda _path, _digests: None)
        releases.switch(str(host.root), VERSION, {str(reachable / "bin/ollama"): "bin/ollama"})
    finally:
        os.umask(before)
    tree = host.root / VERSION
    folders = (host.root, host.root.parent, tree, tree / "bin", tree / "lib", tree / "lib/ollama", reachable / "bin")
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o755}
    assert stat.S_IMODE((tree / "bin/ollama").stat().st_mode) == 0o755
    assert stat.S_IMODE((tree / "lib/ollama/libggml.so.1").stat().st_mode) & ~0o111 == 0o644
    assert stat.S_IMODE((prefix / "bin/ollama").stat().st_mode) == 0o6777
