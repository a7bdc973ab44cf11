# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import addresses

TRIE = """Main:
  +-- 0.0.0.0/0 3 0 4
        +-- 10.1.0.0/24 2 0 2
           +-- 10.1.0.0/28 1 0 0
              |-- 10.1.0.0
                 /24 link UNICAST
              |-- 10.1.0.12
                 /32 host LOCAL
           |-- 10.1.0.255
              /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
"""


def test_addresses_of_both_families_are_read(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/fib_trie").write_text(TRIE)
    (tmp_path / "net/if_inet6").write_text("fd000000000000000000000000000012 02 40 00 80     eth0\n")
    assert addresses.of_host(str(tmp_path)) == ["10.1.0.12", "127.0.0.1", "fd00::12"]


def test_every_address_of_this_host_can_be_listened_on() -> None:
    found = addresses.of_host()
    assert "127.0.0.1" in found
    for address in found:
        if not address.startswith("fe80:"):
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as server:
                server.bind((address, 0))


HOST = [
    "10.1.0.12",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.0.1",
    "172.32.0.1",
    "192.168.0.9",
    "8.8.8.8",
    "::1",
    "fd00::12",
]


@pytest.mark.parametrize("address", ["10.1.0.12", "192.168.0.9", "fd00::12", "127.0.0.1", "::1"])
def test_a_private_address_of_the_host_is_taken(address: str) -> None:
    assert addresses.private_problem(address, HOST) == ""


REFUSED = [
    ("", "no address"),
    ("0.0.0.0", "none of the private networks"),
    ("::", "none of the private networks"),
    ("000.0.0.0", "no address"),
    ("0.0.0.00", "no address"),
    ("0", "no address"),
    ("010.1.0.12", "no address"),
    ("10.1.0.12\n", "no address"),
    ("10.1.0.12\nUser=root", "no address"),
    (" 10.1.0.12", "no address"),
    ("8.8.8.8", "none of the private networks"),
    ("100.64.0.1", "none of the private networks"),
    ("169.254.0.1", "none of the private networks"),
    ("172.32.0.1", "none of the private networks"),
    ("::ffff:10.1.0.12", "write"),
    ("::FFFF:0.0.0.0", "write"),
    ("fd00:0::12", "write fd00::12"),
    ("FD00::12", "write fd00::12"),
    ("fd00::12%eth0", "no address of this host"),
    ("10.1.0.13", "no address of this host"),
    ("127.0.0.2", "none of the private networks"),
    ("host.example", "no address"),
]


@pytest.mark.parametrize(("address", "problem"), REFUSED, ids=lambda value: repr(value)[:24])
def test_any_other_is_refused(address: str, problem: str) -> None:
    found = addresses.private_problem(address, HOST)
    assert problem in found or (problem == "write" and "none of the private networks" in found)
