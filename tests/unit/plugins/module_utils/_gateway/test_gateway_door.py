# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any, Optional

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.door import door

PORT = 8443


def instance(host: str, server: str, engine: str, url: str) -> dict[str, Any]:
    return {"host": host, "server": server, "engine": engine, "listen": {"url": url}, "door_port": PORT}


FLEET: dict[str, Any] = {
    "gateways": {"gw-2": {}, "gw-1": {}},
    "instances": [
        instance("gpu-01", "ollama", "ollama", "http://127.0.0.1:11434"),
        instance("gpu-01", "llama-cpp-r1", "llama_cpp", "http://[::1]:8080"),
        instance("gpu-02", "ollama", "ollama", "http://127.0.0.1:11434"),
    ],
}


def text(fleet: Optional[dict[str, Any]] = None, bind: str = "") -> str:
    return str(door(fleet or FLEET, "gpu-01", bind)["files"]["haproxy.cfg"])


def section(words: str) -> list[str]:
    """The lines of the section that begins so."""
    lines = text().split("\n")
    start = lines.index(words)
    end = next(number for number in range(start + 1, len(lines)) if not lines[number].startswith("    "))
    return [line.strip() for line in lines[start + 1 : end]]


def test_only_the_gateways_of_the_fleet_are_let_in_before_anything_else() -> None:
    lines = section("frontend door")
    assert lines[1] == (
        "acl from_a_gateway ssl_c_s_dn(CN) -m str gw-1.gateway.gguf-fleet.internal gw-2.gateway.gguf-fleet.internal"
    )
    assert lines[2] == "http-request deny deny_status 403 unless from_a_gateway"
    assert "verify required" in lines[0]


def test_without_a_gateway_nobody_is_let_in() -> None:
    assert "http-request deny deny_status 403\n" in text({**FLEET, "gateways": {}})


def test_an_instance_is_found_by_its_name_in_tls_and_only_those_of_this_host() -> None:
    lines = section("frontend door")
    assert [line for line in lines if line.startswith("use_backend")] == [
        "use_backend instance_0 if { ssl_fc_sni -i ollama.gpu-01.instance.gguf-fleet.internal }",
        "use_backend instance_1 if { ssl_fc_sni -i llama-cpp-r1.gpu-01.instance.gguf-fleet.internal }",
    ]
    assert lines[-1] == "default_backend none"
    assert section("backend none") == ["http-request deny deny_status 404"]


def test_native_paths_are_ollama_s_alone_and_its_host_is_set() -> None:
    ollama, other = section("backend instance_0"), section("backend instance_1")
    assert any("/api/chat" in line for line in ollama)
    assert "http-request set-header Host 127.0.0.1" in ollama
    assert not any("/api/" in line or "Host" in line for line in other)
    assert other[-1] == "server engine [::1]:8080"


def test_what_is_not_allowed_is_denied_before_the_engine_is_asked() -> None:
    for backend in ("backend instance_0", "backend instance_1"):
        lines = section(backend)
        denies = [line for line in lines if line.startswith("http-request deny")]
        assert len(denies) == 1
        assert " unless is_post path_post or is_get " in denies[0]
        assert lines.index(denies[0]) < len(lines) - 1


def test_it_listens_where_it_is_told() -> None:
    assert " bind :8443 ssl" in text()
    assert " bind [2001:db8::1]:8443 ssl" in text(bind="2001:db8::1")


def test_its_certificate_is_for_its_own_names_and_all_that_have_one_are_members() -> None:
    made = door(FLEET, "gpu-01")
    (shown,) = made["certificates"]
    assert shown["names"] == [
        "gpu-01.door.gguf-fleet.internal",
        "ollama.gpu-01.instance.gguf-fleet.internal",
        "llama-cpp-r1.gpu-01.instance.gguf-fleet.internal",
    ]
    assert made["members"] == ["gpu-01", "gpu-02", "gw-1", "gw-2"]


def test_what_a_door_refuses_has_the_shape_of_openais_errors() -> None:
    found = {line.split()[2]: line for line in text().split("\n") if "http-error" in line}
    assert {"403", "404", "502", "503"} <= set(found)
    assert all('{"error":{"message":' in line for line in found.values())
