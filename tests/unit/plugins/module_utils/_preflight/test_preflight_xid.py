# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._preflight.look import kernel_log
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.xid import KNOWN, judge_xids

CARDS = [{"index": 0, "pci_bus_id": "00000000:3B:00.0"}, {"index": 1, "pci_bus_id": "00000000:AF:00.0"}]

JOURNAL = """\
2026-11-20T08:00:00+00:00 h20-01 kernel: nvidia: loading out-of-tree module taints kernel.
2026-11-20T08:00:01+00:00 h20-01 kernel: NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.127.08
2026-11-20T09:10:11+00:00 h20-01 kernel: NVRM: Xid (PCI:0000:af:00): 13, pid=812, Graphics SM Warp Exception
2026-11-20T09:10:12+00:00 h20-01 kernel: NVRM: Xid (PCI:0000:af:00): 13, pid=812, Graphics SM Warp Exception
2026-11-21T10:00:00+00:00 h20-01 kernel: NVRM: Xid (PCI:0000:3b:00): 48, pid='<unknown>', DBE at partition 3
""".splitlines()
DMESG = """\
[Sat Nov 21 10:00:00 2026] NVRM: GPU at PCI:0000:d8:00: GPU-0c2b3b1e-0000-4000-8000-000000000000
[Sat Nov 21 10:00:00 2026] NVRM: Xid (PCI:0000:d8:00): 79, pid=1234, GPU has fallen off the bus.
[   99.001] NVRM: Xid (0000:3b:00): 31, Ch 00000010, engmask 00000101
""".splitlines()


def told(lines):
    return [(finding.level, finding.text) for finding in judge_xids(lines, CARDS)]


def test_lines_of_the_journal_are_counted_and_mapped_to_gpus():
    assert told(JOURNAL) == [
        (
            "warning",
            "GPU 1 had Xid 13: a program made the graphics engine fail (2 times, last 2026-11-20T09:10:12+00:00).",
        ),
        (
            "error",
            "GPU 0 had Xid 48: a double-bit memory error that ECC cannot correct (once, 2026-11-21T10:00:00+00:00).",
        ),
    ]


def test_lines_of_dmesg_old_and_new_and_a_gpu_that_is_gone():
    assert told(DMESG) == [
        (
            "error",
            "The GPU at 0000:d8:00, which does not answer here, had Xid 79: the GPU fell off the bus "
            "(once, Sat Nov 21 10:00:00 2026).",
        ),
        ("warning", "GPU 0 had Xid 31: a program touched GPU memory that was not its own (once, 99.001)."),
    ]


@pytest.mark.parametrize(
    ("number", "level"),
    [
        *((number, "warning") for number in (13, 31, 43, 63, 94, 45)),
        *((number, "error") for number in (48, 62, 64, 74, 79, 95, 119, 120)),
        (999, "warning"),
    ],
)
def test_each_number_has_its_weight_and_a_remedy(number, level):
    (found,) = judge_xids([f"NVRM: Xid (PCI:0000:3b:00): {number}, text"], CARDS)
    assert (found.level, bool(found.remedy)) == (level, True)
    assert (number in KNOWN) == (number != 999)


def test_a_quiet_log_is_good_and_one_that_may_not_be_read_is_said():
    assert told(JOURNAL[:2]) == [("ok", "no Xid since the start")]
    assert told(None) == [("ok", "the kernel's log may not be read here")]
    assert judge_xids(None, []) == []


@pytest.mark.parametrize(
    ("answers", "lines"),
    [
        ({"journalctl": (0, "a\nb\n", "")}, ["a", "b"]),
        ({"journalctl": (0, "", ""), "dmesg": (0, "c\n", "")}, ["c"]),
        ({"journalctl": (1, "", "No journal files were opened"), "dmesg": (0, "c\n", "")}, ["c"]),
        ({"dmesg": (1, "", "dmesg: read kernel buffer failed: Operation not permitted")}, None),
        ({}, None),
    ],
    ids=["journal", "container with a journal of its own", "no permission", "refused", "neither program"],
)
def test_the_kernels_log_is_the_first_that_tells_something(answers, lines):
    assert kernel_log(lambda command: answers.get(command[0], (127, "", ""))) == lines
