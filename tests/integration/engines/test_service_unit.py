# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardening of the rendered units, judged by systemd-analyze, which needs no running systemd for that."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import systemd
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import Service, drop_in_path, unit_path

# systemd's own scale: 0.0 is a service that may do nothing, 10.0 one that may do everything.
THRESHOLDS = {"gpu_safe": 2.5, "strict": 2.0, "proxy": 3.0}
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
    """The unit and its drop-in as hosts get them; the unit's path."""
    service = Service(
        name="ollama",
        description="Ollama",
        command=("/bin/true", "serve", 'a "quoted" $word', "100%"),
        user="ollama",
        group="ollama",
        home="/var/lib/ollama",
        hardening=hardening,
        writable=("/var/lib/ollama",),
        mounts=("/var/lib/ollama",),
        nvidia=True,
        start_lock="/var/lib/gguf-fleet/ollama-store.lock",
    )
    unit, settings = Path(unit_path(str(folder), "ollama")), Path(drop_in_path(str(folder), "ollama"))
    settings.parent.mkdir()
    unit.write_text(systemd.stub(service))
    settings.write_text(systemd.drop_in(service))
    return unit


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


def drop_in(unit: Path) -> list[str]:
    return (unit.parent / "ollama.service.d/gguf-fleet.conf").read_text().splitlines()


def settings(unit: Path) -> dict[str, str]:
    """Of a setting that stands there several times the last."""
    return dict(line.split("=", 1) for line in drop_in(unit) if "=" in line and not line.startswith("#"))


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
    path = unit("gpu_safe")
    found = settings(path)
    assert "ExecStartPre=+-nvidia-modprobe -c 0 -u" in drop_in(path)
    assert found["Wants"] == "modprobe@nvidia.service modprobe@nvidia_uvm.service"
    for earlier in ("modprobe@nvidia.service", "nvidia-persistenced.service", "nvidia-fabricmanager.service"):
        assert earlier in found["After"].split()
    assert found["RequiresMountsFor"] == "/var/lib/ollama"
