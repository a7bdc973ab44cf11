# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import Gpu, Process, Report
from ansible_collections.gguf.fleet.plugins.module_utils._preflight import checks
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.checks import Disk

GIB = 1024**3
MIB = 1024**2


def h20(index, **facts):
    healthy = {"name": "NVIDIA H20", "memory_total_bytes": 97871 * MIB, "persistence": True, "fabric": "completed"}
    return Gpu(index=index, **{**healthy, **facts})


def report(*gpus):
    return Report(source="pynvml", driver_version="550.1", gpus=gpus).as_facts()


def levels(findings):
    return [(finding.subject, finding.level) for finding in findings]


EIGHT = [{"name": "NVIDIA H20", "count": 8, "memory_total_mib": 97871}]


def test_eight_healthy_cards_are_one_good_line():
    found = checks.judge_gpus(report(*map(h20, range(8))), EIGHT)
    assert levels(found) == [("GPUs", "ok")]
    assert found[0].text == "8 × NVIDIA H20"


@pytest.mark.parametrize(
    ("gpus", "level", "words"),
    [
        ([h20(i) for i in range(7)], "error", "7 of 8 NVIDIA H20 answer"),
        ([h20(i, name="RTX 4090") for i in range(8)], "error", "0 of 8 NVIDIA H20 answer (usable: 8, RTX 4090)"),
        ([h20(i, mig=i == 3) for i in range(8)], "error", "GPU 3 is cut into instances"),
        ([h20(i, persistence=i != 3) for i in range(8)], "warning", "GPU 3: persistence mode is off"),
        ([h20(i, memory_total_bytes=90000 * MIB) for i in range(8)], "warning", "90,000 MiB, not 97,871"),
        (
            [h20(i, processes=(Process(42, "/usr/bin/python3", 2 * GIB),)) for i in range(8)],
            "warning",
            "GPU 0 is also used by /usr/bin/python3 (pid 42, 2,048 MiB)",
        ),
    ],
)
def test_what_is_wrong_with_cards_is_told_by_its_weight(gpus, level, words):
    found = [finding for finding in checks.judge_gpus(report(*gpus), EIGHT) if finding.level != "ok"]
    assert {finding.level for finding in found} == {level}
    assert any(words in finding.text and finding.remedy for finding in found)


def test_memory_that_the_engine_itself_holds_is_no_finding():
    busy = report(*(h20(i, processes=(Process(42, "/opt/ollama/bin/ollama", 9 * GIB),)) for i in range(8)))
    assert levels(checks.judge_gpus(busy, EIGHT)) == [("GPUs", "ok")]


def test_a_host_without_gpus_is_fine_where_none_are_expected():
    nothing = Report(source="none").as_facts()
    assert levels(checks.judge_gpus(nothing, [])) == [("GPUs", "ok")]
    assert checks.judge_driver(None, 550, expected=False) == []
    assert levels(checks.judge_driver(None, 550, expected=True)) == [("driver", "error")]


@pytest.mark.parametrize(
    ("engine", "version", "floor"),
    [("ollama", "0.5.7", 525), ("ollama", "0.30.1", 550), ("ollama", None, 550), ("llama_cpp", "b4610", 525)],
)
def test_the_driver_floor_follows_the_engines_version(engine, version, floor):
    assert checks.driver_floor(engine, version) == floor
    assert levels(checks.judge_driver(f"{floor - 1}.99.1", floor, True)) == [("driver", "error")]
    assert levels(checks.judge_driver(f"{floor}.00", floor, True)) == [("driver", "ok")]


@pytest.mark.parametrize(
    ("fabric", "peers", "running", "expected", "level"),
    [
        ("completed", ("nvswitch",), False, True, "ok"),
        ("in_progress", ("nvswitch",), True, False, "error"),
        (None, ("nvswitch",), False, False, "error"),
        (None, ("nvswitch",), True, True, "ok"),
        (None, (), False, True, "error"),
        (None, (), False, False, None),
    ],
)
def test_an_nvswitch_machine_needs_its_fabric_manager(fabric, peers, running, expected, level):
    gpus = report(h20(0, fabric=fabric, nvlink_peers=peers))["gpus"]
    found = checks.judge_fabric(gpus, running, expected)
    assert [finding.level for finding in found] == ([level] if level else [])


def test_disk_space_counts_what_is_there_already():
    disk = Disk("/srv/models", 100 * GIB, "ext4", 1, present_bytes=150 * GIB)
    assert levels(checks.judge_disk(disk, None, 212 * GIB)) == [("disk", "ok")]
    short = checks.judge_disk(disk, None, 260 * GIB)
    assert levels(short) == [("disk", "error")]
    assert "100.0 GiB free and the models need 110.0 GiB more" in short[0].text


def test_network_and_separate_file_systems_are_warned_of():
    models, store = Disk("/mnt/nfs", 900 * GIB, "nfs4", 7), Disk("/var/lib/ollama", GIB, "ext4", 1)
    texts = [finding.text for finding in checks.judge_disk(models, store, 0) if finding.level == "warning"]
    assert len(texts) == 2
    assert "nfs4" in texts[0]
    assert "another file system" in texts[1]


def test_a_port_is_free_ours_or_taken():
    found = checks.judge_ports([1, 2, 3], {2: "ollama (pid 7)", 3: "nginx (pid 9)"})
    assert [finding.level for finding in found] == ["ok", "ok", "error"]
    assert "Port 3 is taken by nginx (pid 9)." in found[2].text


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (checks.judge_traverse("ollama", "/root"), "error"),
        (checks.judge_ram(200 * GIB, 238), "warning"),
        (checks.judge_ram(230 * GIB, 238), "ok"),
        (checks.judge_page_locking(64 * 1024, False), "warning"),
        (checks.judge_page_locking(64 * 1024, True), None),
        (checks.judge_page_locking(-1, False), None),
        (checks.judge_time(-120), "warning"),
        (checks.judge_time(2), "ok"),
        (checks.judge_reach({"https://hub": "timed out"}), "error"),
        (checks.judge_reach({"https://hub": None}), "ok"),
        (checks.judge_speed(500 * MIB, 212 * GIB), "ok"),
        (checks.judge_speed(None, 212 * GIB), None),
    ],
)
def test_each_other_check_gives_one_finding_or_none(found, level):
    assert [finding.level for finding in found] == ([level] if level else [])


def test_the_report_has_a_line_a_host_and_what_is_wrong_below():
    findings = [
        {"subject": "GPUs", "level": "ok", "text": "8 × NVIDIA H20", "remedy": ""},
        {"subject": "disk", "level": "error", "text": "Full.", "remedy": "Free space."},
    ]
    assert checks.report_lines({"h20-01": findings, "h20-02": findings[:1]}) == [
        "h20-01: NOT READY, 1 errors, 0 warnings. GPUs 8 × NVIDIA H20",
        "  error   disk: Full. Free space.",
        "h20-02: ready, 0 errors, 0 warnings. GPUs 8 × NVIDIA H20",
    ]
