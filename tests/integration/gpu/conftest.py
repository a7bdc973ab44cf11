# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs modules of this collection over the NVML stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOUBLE = ROOT / "tests" / "doubles" / "nvml"

RunModule = Callable[..., dict[str, Any]]


@pytest.fixture
def nvml_environment(nvml_library: Path) -> Callable[..., dict[str, str]]:
    def environment(config: str) -> dict[str, str]:
        path = Path(config) if "/" in config else DOUBLE / "configs" / f"{config}.conf"
        return {"LD_LIBRARY_PATH": str(nvml_library.parent), "NVML_DOUBLE_CONFIG": str(path)}

    return environment


@pytest.fixture
def run_module() -> RunModule:
    """Runs a module as Ansible does, in a Python process of its own; gives its JSON with the exit code as `rc`."""

    def run(
        name: str, arguments: dict[str, Any], environment: Optional[dict[str, str]] = None, check: bool = False
    ) -> dict[str, Any]:
        program = (
            "import sys; sys.path.insert(0, sys.argv[1]); import conftest, runpy;"
            "from ansible.module_utils import basic; from ansible.module_utils.testing import patch_module_args;"
            "import json; arguments = json.loads(sys.argv[3]);\n"
            "with patch_module_args(arguments):\n"
            "    runpy.run_module('ansible_collections.gguf.fleet.plugins.modules.' + sys.argv[2], run_name='__main__')"
        )
        given = {**arguments, "_ansible_check_mode": check}
        done = subprocess.run(
            [sys.executable, "-c", program, str(ROOT / "tests"), name, json.dumps(given)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        assert lines, f"{name} printed no result: {done.stdout}{done.stderr}"
        return {**json.loads(lines[-1]), "rc": done.returncode}

    return run
