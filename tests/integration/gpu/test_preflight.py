# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""host_preflight and preflight.yml over simulated GPUs and the real disk, ports and clock of this machine."""

from __future__ import annotations

import http.server
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
EIGHT = [{"name": "NVIDIA H20", "count": 8, "memory_total_mib": 97871}]


@pytest.fixture
def port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def texts(findings):
    return " ".join(finding["text"] for finding in findings)


def test_a_good_machine_is_ready(run_module, nvml_environment, tmp_path):
    result = run_module(
        "host_preflight",
        {
            "expected_gpus": EIGHT,
            "expect_fabric_manager": True,
            "models_dir": str(tmp_path / "not" / "there" / "yet"),
            "controller_time": time.time(),
        },
        nvml_environment("h20x8"),
    )
    assert (result["rc"], result["errors"]) == (0, [])
    assert "8 × NVIDIA H20" in texts(result["findings"])
    assert result["ram_total_bytes"] > 0


def test_a_broken_machine_gets_every_trouble_with_a_remedy(run_module, nvml_environment, tmp_path, port):
    arguments = {
        "expected_gpus": EIGHT,
        "models_dir": str(tmp_path),
        "needed_bytes": 1 << 60,
        "ports": [port],
        "urls": ["http://127.0.0.1:9/"],
        "controller_time": time.time() - 3600,
    }
    result = run_module("host_preflight", arguments, nvml_environment("broken"))
    assert result["rc"] == 0, "preflight judges, it does not fail"
    wrong = texts(result["errors"])
    for words in (
        "2 of 8 NVIDIA H20 answer",
        "GPU is lost",
        "fabric is not ready",
        "GiB more",
        f"Port {port} is taken by",
    ):
        assert words in wrong
    assert "http://127.0.0.1:9/" in wrong
    assert "The clock is +3,6" in texts(result["warnings_found"])
    assert all(finding["remedy"] for finding in result["errors"] + result["warnings_found"])


def test_a_hub_that_answers_with_an_error_is_reached_all_the_same(run_module, tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        result = run_module("host_preflight", {"models_dir": str(tmp_path), "urls": [url]}, {"LD_LIBRARY_PATH": ""})
        server.shutdown()
    assert f"{url} answers" in texts(result["findings"])


def test_the_speed_of_a_model_that_is_there_gives_the_load_time(run_module, tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"\1" * (32 << 20))
    result = run_module("host_preflight", {"models_dir": str(tmp_path), "needed_bytes": 32 << 20})
    assert "load in about" in texts(result["findings"])


def test_a_directory_that_the_service_may_not_walk_is_named(run_module, tmp_path):
    closed = tmp_path / "nfs_public"
    (closed / "models").mkdir(parents=True)
    closed.chmod(0o700)
    # pytest's own folders are closed too: the first closed one on the way is the one to name.
    result = run_module("host_preflight", {"models_dir": str(closed / "models"), "service_user": "nobody"})
    assert "The service user nobody may not walk through /" in texts(result["errors"])


def test_the_playbook_prints_the_table_and_stops_at_a_host_that_is_not_ready(nvml_environment, tmp_path):
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        "all:\n  hosts:\n    here:\n      ansible_connection: local\n      ansible_become: false\n"
        "      ansible_python_interpreter: '{{ ansible_playbook_python }}'\n      preflight_urls: []\n"
        f"      host_models_dir: {tmp_path}\n      fleet_gpus: [{{name: NVIDIA H20, count: 8}}]\n"
    )

    def run(config):
        return subprocess.run(
            ["ansible-playbook", "playbooks/preflight.yml", "-i", str(inventory)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **nvml_environment(config)},
        )

    good, bad = run("h20x8"), run("rtx4090x2")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "here: ready, 0 errors" in good.stdout
    assert bad.returncode != 0
    assert "here: NOT READY" in bad.stdout
    assert "0 of 8 NVIDIA H20 answer" in bad.stdout
