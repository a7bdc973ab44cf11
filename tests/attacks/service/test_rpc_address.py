# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses for an RPC server, which has no authentication, on a host that has addresses of every kind."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

COLLECTIONS = Path(__file__).resolve().parents[3] / ".collections"
HAS = ["10.9.8.7", "172.31.0.1", "172.32.0.1", "192.168.3.4", "100.64.0.1", "169.254.3.4", "203.0.113.5", "fd00::7"]
TAKEN = ["10.9.8.7", "127.0.0.1", "172.31.0.1", "192.168.3.4", "::1", "fd00::7"]
# As an inventory can spell "everybody", or an address that the kernel reads otherwise than it looks.
FORGED = [
    *(
        "0.0.0.0",
        "000.0.0.0",
        "0.0.0.00",
        "0",
        "::",
        "::0",
        "[::]",
        "::ffff:0.0.0.0",
        "0x0",
        "10.9.8.7\n",
        "10.9.8.7\n0.0.0.0",
    ),
    *("010.9.8.7", "10.9.2055", "10.9.8.8", "10.9.8.255", "FD00::7", "fd00::7%lo", "127.0.0.2", "localhost", "", "*"),
]
PROBE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.gguf.fleet.plugins.module_utils._service import addresses
found = addresses.of_host()
print(json.dumps({text: addresses.private_problem(text, found) for text in json.loads(sys.argv[2])}))
"""


def test_only_a_private_address_that_the_host_has_is_taken() -> None:
    if not shutil.which("ip"):
        pytest.skip("needs the command ip: apt-get install iproute2")
    add = "; ".join(["ip link set lo up", *(f"ip address add {address} dev lo" for address in HAS)])
    command = ["unshare", "--net", "sh", "-ec", f'{add}; exec "$@"', "sh"]
    probe = ["/usr/bin/python3", "-B", "-c", PROBE, str(COLLECTIONS), json.dumps([*HAS, *TAKEN, *FORGED])]
    done = subprocess.run([*command, *probe], text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    assert sorted(text for text, problem in told.items() if not problem) == sorted(TAKEN)
