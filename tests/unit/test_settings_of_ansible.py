# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the checkout and of Molecule have names that ansible-core reads: it passes over others in silence."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ASK = """
from ansible import constants as C
from ansible.plugins.loader import callback_loader, init_plugin_loader
init_plugin_loader()
callback = callback_loader.get(C.DEFAULT_STDOUT_CALLBACK)
callback.set_options()
print(callback.get_option("result_format"), callback.get_option("display_skipped_hosts"), callback.CALLBACK_NAME)
"""


def of_molecule(folder: Path) -> Path:
    options = yaml.safe_load((ROOT / "molecule" / "base.yml").read_text())["provisioner"]["config_options"]
    written = configparser.ConfigParser()
    written.read_dict({"defaults": {name: str(value) for name, value in options["defaults"].items()}})
    with (folder / "ansible.cfg").open("w") as file:
        written.write(file)
    return folder / "ansible.cfg"


@pytest.mark.parametrize("whose", ["checkout", "molecule"])
def test_results_are_yaml_skipped_tasks_are_not_shown_and_failures_are_sentences(whose: str, tmp_path: Path) -> None:
    config = ROOT / "ansible.cfg" if whose == "checkout" else of_molecule(tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**environment, "ANSIBLE_CONFIG": str(config), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections")},
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout.split() == ["yaml", "False", "gguf.fleet.plain"]
