# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of units. It is kept as it is in `units/`: another text would restart the engines of every host."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import systemd
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import Service

UNITS = Path(__file__).parent / "units"
OLLAMA = Service(
    name="ollama",
    description="Ollama",
    command=("/usr/local/bin/ollama", "serve"),
    user="ollama",
    group="ollama",
    home="/var/lib/ollama",
    writable=("/var/lib/ollama", "/srv/models"),
    mounts=("/var/lib/ollama", "/srv/models"),
    nvidia=True,
)
SERVICES = {
    "ollama_gpu_safe": OLLAMA,
    "ollama_off_without_gpus": dataclasses.replace(OLLAMA, hardening="off", nvidia=False, mounts=()),
    "ollama_that_prunes_its_store": dataclasses.replace(OLLAMA, start_lock="/var/lib/gguf-fleet/ollama-store.lock"),
    "llama_cpp_strict": Service(
        name="llama-cpp-r1",
        description='llama.cpp, 100% "R1"',
        command=("/usr/bin/llama-server", "--alias", 'a "quoted" $word', "100%", r"blk\.\d+=CPU$", ""),
        user="llama-cpp",
        group="llama-cpp",
        home="/home/all models/100%",
        hardening="strict",
        writable=("/home/all models/100%",),
        mounts=("/srv/all models",),
        nvidia=True,
    ),
    "llama_cpp_rpc_in_home": dataclasses.replace(
        OLLAMA,
        name="llama-cpp-rpc",
        description="llama.cpp, GPUs lent by RPC",
        command=("/usr/bin/rpc-server", "--port", "50052"),
        home="/root/$llama",
        writable=("/root/$llama",),
        mounts=(),
    ),
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_byte_for_byte_the_one_that_hosts_have(name: str) -> None:
    assert systemd.stub(SERVICES[name]) == (UNITS / f"{name}.service").read_text()
    assert systemd.drop_in(SERVICES[name]) == (UNITS / f"{name}.conf").read_text()


@pytest.mark.parametrize("field", ["description", "user", "group", "home"])
@pytest.mark.parametrize("end", ["\n", "\r", "\x85", "\u2028", "\x00"], ids=ascii)
def test_no_value_makes_a_setting(field: str, end: str) -> None:
    change: dict[str, Any] = {field: f"/srv{end}User=root"}
    forged = dataclasses.replace(OLLAMA, **change)
    with pytest.raises(ServiceProblem):
        systemd.drop_in(forged)


@pytest.mark.parametrize("field", ["command", "writable", "mounts"])
@pytest.mark.parametrize("end", ["\n", "\r", "\x85", "\u2028", "\x00"], ids=ascii)
def test_no_word_of_a_list_makes_a_setting(field: str, end: str) -> None:
    change: dict[str, Any] = {field: ("/srv", f"/srv{end}User=root")}
    forged = dataclasses.replace(OLLAMA, **change)
    with pytest.raises(ServiceProblem):
        systemd.drop_in(forged)
