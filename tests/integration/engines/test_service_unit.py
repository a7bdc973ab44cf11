# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening of the rendered units, judged by systemd-analyze, which needs no running systemd for that."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
# systemd's own scale: 0.0 is a service that may do nothing, 10.0 one that may do everything.
THRESHOLDS = {"gpu_safe": 2.5, "strict": 2.0}
KNOWN_TO_BREAK_CUDA = (
    "PrivateDevices",
    "DevicePolicy",
    "DeviceAllow",
    "ProcSubset",
    "MemoryDenyWriteExecute",
    "PrivateUsers",
    "RestrictRealtime",
)


def render(folder: Path, hardening: str) -> Path:
    """The unit and its drop-in as the role writes them; the unit's path."""
    values = {
        "_engine_name": "ollama",
        "_engine_description": "Ollama",
        "_engine_manager": "systemd",
        "_engine_command": ["/bin/true", "serve", 'a "quoted" $word', "100%"],
        "_engine_user": "ollama",
        "_engine_group": "ollama",
        "_engine_home": "/var/lib/ollama",
        "_engine_environment": {"OLLAMA_HOST": "127.0.0.1:11434", "QUOTED": 'a "b" \\c'},
        "_engine_hardening": hardening,
        "_engine_writable": ["/var/lib/ollama"],
        "_engine_mounts": ["/var/lib/ollama"],
        "_engine_nvidia": True,
    }
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"folder": str(folder), "ansible_python_interpreter": "{{ ansible_playbook_python }}", **values},
            "vars_files": [str(ROOT / "roles/engine/vars/main.yml")],
            "tasks": [
                {
                    "ansible.builtin.copy": {
                        "content": "{{ item.content }}",
                        "dest": "{{ folder }}/{{ item.path | replace(_engine_units ~ '/', '') | basename }}",
                    },
                    "loop": "{{ _engine_unit + _engine_settings }}",
                    "loop_control": {"label": "{{ item.path }}"},
                }
            ],
        }
    ]
    # Lookups search beside the playbook, as they do in a role.
    (folder / "templates").symlink_to(ROOT / "roles/engine/templates")
    (folder / "play.yml").write_text(yaml.safe_dump(play))
    done = subprocess.run(
        [f"{Path(sys.executable).parent}/ansible-playbook", "-i", "localhost,", "-c", "local", folder / "play.yml"],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    drop_ins = folder / "ollama.service.d"
    drop_ins.mkdir()
    (folder / "gguf-fleet.conf").rename(drop_ins / "gguf-fleet.conf")
    return folder / "ollama.service"


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def rendered(hardening: str) -> Path:
        if hardening not in made:
            made[hardening] = render(tmp_path_factory.mktemp(hardening), hardening)
        return made[hardening]

    return rendered


def analyze(unit: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """systemd-analyze of this machine, or of our Debian 12 image where there is none."""
    command = ["systemd-analyze", "--no-pager", *arguments, str(unit)]
    if shutil.which("systemd-analyze") is None:
        folder = unit.parent
        command = [
            "docker",
            "run",
            "--rm",
            "--network=none",
            f"--volume={folder}:{folder}",
            "gguf-fleet-bookworm",
            *command,
        ]
    return subprocess.run(command, text=True, capture_output=True, check=False)


def settings(unit: Path) -> dict[str, str]:
    lines = (unit.parent / "ollama.service.d/gguf-fleet.conf").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@pytest.mark.parametrize(("hardening", "threshold"), THRESHOLDS.items())
def test_the_exposure_of_the_unit_stays_under_its_threshold(
    unit: Callable[[str], Path], hardening: str, threshold: float
) -> None:
    judged = analyze(unit(hardening), "security", "--offline=true", f"--threshold={threshold * 10:.0f}")
    assert judged.returncode == 0, judged.stdout[-400:] + judged.stderr
    assert "Overall exposure level" in judged.stdout


def test_without_hardening_the_judge_does_object(unit: Callable[[str], Path]) -> None:
    assert analyze(unit("off"), "security", "--offline=true", "--threshold=25").returncode != 0


def test_gpu_safe_uses_nothing_that_may_keep_cuda_from_working(unit: Callable[[str], Path]) -> None:
    assert [name for name in settings(unit("gpu_safe")) if name in KNOWN_TO_BREAK_CUDA] == []


def test_systemd_finds_no_fault_in_the_unit(unit: Callable[[str], Path]) -> None:
    judged = analyze(unit("gpu_safe"), "verify", "--recursive-errors=no")
    complaints = [line for line in judged.stderr.splitlines() if "ollama.service" in line or "gguf-fleet.conf" in line]
    assert complaints == []


def test_dollars_percents_and_quotes_reach_the_engine_as_they_are(unit: Callable[[str], Path]) -> None:
    assert settings(unit("off"))["ExecStart"] == '/bin/true serve "a \\"quoted\\" $$word" 100%%'


def test_a_driver_s_devices_are_made_before_the_server_looks_for_them(unit: Callable[[str], Path]) -> None:
    found = settings(unit("gpu_safe"))
    assert found["ExecStartPre"] == "+-nvidia-modprobe -c 0 -u"
    assert found["Wants"] == "modprobe@nvidia.service modprobe@nvidia_uvm.service"
    for earlier in ("modprobe@nvidia.service", "nvidia-persistenced.service", "nvidia-fabricmanager.service"):
        assert earlier in found["After"].split()
    assert found["RequiresMountsFor"] == "/var/lib/ollama"
