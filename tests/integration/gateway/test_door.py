# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Doors: what a gateway reaches through them, and that nobody else does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.certificate import fingerprint
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.names import door_name, gateway_name, instance_sni
from ansible_collections.gguf.fleet.tests.builders.certificates import Made, authority, leaf
from ansible_collections.gguf.fleet.tests.fixtures_assets import image
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import message
from ansible_collections.gguf.fleet.tests.integration.gateway.doors import PORT, Doors, asked, changes, doors

pytestmark = pytest.mark.docker
CONFIGURATION = "/etc/gguf-fleet/door/haproxy.cfg"
SOCKET = "/run/gguf-fleet/door.sock"
SHOWN = "/etc/gguf-fleet/door/tls/server.pem"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    with doors(tmp_path_factory.mktemp("doors"), image("gateway"), image("forky")) as made:
        checked = made.play("--check", "--diff")
        assert changes(checked)["gpu-a"] > 0
        assert not (made.folder / ".gguf-fleet").exists()
        assert made.sh("gpu-a", "ls /etc/gguf-fleet", check=False) == ""
        first = made.play("--diff")
        assert "PRIVATE KEY" not in first.stdout
        assert "ca.passphrase" in first.stdout
        assert (made.folder / ".gguf-fleet/authority/ca.passphrase").read_text() not in first.stdout
        assert changes(first)["gpu-b"] > 0
        yield made


@pytest.fixture(scope="module")
def gw(two: Doors) -> Made:
    return two.gateway()


def test_a_second_run_changes_nothing_and_neither_does_check_mode(two: Doors) -> None:
    again = two.play()
    assert set(changes(again).values()) == {0}
    # The files, and the service.
    modules = [line for line in again.stdout.split("\n") if line.startswith("ok: [gpu-a]")]
    assert len(modules) <= 8, again.stdout
    assert set(changes(two.play("--check")).values()) == {0}


@pytest.mark.parametrize("host", ["gpu-a", "gpu-b"])
def test_a_gateway_reaches_each_instance_by_its_name(two: Doors, gw: Made, host: str) -> None:
    ollama = two.ask(host, "POST", "/v1/chat/completions", shown=gw).asked
    assert ollama == {"port": 11434, "asked": "POST /v1/chat/completions", "host": "127.0.0.1"}
    other = two.ask(host, "GET", "/health", shown=gw, server="llama-cpp-other").asked
    assert (other["port"], other["asked"]) == (8081, "GET /health")
    assert two.ask(host, "GET", "/v1/models/smollm2", shown=gw).status == 200
    assert two.ask(host, shown=gw, sni="ollama.gpu-x.instance.gguf-fleet.internal").status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/delete"),
        ("POST", "/api/delete"),
        ("POST", "/api/pull"),
        ("POST", "/api/create"),
        ("GET", "/api/tags"),
        ("POST", "/v1/../api/pull"),
        ("POST", "//api/chat"),
        ("POST", "/api/%63hat"),
        ("GET", "/v1/models/../../api/tags"),
        ("GET", "/v1/models/%2e%2e/api"),
        ("PUT", "/v1/chat/completions"),
        ("POST", "/v1/models/smollm2"),
        ("GET", "/slots"),
    ],
)
def test_no_gateway_reaches_what_changes_or_tells_more(two: Doors, gw: Made, method: str, path: str) -> None:
    assert two.ask("gpu-a", method, path, shown=gw).status == 403


def test_who_shows_no_certificate_or_one_of_another_authority_is_refused(two: Doors) -> None:
    assert two.ask("gpu-a").status == 0
    foreign = leaf(authority(), [gateway_name("gw-1")], "client")
    refused = two.ask("gpu-a", shown=foreign)
    assert refused.status == 0
    assert "alert" in refused.text


def test_a_host_reaches_no_other_host(two: Doors) -> None:
    own = two.sh("gpu-b", f"cat {SHOWN}")
    refused = two.ask("gpu-a", shown=Made(own, "", two.authority().x509, two.authority().private))
    assert refused.status == 0
    # Even if it were allowed to be shown as a client's.
    assert two.ask("gpu-a", shown=leaf(two.authority(), [door_name("gpu-b")], "client")).status == 403


def test_engines_listen_on_loopback_and_the_door_is_the_one_way_in(two: Doors) -> None:
    listening = two.sh("gpu-a", "ss -Hltn | awk '{print $4}'").split()
    assert [one for one in listening if not one.startswith(("127.", "[::1]"))] == [f"0.0.0.0:{PORT}"]


def test_keys_and_configuration_are_roots_alone(two: Doors) -> None:
    for host in two.hosts:
        modes = two.sh(host, "find /etc/gguf-fleet/door -type f -printf '%m %u\\n' | sort -u")
        assert modes == "600 root\n"
        assert two.sh(host, "stat -c '%a %U' /run/gguf-fleet/door.sock") == "600 root\n"
        assert two.sh(host, "ps -o user= -C haproxy | sort -u").split() == ["haproxy", "root"]


def test_a_gateway_takes_no_other_host_for_the_one_that_it_wants(two: Doors, gw: Made) -> None:
    """The address of gpu-a leads to gpu-b: a real HAProxy, set up as a gateway is, refuses it."""
    folder = "/etc/gguf-fleet/probe"
    two.sh("gpu-a", f"mkdir -p {folder}")
    for name, text in (("client.pem", gw.together), ("ca.pem", two.authority().certificate)):
        two.sh("gpu-a", f"cat > {folder}/{name} <<'END'\n{text}END")
    servers = "".join(
        f"listen {port}\n    bind 127.0.0.1:{port}\n    server one {two.addresses['gpu-b']}:{PORT} ssl verify required "
        f"ca-file {folder}/ca.pem crt {folder}/client.pem sni str({instance_sni(expected, 'ollama')})\n"
        for port, expected in ((9001, "gpu-b"), (9002, "gpu-a"))
    )
    defaults = "defaults\n    mode http\n    timeout connect 5s\n    timeout client 9s\n    timeout server 9s\n"
    two.sh("gpu-a", f"cat > {folder}/haproxy.cfg <<'END'\n{defaults}{servers}END\nhaproxy -D -f {folder}/haproxy.cfg")
    codes = [
        two.sh("gpu-a", f"curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{port}/api/ps")
        for port in (9001, 9002)
    ]
    assert codes == ["200", "503"]


def test_a_gateway_that_left_the_group_is_shut_out_in_the_same_run(two: Doors, gw: Made) -> None:
    try:
        with two.connection("gpu-a", shown=gw) as first, two.connection("gpu-b", shown=gw) as second:
            assert [asked(one).status for one in (first, second)] == [200, 200]
            assert changes(two.play(gateways=["gw-2"]))["gpu-a"] > 0
            # Idle ones are cut.
            assert [asked(one).status for one in (first, second)] == [0, 0]
        for host in two.hosts:
            assert two.ask(host, shown=gw).status == 403
            assert two.ask(host, shown=two.gateway("gw-2")).status == 200
    finally:
        two.play()
    assert two.ask("gpu-a", shown=gw).status == 200


def test_a_change_that_cannot_run_leaves_the_door_as_it_is(two: Doors, gw: Made) -> None:
    """Another program has the new port."""
    before = two.sh("gpu-a", f"cat {CONFIGURATION}")
    told = message(two.play("--limit", "gpu-a", gateway_door_port=11434, gateway_door_bind="127.0.0.1"))
    assert "The old files are back; HAProxy still runs with its old configuration" in told
    assert two.sh("gpu-a", f"cat {CONFIGURATION}") == before
    assert two.ask("gpu-a", shown=gw).status == 200
    assert changes(two.play("--limit", "gpu-a"))["gpu-a"] == 0


def test_a_door_that_was_killed_comes_back(two: Doors, gw: Made) -> None:
    for host in two.hosts:
        two.sh(host, f"pkill -KILL -o -f [/]{CONFIGURATION[1:]}; sleep 0.5; until test -S {SOCKET}; do sleep 0.2; done")
    assert set(changes(two.play()).values()) == {0}
    for host in two.hosts:
        assert two.ask(host, shown=gw).status == 200


def test_a_certificate_below_a_third_of_its_life_is_renewed(two: Doors, gw: Made) -> None:
    names = [door_name("gpu-a"), instance_sni("gpu-a", "ollama"), instance_sni("gpu-a", "llama-cpp-other")]
    old = leaf(two.authority(), names, days=100, old_days=265)
    two.sh("gpu-a", f"cat > {SHOWN} <<'END'\n{old.together}END")
    assert "make tls/server.pem: it ends in " in two.play("--check", "--diff").stdout
    done = changes(two.play())
    assert (done["gpu-a"] > 0, done["gpu-b"]) == (True, 0)
    assert two.sh("gpu-a", f"cat {SHOWN}") != old.together
    assert two.ask("gpu-a", shown=gw).status == 200


@pytest.mark.long
def test_another_authority_follows_step_by_step_and_no_request_is_refused(two: Doors, gw: Made) -> None:
    folder = two.folder / ".gguf-fleet/authority"

    def gateway_has(**names: str) -> None:
        """The gateway is no host of this test: what it would have reported."""
        prints = {
            key: [fingerprint((folder / f"{name}.pem").read_text()) for name in text.split()]
            for key, text in names.items()
        }
        members = json.loads((folder / "members.json").read_text())
        (folder / "members.json").write_text(json.dumps({**members, "gw-1": prints}))

    gateway_has(trusts="ca", signed_by="ca")
    assert set(changes(two.play(gateway_ca_renew=True))) == {"gpu-a", "gpu-b"}
    assert (folder / "ca-next.pem").exists()
    assert two.ask("gpu-a", shown=gw).status == 200
    gateway_has(trusts="ca ca-next", signed_by="ca")
    assert "signs from now on" in two.play().stdout
    for shown in (gw, two.gateway()):
        assert two.ask("gpu-b", shown=shown).status == 200
    gateway_has(trusts="ca ca-old", signed_by="ca")
    renewed = two.play()
    assert changes(renewed)["gpu-a"] > 0
    assert "the old one is trusted no more" in renewed.stdout
    two.play()
    assert two.ask("gpu-a", shown=gw).status == 0
    assert two.ask("gpu-a", shown=two.gateway()).status == 200


def test_a_passphrase_that_does_not_fit_is_refused_before_anything_changes(two: Doors) -> None:
    told = message(two.play(gateway_ca_passphrase="another one", gateway_door_port=9443))
    assert "does not open" in told
    assert "bind :8443" in two.sh("gpu-a", f"cat {CONFIGURATION}")


@pytest.mark.parametrize("version", ["2.4.22", pytest.param("2.5.14", marks=pytest.mark.long)])
def test_a_haproxy_that_was_not_tested_is_warned_about_and_used(two: Doors, version: str) -> None:
    """The real one, but it says that it is an older one."""
    script = f'[ "$1" = -v ] && echo "HAProxy version {version}" && exit; exec /usr/sbin/haproxy "$@"'
    other = "/usr/local/sbin/haproxy"
    two.sh("gpu-a", f"printf '#!/bin/sh\n%s\n' '{script}' > {other}; chmod 755 {other}; rm {SHOWN}")
    try:
        warning = f"HAProxy {version[:3]} is not tested. Tested are 2.6, 3.0, 3.2."
        assert changes(two.play("--limit", "gpu-a", warnings=[warning]))["gpu-a"] > 0
    finally:
        two.sh("gpu-a", f"rm {other}")
    assert two.ask("gpu-a", shown=two.gateway()).status == 200


def test_a_door_goes_with_all_that_it_had(two: Doors) -> None:
    two.play(tasks_from="door_absent")
    for host in two.hosts:
        assert two.sh(host, "ls -A /etc/gguf-fleet/door /run/gguf-fleet/door.sock 2>/dev/null", check=False) == ""
        assert two.sh(host, f"pgrep -f [/]{CONFIGURATION[1:]}", check=False) == ""
    assert set(changes(two.play(tasks_from="door_absent")).values()) == {0}
