# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pwd
import socket

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import Gpu, Process, Report
from ansible_collections.gguf.fleet.plugins.module_utils._preflight import checks, gpus, look
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.checks import Disk, Way
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.report import report_lines

GIB = 1024**3
MIB = 1024**2


def h20(index, **facts):
    healthy = {"name": "NVIDIA H20", "memory_total_bytes": 97871 * MIB, "persistence": True, "fabric": "completed"}
    return Gpu(index=index, **{**healthy, **facts})


def report(*cards):
    return Report(source="pynvml", driver_version="550.1", gpus=cards).as_facts()


def levels(findings):
    return [(finding.subject, finding.level) for finding in findings]


EIGHT = [{"name": "NVIDIA H20", "count": 8, "memory_total_mib": 97871}]


def test_eight_healthy_cards_are_one_good_line():
    found = gpus.judge_gpus(report(*map(h20, range(8))), EIGHT)
    assert levels(found) == [("GPUs", "ok")]
    assert found[0].text == "8 × NVIDIA H20"


@pytest.mark.parametrize(
    ("cards", "level", "words"),
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
def test_what_is_wrong_with_cards_is_told_by_its_weight(cards, level, words):
    found = [finding for finding in gpus.judge_gpus(report(*cards), EIGHT) if finding.level != "ok"]
    assert {finding.level for finding in found} == {level}
    assert any(words in finding.text and finding.remedy for finding in found)


def test_memory_that_the_engine_itself_holds_is_no_finding():
    busy = report(*(h20(i, processes=(Process(42, "/opt/ollama/bin/ollama", 9 * GIB),)) for i in range(8)))
    assert levels(gpus.judge_gpus(busy, EIGHT)) == [("GPUs", "ok")]


def test_a_host_without_gpus_is_fine_where_none_are_expected():
    nothing = Report(source="none").as_facts()
    assert levels(gpus.judge_gpus(nothing, [])) == [("GPUs", "ok")]
    assert gpus.judge_driver(None, 550, expected=False) == []
    assert levels(gpus.judge_driver(None, 550, expected=True)) == [("driver", "error")]


@pytest.mark.parametrize(
    ("engine", "version", "floor"),
    [("ollama", "0.5.7", 525), ("ollama", "0.30.1", 550), ("ollama", None, 550), ("llama_cpp", "b4610", 525)],
)
def test_the_driver_floor_follows_the_engines_version(engine, version, floor):
    assert gpus.driver_floor(engine, version) == floor
    assert levels(gpus.judge_driver(f"{floor - 1}.99.1", floor, True)) == [("driver", "error")]
    assert levels(gpus.judge_driver(f"{floor}.00", floor, True)) == [("driver", "ok")]


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
    cards = report(h20(0, fabric=fabric, nvlink_peers=peers))["gpus"]
    found = gpus.judge_fabric(cards, running, expected)
    assert [finding.level for finding in found] == ([level] if level else [])


def test_disk_space_counts_what_is_there_already():
    disk = Disk("/srv/models", 100 * GIB, "ext4", "/", present_bytes=150 * GIB)
    assert levels(checks.judge_disk(disk, [], 212 * GIB)) == [("disk", "ok")]
    short = checks.judge_disk(disk, [], 260 * GIB)
    assert levels(short) == [("disk", "error")]
    assert "100.0 GiB free and the models need 110.0 GiB more" in short[0].text


def test_network_and_separate_file_systems_are_warned_of():
    models, store = Disk("/mnt/nfs", 900 * GIB, "nfs4", "/mnt/nfs"), Disk("/var/lib/ollama", GIB, "ext4", "/")
    texts = [finding.text for finding in checks.judge_disk(models, [store], 0) if finding.level == "warning"]
    assert len(texts) == 2
    assert "nfs4" in texts[0]
    assert "on another file system (/) than /mnt/nfs (/mnt/nfs): no hard links" in texts[1]


@pytest.mark.parametrize(("tried", "words"), [(True, "(reflinks)"), (False, "(no reflinks)"), (None, "not tried")])
def test_what_the_file_system_can_share_is_told(tried, words):
    models, store = Disk("/srv/a", GIB, "xfs", "/srv", tried), Disk("/srv/b", GIB, "xfs", "/srv", tried)
    free, links = checks.judge_disk(models, [store], 0)
    assert words in free.text
    assert "hard links" in links.text


def test_a_port_is_free_ours_or_taken():
    holders = {
        2: "ollama (pid 7) of the user admin",
        3: "nginx (pid 9) of the user root",
        4: "a program of the user llama-cpp",
    }
    found = checks.judge_ports([1, 2, 3, 4], holders)
    assert [finding.level for finding in found] == ["ok", "ok", "error", "ok"]
    assert "Port 3 is taken by nginx (pid 9) of the user root." in found[2].text


def test_a_port_is_held_by_a_program_of_a_user():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        held = look.holders_of([port, 1])
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert held == {port: f"{look.program_of(str(os.getpid()))} (pid {os.getpid()}) of the user {user}"}


def test_of_a_program_that_is_not_to_be_seen_the_user_is_told(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 00000000:2CAA 00000000:0000 0A 00000000:00000000 00:00000000 00000000  4242  0 99999999 1 0 100 0\n"
    )
    assert look.holders_of([11434], str(tmp_path)) == {11434: "a program of the user 4242"}


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (checks.judge_traverse("ollama", "/root/nfs", "/root"), "error"),
        (checks.judge_ram(200 * GIB, 238), "warning"),
        (checks.judge_ram(230 * GIB, 238), "ok"),
        (checks.judge_page_locking(64 * 1024, False), "warning"),
        (checks.judge_page_locking(64 * 1024, True), None),
        (checks.judge_page_locking(-1, False), None),
        (checks.judge_time(-120, True), "warning"),
        (checks.judge_time(2, False), "warning"),
        (checks.judge_time(2, None), "ok"),
        (checks.judge_time(None, True), "ok"),
        (checks.judge_time(None, None), None),
        (checks.judge_reach({"https://hub": Way("timed out")}), "error"),
        (checks.judge_reach({"https://hub": Way(None)}), "ok"),
        (checks.judge_speed(500 * MIB, 212 * GIB), "ok"),
        (checks.judge_speed(None, 212 * GIB), "ok"),
        (checks.judge_python((3, 8, 10), "/usr/bin/python3"), "error"),
        (checks.judge_python((3, 9, 2), "/usr/bin/python3"), "ok"),
    ],
)
def test_each_other_check_gives_one_finding_or_none(found, level):
    assert [finding.level for finding in found] == ([level] if level else [])


def test_the_way_to_an_address_names_its_proxy():
    (found,) = checks.judge_reach({"https://hub": Way(None, "http://proxy:3128")})
    assert (found.text, found.short) == ("https://hub answers through the proxy http://proxy:3128", "by proxy")


def test_what_stays_in_ram_is_judged_by_the_plan():
    host = {"total_mib": 131 * 1024, "ram_mib": 238 * 1024}
    sure = {"weights": "exact", "kv": "exact", "compute": "estimated", "because": []}
    reason = "14 of 62 layers are on the GPUs."
    plan = {"fits": True, "reason": reason, "host": host, "nearest": None, "certainty": sure}
    (good,) = checks.judge_placement("r1", plan)
    assert (good.level, good.short) == ("ok", "r1 in 131.0 of 238.0 GiB RAM")
    short = {**plan, "fits": False, "reason": "The host needs 134,000 MiB of RAM.", "nearest": "It fits with less."}
    (bad,) = checks.judge_placement("r1", short)
    assert (bad.level, bad.remedy) == ("error", "It fits with less.")
    assert "134,000 MiB of RAM" in bad.text
    strange = {**plan, "certainty": {**sure, "kv": "unknown", "because": ["The tensor teleport is not known here."]}}
    (unsure,) = checks.judge_placement("r1", strange)
    assert (unsure.level, "teleport" in unsure.text) == ("warning", True)


def test_the_report_is_one_table_with_errors_and_warnings_apart():
    findings = [
        {"subject": "GPUs", "level": "ok", "text": "8 × NVIDIA H20", "remedy": "", "short": "8 × NVIDIA H20"},
        {"subject": "disk", "level": "error", "text": "Full.", "remedy": "Free space.", "short": ""},
        {"subject": "disk", "level": "warning", "text": "Slow.", "remedy": "Wait.", "short": ""},
        {"subject": "ports", "level": "ok", "text": "80 is free", "remedy": "", "short": "80 free"},
        {"subject": "ports", "level": "ok", "text": "81 is free", "remedy": "", "short": "81 free"},
    ]
    assert report_lines({"h20-01": findings, "h20-02": findings[:1]}) == [
        "host    verdict    GPUs            disk                ports",
        "h20-01  NOT READY  8 × NVIDIA H20  1 error, 1 warning  80 free, 81 free",
        "h20-02  ready      8 × NVIDIA H20  -                   -",
        "Errors:",
        "  h20-01: disk: Full. Free space.",
        "Warnings:",
        "  h20-01: disk: Slow. Wait.",
    ]
