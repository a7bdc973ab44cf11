# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole run under each umask that root may have: what is made is the same, and it serves."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import BareHost, Start, release

pytestmark = [pytest.mark.docker, pytest.mark.long, pytest.mark.timeout(1800)]

PLACES = "/opt /usr/local /etc/gguf-fleet /run/gguf-fleet /srv/gguf-fleet /var/lib/gguf-fleet /var/lib/ollama /var/log"


def converged(host: BareHost, umask: str, archives: dict[str, Path], smollm2: SmolLM2) -> list[str]:
    """Runs the site with this umask of root's, and gives mode, owner and path of all that it made."""
    # Delegated tasks run by the same shell on the controller.
    shell = host.folder / f"sh-{umask}"
    shell.write_text(f'#!/bin/sh\numask {umask}\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    host.sh(f"mkdir -p {shell.parent}")
    subprocess.run(["docker", "cp", str(shell), f"{host.name}:{shell}"], check=True, capture_output=True)
    source = {"hub": "path", "path": str(smollm2.shards[0].parent)}
    settings: dict[str, Any] = {
        **release(archives, "0.33.2"),
        "models_serve": [{"name": "smollm2", "source": source, "template": "chatml", "parameters": {"num_ctx": 512}}],
        "models_plan": "off",
        "ansible_shell_executable": str(shell),
    }
    done = host.play("site.yml", **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert host.sh(f"{shell} -c umask").strip() == f"0{umask}"
    return host.sh(f"find {PLACES} -printf '%M %u:%g %p\\n' | sort -k 3").splitlines()


def test_what_a_run_makes_is_the_same_under_every_umask(
    bare_host: Start, smollm2: SmolLM2, ollama_archives: dict[str, Path]
) -> None:
    usual, open_mask, closed = (
        converged(bare_host("bookworm"), umask, ollama_archives, smollm2) for umask in ("022", "000", "077")
    )
    assert [line for line in open_mask if line[8] == "w" and line[0] != "l"] == []
    assert open_mask == usual
    assert closed == usual
