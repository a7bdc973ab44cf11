# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entrance before a host without systemd: keys, TLS, routing, refused paths, and who else may knock at the door."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
import testinfra

testinfra_hosts = ["gateway"]
NAME, GPU = "llm.example.com", "gguf-fleet-gateway-gpu"


@pytest.fixture(scope="module")
def beside():
    """What the run left beside the inventory."""
    return Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / ".gguf-fleet"


@pytest.fixture(scope="module")
def trusted(host, beside):
    text = (beside / "authority" / "ca.pem").read_text()
    host.check_output("printf %%s %s > /tmp/ca.pem", text)
    return "/tmp/ca.pem"


@pytest.fixture(scope="module")
def ask(host, beside, trusted):
    """Status and body of a request with the key of a client, or without one."""

    def ask(path, body=None, *, client="chat", method=None, url=f"https://{NAME}", more=""):
        key = (beside / "gateway-keys" / f"{client}.key").read_text().strip() if client else ""
        auth = f"--header 'Authorization: Bearer {key}'" if key else ""
        data = f"--json '{json.dumps(body)}'" if body is not None else ""
        verb = f"--request {method}" if method else ""
        resolve = f"--resolve {NAME}:443:127.0.0.1 --resolve {NAME}:80:127.0.0.1"
        done = host.run(
            f"curl --silent --max-time 100 --cacert {trusted} {resolve} --path-as-is {auth} {verb} {data} {more} "
            f"--write-out '\\n%{{http_code}}' '{url}{path}'"
        )
        body, _newline, status = done.stdout.rpartition("\n")
        return int(status), body

    return ask


QUESTION = {
    "model": "SmolLM2:latest",
    "temperature": 0,
    "max_tokens": 24,
    "messages": [{"role": "user", "content": "Name the capital of France."}],
}


def test_a_real_answer_comes_through_both_hops_also_as_a_stream(ask):
    status, body = ask("/v1/chat/completions", QUESTION)
    assert status == 200, body
    assert "Paris" in json.loads(body)["choices"][0]["message"]["content"]
    status, body = ask("/v1/chat/completions", {**QUESTION, "stream": True}, more="--no-buffer")
    assert status == 200
    assert body.rstrip().endswith("data: [DONE]")


def serving(engine):
    """The process of the engine."""
    return engine.check_output("/usr/local/lib/gguf-fleet/supervisorctl pid ollama")


def test_a_stream_went_through_an_upgrade_uncut(host):
    """side_effect.yml began it on the version before, which stopped when it had ended."""
    stream = host.file("/tmp/stream")
    assert stream.content_string.rstrip().endswith("data: [DONE]")
    engine = testinfra.get_host(f"docker://{GPU}")
    assert engine.file("/opt/ollama/current").linked_to == "/opt/ollama/0.33.2"
    started = int(engine.check_output("stat -c %%Y /proc/%s", serving(engine)))
    assert stream.mtime.timestamp() <= started
    # It was given back.
    states = host.check_output(
        "python3 -c %s",
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/gguf-fleet/gateway.sock'); "
        "s.sendall(b'show stat -1 4 -1\\n'); print(s.recv(65536).decode())",
    )
    assert ",UP," in states
    assert "DRAIN" not in states


def test_a_client_that_may_uses_ollamas_own_api(ask):
    native = {"model": "smollm2", "prompt": "a", "stream": False, "options": {"num_predict": 1}}
    assert ask("/api/generate", native)[0] == 200
    assert ask("/api/generate", native, client="guest")[0] == 403


def test_lists_are_those_of_the_fleet(ask):
    assert [one["id"] for one in json.loads(ask("/v1/models")[1])["data"]] == ["smollm2"]
    assert [one["name"] for one in json.loads(ask("/api/tags")[1])["models"]] == ["smollm2:latest"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/delete"),
        ("POST", "/api/pull"),
        ("POST", "//api/chat"),
        ("POST", "/v1/../api/pull"),
        ("GET", "/"),
    ],
)
def test_what_changes_something_is_refused(ask, method, path):
    status, body = ask(path, {"model": "smollm2"}, method=method)
    assert (status, json.loads(body)["error"]["code"]) == (403, "path_not_allowed")


def test_strangers_get_nothing(ask):
    assert ask("/v1/models", client=None)[0] == 401
    # By HTTP/2, where an answer that comes before the body is read breaks the stream, now and then.
    assert {ask("/v1/chat/completions", QUESTION, client=None)[0] for _number in range(9)} == {401}


def test_old_tls_is_refused(host, trusted):
    old = host.run(f"curl --silent --cacert {trusted} --resolve {NAME}:443:127.0.0.1 --tls-max 1.1 https://{NAME}/")
    assert old.rc == 35


def test_plain_http_is_redirected_and_a_key_that_came_by_it_is_not_taken(ask):
    assert ask("/v1/models", client=None, url=f"http://{NAME}")[0] == 301
    assert ask("/v1/models", url=f"http://{NAME}")[0] == 403
    assert ask("/v1/chat/completions", {}, client=None, url=f"http://{NAME}")[0] == 403


def test_a_page_of_a_listed_origin_may_ask(ask):
    more = "--include --header 'Origin: https://chat.example.com' --header 'Access-Control-Request-Method: POST'"
    status, head = ask("/v1/chat/completions", client=None, method="OPTIONS", more=more)
    assert status == 204
    assert "access-control-allow-origin: https://chat.example.com" in head.lower()
    assert ask("/v1/chat/completions", client=None, method="OPTIONS")[0] == 401


def test_the_gateway_keeps_no_key_and_its_log_has_none(host, beside):
    keys = [path.read_text().strip() for path in (beside / "gateway-keys").iterdir() if path.suffix == ".key"]
    assert len(keys) == 2
    log = host.check_output("journalctl --unit gguf-fleet-gateway --no-pager")
    files = host.check_output("grep --recursive --text '' /etc/gguf-fleet")
    assert "POST /v1/chat/completions" in log
    assert not any(key in log or key in files for key in keys)


def test_the_unit_is_hardened_and_starts_at_boot(host):
    service = host.service("gguf-fleet-gateway")
    assert service.is_running
    assert service.is_enabled
    assert host.run("systemd-analyze security --threshold=45 --no-pager gguf-fleet-gateway.service").rc == 0
    assert {process.user for process in host.process.filter(comm="haproxy")} == {"root", "haproxy"}


def test_a_host_that_is_only_a_gateway_has_no_engine(host):
    assert not host.file("/opt/ollama").exists
    assert not host.file("/srv/gguf-fleet").exists


def test_the_engine_is_reached_by_no_other_way(host, ask):
    assert host.run(f"curl --silent --max-time 5 http://{GPU}:11434/api/tags").rc == 7
    assert host.run(f"curl --silent --insecure --max-time 5 https://{GPU}:8443/v1/models").rc != 0


def test_a_change_of_clients_is_taken_up_without_a_reload(host):
    # Idempotence has shown that it stays as it is; here that the running process holds what the files hold.
    told = host.check_output(
        "python3 -c %s",
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/gguf-fleet/gateway.sock'); "
        "s.sendall(b'show map clients.map\\n'); print(s.recv(65536).decode())",
    )
    assert sorted(line.split()[2] for line in told.splitlines() if line) == ["chat", "guest"]


def test_after_a_crash_the_model_is_loaded_before_the_gateway_sends_requests_again(host, ask):
    """keep_alive -1: its service loads it, and the gateway looks there."""
    engine = testinfra.get_host(f"docker://{GPU}")
    engine.check_output("kill -KILL %s", serving(engine))
    ready = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/run/gguf-fleet/gateway.sock'); "
        "s.sendall(b'show stat -1 4 -1\\n'); sys.exit(b',UP,' not in s.recv(65536))"
    )
    for state, until in (("down", "while"), ("up", "until")):
        looks = f"{until} python3 -c {shlex.quote(ready)}; do sleep 0.2; done"
        assert host.run(f"timeout 100 sh -c {shlex.quote(looks)}").rc == 0, state
    assert "smollm2" in engine.check_output("curl --silent http://127.0.0.1:11434/api/ps")
    assert ask("/v1/chat/completions", QUESTION)[0] == 200
