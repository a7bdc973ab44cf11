# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""host_preflight and preflight.yml over simulated GPUs and the real disk, ports and clock of this machine."""

from __future__ import annotations

import http.server
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible, environment

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
    result = run_module(
        "host_preflight",
        {"models_dir": str(closed / "models"), "engines": [{"name": "ollama", "service_user": "nobody"}]},
    )
    assert "The service user nobody may not walk through /" in texts(result["errors"])
    (refused,) = [finding for finding in result["errors"] if "walk through" in finding["text"]]
    assert f"mount --bind {closed}/models " in refused["remedy"]


def test_xid_lines_of_the_kernels_log_are_told_of_the_gpus_that_had_them(run_module, nvml_environment, tmp_path):
    journal = tmp_path / "journalctl"
    journal.write_text("#!/bin/sh\necho '2026-11-21T10:00:00+00:00 h kernel: NVRM: Xid (PCI:0000:11:00): 74, NVLink'\n")
    journal.chmod(0o755)
    environment = {**nvml_environment("h20x8"), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = run_module("host_preflight", {"models_dir": str(tmp_path)}, environment)
    assert "GPU 1 had Xid 74: an NVLink error" in texts(result["errors"])


def test_a_kernel_log_that_may_not_be_read_is_a_fact(run_module, nvml_environment, tmp_path):
    for name in ("journalctl", "dmesg"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    environment = {**nvml_environment("h20x8"), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = run_module("host_preflight", {"models_dir": str(tmp_path)}, environment)
    assert result["rc"] == 0
    assert [finding["level"] for finding in result["findings"] if finding["subject"] == "Xid"] == ["ok"]
    assert "may not be read here" in texts(result["findings"])


def test_the_way_through_a_proxy_is_told_without_its_password(run_module, tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxy = f"127.0.0.1:{server.server_port}"
        environment = {"LD_LIBRARY_PATH": "", "http_proxy": f"http://me:secret@{proxy}", "no_proxy": ""}
        result = run_module(
            "host_preflight", {"models_dir": str(tmp_path), "urls": ["http://hub.invalid/"]}, environment
        )
        server.shutdown()
    assert f"http://hub.invalid/ answers through the proxy {proxy}" in texts(result["findings"])
    assert "secret" not in str(result["findings"])


def test_what_is_there_to_read_a_file_by_is_told(run_module, tmp_path):
    store = {"name": "ollama", "store": str(tmp_path)}
    result = run_module("host_preflight", {"models_dir": str(tmp_path), "engines": [store]})
    told = texts(result["findings"])
    assert re.search(r"free on \w+ \((no )?reflinks( not tried)?\)", told), told
    assert "can share the files of" in told
    assert not list(tmp_path.iterdir()), "trying leaves nothing"
    assert f"{sys.version_info.major}.{sys.version_info.minor}." in told


def test_the_playbook_prints_the_table_and_stops_at_a_host_that_is_not_ready(nvml_environment, tmp_path):
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(
        "all:\n  hosts:\n    here:\n      ansible_connection: local\n      ansible_become: false\n"
        "      ansible_python_interpreter: '{{ ansible_playbook_python }}'\n      preflight_urls: []\n"
        f"      host_models_dir: {tmp_path}\n      fleet_gpus: [{{name: NVIDIA H20, count: 8}}]\n"
        # No lock: planned by the catalog's facts, on the GPUs that answer. All layers shall be on them.
        "      models_serve: [{name: r1, catalog: deepseek-r1, quant: 2.51bit, parameters: {num_gpu: 62}}]\n"
    )

    def run(config):
        env = environment(**nvml_environment(config))
        return ansible("ansible-playbook", "playbooks/preflight.yml", "-i", str(inventory), env=env)

    good, bad = run("h20x8"), run("rtx4090x2")
    assert good.returncode == 0, good.stdout + good.stderr
    assert re.search(r"host +verdict +GPUs +driver +fabric +Xid +disk +RAM +models ", good.stdout), good.stdout
    assert re.search(r"here +ready +8 × NVIDIA H20 +550\.127\.08 +completed", good.stdout), good.stdout
    assert re.search(r"r1 in [\d.,]+ of [\d.,]+ GiB RAM", good.stdout), good.stdout
    assert bad.returncode != 0
    assert re.search(r"here +NOT READY +1 error", bad.stdout), bad.stdout
    assert "Errors:" in bad.stdout
    assert "here: models: r1 does not fit." in bad.stdout
    assert "0 of 8 NVIDIA H20 answer" in bad.stdout
