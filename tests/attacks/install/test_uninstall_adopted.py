# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installation of somebody else that was adopted: uninstalling gives it back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, container, docker, sha256

OLD, NEW = "0.5.7", "0.33.2"
UNIT = """[Service]
ExecStart=/usr/local/bin/ollama serve
User=alice
Group=alice
Restart=always
Environment=HOME=/home/alice
[Install]
WantedBy=multi-user.target
"""
# Everything of alice's, and what she has on the system.
INVENTORY = (
    "id alice; getent group alice; find /home/alice -type f | grep -v history | sort; cat /home/alice/thesis.txt;"
    " cat /etc/systemd/system/ollama.service; systemctl is-enabled ollama; stat -c %F /usr/local/bin/ollama;"
    " sha256sum /usr/local/bin/ollama; find /usr/local/lib/ollama | sort"
)


@pytest.fixture
def host(smollm2: SmolLM2, tmp_path: Path, ollama_archives: dict[str, Path]) -> Iterator[Host]:
    for made in container("systemd", "ollama", smollm2.merged, tmp_path):
        docker("cp", str(ollama_archives[OLD]), f"{made.name}:/root/ollama.tgz")
        made.sh("useradd --create-home alice && echo mine > /home/alice/thesis.txt")
        made.sh("tar -C /usr/local -xzf /root/ollama.tgz")
        made.sh(f"cat > /etc/systemd/system/ollama.service <<'EOF'\n{UNIT}EOF")
        made.sh("systemctl daemon-reload && systemctl enable --now ollama && sleep 3")
        made.sh("printf 'FROM /srv/smollm2.gguf\\nPARAMETER num_ctx 512\\n' > /root/m && ollama create hers -f /root/m")
        made.sh("echo notes > /home/alice/.ollama/models/notes.txt")
        yield made


@pytest.mark.docker
def test_uninstalling_an_adopted_installation_takes_nothing_of_its_user(
    host: Host, ollama_archives: dict[str, Path]
) -> None:
    before = host.sh(INVENTORY)
    path = ollama_archives[NEW]
    host.converge(ollama_version=NEW, ollama_archive=str(path), ollama_archive_sha256=sha256(path))
    assert host.version() == NEW
    assert host.sh("pgrep -u alice").strip()
    # Each step that leaves something says so, in words of its own.
    done = host.play("uninstall.yml", warnings=[""], ollama_remove_models=True, uninstall_files=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was not made by this collection" in done.stdout + done.stderr
    assert host.sh(INVENTORY) == before
    assert host.sh("ls -d /opt/ollama /etc/gguf-fleet /var/lib/gguf-fleet 2>/dev/null; true") == ""
    host.sh("systemctl start ollama && sleep 3")
    assert host.version() == OLD
    assert "hers" in host.sh("ollama list")
