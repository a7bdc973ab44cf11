# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for an Ollama host, whatever starts its service."""

from __future__ import annotations

import json

import pytest


def get(host, path):
    return json.loads(host.check_output(f"curl --silent --fail --max-time 20 http://127.0.0.1:11434{path}"))


def post(host, path, body):
    return json.loads(
        host.check_output(
            "curl --silent --fail --max-time 120 --json %s http://127.0.0.1:11434" + path, json.dumps(body)
        )
    )


@pytest.fixture
def variables(host):
    return host.ansible.get_variables()


@pytest.fixture
def server(host):
    (process,) = [p for p in host.process.filter(user="ollama") if p.args.endswith("ollama serve")]
    return process


def test_the_server_is_the_version_that_was_asked_for(host, variables):
    assert get(host, "/api/version") == {"version": variables["ollama_version"]}


def test_the_server_runs_as_a_user_that_cannot_log_in(host, server):
    assert server.euser == "ollama"
    assert host.user("ollama").shell.endswith(("/nologin", "/false"))


def test_the_server_listens_only_where_it_was_told_to(host, variables):
    sockets = host.check_output("ss --no-header --listening --tcp --numeric 'sport = :11434'").splitlines()
    assert [line.split()[3] for line in sockets] == [variables["expected_socket"]]


def test_the_server_has_the_environment_of_the_inventory(host, variables, server):
    # As the server's user: a container's root without CAP_SYS_PTRACE may not read it.
    environment = host.check_output(
        f"setpriv --reuid ollama --regid ollama --clear-groups cat /proc/{server.pid}/environ"
    ).split("\0")
    assert set(variables["expected_environment"]) <= set(environment)


def test_the_model_is_listed_and_a_real_answer_comes_back(host):
    assert [model["name"] for model in get(host, "/api/tags")["models"]] == ["smollm2:latest"]
    question = {
        "model": "smollm2",
        "temperature": 0,
        "max_tokens": 24,
        "messages": [{"role": "user", "content": "Name the capital of France."}],
    }
    answer = post(host, "/v1/chat/completions", question)
    assert "Paris" in answer["choices"][0]["message"]["content"]


def test_the_hardened_server_writes_its_store(host):
    curl = "curl --silent --fail --max-time 20 --json %s http://127.0.0.1:11434/api"
    host.check_output(f"{curl}/copy", json.dumps({"source": "smollm2", "destination": "copy"}))
    assert {model["name"] for model in get(host, "/api/tags")["models"]} == {"smollm2:latest", "copy:latest"}
    host.check_output(f"{curl}/delete --request DELETE", json.dumps({"model": "copy"}))
    assert [model["name"] for model in get(host, "/api/tags")["models"]] == ["smollm2:latest"]


def test_the_parameters_of_the_model_are_those_that_it_was_given(host, variables):
    shown = post(host, "/api/show", {"model": "smollm2"})["parameters"]
    assert sorted(line.split() for line in shown.splitlines()) == [
        ["num_ctx", "2048"],
        *variables.get("expected_stops", []),
        ["temperature", "0.6"],
    ]
