# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""endpoint_check against the Ollama stand-in, the real llama-server, and servers that fail in every way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.ollama_double.conftest import Running, Start, free_port
from ansible_collections.gguf.fleet.tests.integration.verify.conftest import Scripted, create

QUESTION = "What is the capital of France? Answer in one short sentence."
CONFIGS = Path(__file__).resolve().parents[2] / "doubles" / "nvml" / "configs"


@pytest.fixture(scope="module", params=["0.5.7", "0.33.2"])
def ollama(request: pytest.FixtureRequest, start: Start, smollm2: SmolLM2, nvml_library: Path) -> Running:
    server = start(
        request.param,
        OLLAMA_ORIGINS="https://chat.example",
        LD_LIBRARY_PATH=str(nvml_library.parent),
        NVML_DOUBLE_CONFIG=str(CONFIGS / "h20x8.conf"),
    )
    create(server, smollm2)
    return server


def url(server: Running) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize("api", ["openai", "ollama"])
def test_an_ollama_that_serves_is_told_with_answer_speed_and_share(run_module: Any, ollama: Running, api: str) -> None:
    asked = {"url": url(ollama), "model": "SMOL", "question": QUESTION, "api": api, "gpu_share_min": 1.0}
    told = run_module("endpoint_check", asked)
    assert told["verified"], told
    assert not told["changed"]
    assert "Paris" in told["answer"]
    assert (told["version"], told["gpu_share"], told["finish_reason"]) == (ollama.version, 1.0, "stop")
    assert told["tokens"] > 1
    assert told["tokens_per_second"] > 0
    assert 0 < told["first_token_seconds"] <= told["seconds"]
    assert told["size_vram_bytes"] == told["size_bytes"] > 0


def test_a_page_of_an_allowed_origin_is_let_in_and_another_is_not(run_module: Any, ollama: Running) -> None:
    asked = {"url": url(ollama), "model": "smol", "max_tokens": 2}
    told = run_module("endpoint_check", {**asked, "origin": "https://chat.example"})
    assert told["cors"]["allow_origin"] == "https://chat.example"
    refused = run_module("endpoint_check", {**asked, "origin": "https://other.example"})
    assert refused["rc"] == 1
    assert "https://other.example may not use this endpoint (HTTP 403" in refused["problem"]
    assert "ollama_origins" in refused["remedy"]


def test_check_mode_asks_for_real(run_module: Any, ollama: Running) -> None:
    told = run_module("endpoint_check", {"url": url(ollama), "model": "smol", "max_tokens": 4}, check=True)
    assert told["verified"]
    assert told["tokens"] == 4
    assert told["finish_reason"] == "length"


def test_a_model_that_is_not_there_is_named_with_those_that_are(run_module: Any, ollama: Running) -> None:
    failed = run_module("endpoint_check", {"url": url(ollama), "model": "smoll"})
    assert failed["rc"] == 1
    assert "there is no model smoll; there are: smol:latest" in failed["msg"]


def test_a_model_on_the_cpu_fails_where_gpus_are_wanted(run_module: Any, start: Start, smollm2: SmolLM2) -> None:
    server = start("0.33.2")
    create(server, smollm2)
    failed = run_module("endpoint_check", {"url": url(server), "model": "smol", "gpu_share_min": 0.5, "max_tokens": 2})
    assert failed["rc"] == 1
    assert "0% of smol lies on GPUs, 50% is wanted" in failed["problem"]
    assert "before the GPU driver" in failed["remedy"]


def test_a_real_llama_server_is_told_without_a_share(run_module: Any, llama_server: str) -> None:
    asked = {"url": llama_server, "engine": "llama_cpp", "question": QUESTION, "api_key": "secret"}
    told = run_module("endpoint_check", asked)
    assert told["verified"], told
    assert told["model"] == "smol"
    assert "Paris" in told["answer"]
    assert told["gpu_share"] is None
    assert told["context_length"] == 512
    assert told["tokens_per_second"] > 0
    assert told["version"]


def test_a_llama_server_with_a_key_refuses_without_one(run_module: Any, llama_server: str) -> None:
    failed = run_module("endpoint_check", {"url": llama_server, "engine": "llama_cpp"})
    assert failed["rc"] == 1
    assert "the endpoint wants a key" in failed["problem"]
    assert failed["remedy"] == "Give it in api_key."


@pytest.mark.parametrize("check", [False, True])
def test_nobody_listening_is_a_failure_except_in_check_mode(run_module: Any, check: bool) -> None:
    told = run_module("endpoint_check", {"url": f"http://127.0.0.1:{free_port()}", "model": "m"}, check=check)
    assert told["verified"] is False
    assert told["rc"] == (0 if check else 1)
    words = str(told["warnings"] if check else told["msg"])
    assert "nothing listens on port" in words


def test_several_endpoints_are_all_asked_and_each_that_fails_is_named(
    run_module: Any, ollama: Running, llama_server: str
) -> None:
    good = {"url": url(ollama), "model": "smol"}
    other = {"url": llama_server, "engine": "llama_cpp", "api_key": "secret"}
    told = run_module("endpoint_check", {"endpoints": [good, other], "max_tokens": 2})
    assert told["verified"], told
    assert [(one["verified"], one["url"], one["engine"]) for one in told["endpoints"]] == [
        (True, url(ollama), "ollama"),
        (True, llama_server, "llama_cpp"),
    ]
    assert "secret" not in str(told)

    nobody = f"http://127.0.0.1:{free_port()}"
    asked = [{"url": nobody, "model": "m"}, good, {"url": url(ollama), "model": "smoll"}]
    failed = run_module("endpoint_check", {"endpoints": asked, "max_tokens": 2})
    assert failed["rc"] == 1
    assert [one["verified"] for one in failed["endpoints"]] == [False, True, False]
    first, second = failed["problem"].splitlines()
    assert first.startswith("m: ") and "nothing listens on port" in first and nobody in first
    assert second.startswith(f"{url(ollama)}: there is no model smoll; there are: smol:latest")
    foretold = run_module("endpoint_check", {"endpoints": asked, "max_tokens": 2}, check=True)
    assert (foretold["rc"], foretold["verified"], len(foretold["warnings"])) == (0, False, 2)


def test_one_endpoint_or_several_not_both_and_ollama_needs_a_model(run_module: Any) -> None:
    one = {"url": "http://127.0.0.1:1", "model": "m"}
    both = run_module("endpoint_check", {**one, "endpoints": [one]})
    assert both["rc"] == 1
    assert "mutually exclusive: url|endpoints" in both["msg"]
    unnamed = run_module("endpoint_check", {"endpoints": [{"url": "http://127.0.0.1:1"}]})
    assert unnamed["problem"] == "http://127.0.0.1:1: no model is named."


def sse(*events: str) -> bytes:
    return b"".join(b"data: " + event.encode() + b"\n\n" for event in events)


TAGS = (200, b'{"models": [{"name": "m:latest"}]}')
VERSION = (200, b'{"version": "0.5.7"}')
LOADED = (200, b'{"done": true}')
PIECE = '{"choices": [{"delta": {"content": "Hi"}}]}'


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({}, "HTTP 404"),
        ({"/api/tags": (200, b"<html>")}, "is not that of an engine"),
        ({"/api/tags": (403, b"")}, "does not accept this host name"),
        ({"/api/tags": TAGS, "/api/generate": (500, b'{"error": "model requires more system memory (9 GiB)"}')},
         "m does not load: model requires more system memory (9 GiB)"),
        ({"/api/tags": TAGS, "/api/generate": (200, b"...")}, "m was not loaded within 1 s"),
        ({"chat": (200, sse(PIECE) + b"...")}, "not a byte for 1 s"),
        ({"chat": (200, sse(PIECE))}, "ended in the middle, after 1 pieces"),
        ({"chat": (200, sse("[DONE]"))}, "answered nothing"),
        ({"chat": (200, sse('{"error": {"message": "out of memory"}}'))}, "m broke off: out of memory"),
        ({"chat": (200, b"data: what\n\n")}, "a line that is not JSON"),
        ({"chat": (503, b'{"error": "server busy"}')}, "the engine is busy: server busy"),
    ],
)  # fmt: skip
def test_every_way_to_fail_is_told_apart(
    run_module: Any, scripted: Scripted, answers: dict[str, tuple[int, bytes]], problem: str
) -> None:
    if "chat" in answers:
        answers = {"/api/tags": TAGS, "/api/generate": LOADED, "/v1/chat/completions": answers["chat"]}
    failed = run_module("endpoint_check", {"url": scripted(answers), "model": "m", "timeout_seconds": 1})
    assert failed["rc"] == 1
    assert problem in failed["problem"]
    assert failed["remedy"]


def test_an_answer_without_text_counts_where_that_is_asked_for(run_module: Any, scripted: Scripted) -> None:
    answers = {
        "/api/tags": TAGS,
        "/api/generate": LOADED,
        "/api/ps": (200, b"{}"),
        "/api/version": VERSION,
        "/v1/chat/completions": (200, sse("[DONE]")),
    }
    told = run_module("endpoint_check", {"url": scripted(answers), "model": "m", "empty_answer": True})
    assert told["verified"], told
    assert (told["answer"], told["tokens"]) == ("", 0) and told["first_token_seconds"] >= 0


def test_thinking_aloud_counts_as_serving(run_module: Any, scripted: Scripted) -> None:
    thought = '{"choices": [{"delta": {"reasoning_content": "Let me see"}, "finish_reason": "length"}]}'
    answers = {
        "/health": (200, b"{}"),
        "/v1/models": (200, b'{"data": [{"id": "r1"}]}'),
        "/v1/chat/completions": (200, sse(thought, "[DONE]")),
    }
    told = run_module("endpoint_check", {"url": scripted(answers), "engine": "llama_cpp"})
    assert told["verified"], told
    assert (told["answer"], told["reasoning"], told["finish_reason"]) == ("", "Let me see", "length")


@pytest.mark.parametrize("address", ["127.0.0.1:11434", "ftp://x", "http://x:port", "http://"])
def test_an_address_that_is_none_is_refused(run_module: Any, address: str) -> None:
    failed = run_module("endpoint_check", {"url": address, "model": "m"})
    assert failed["rc"] == 1
    assert "is not the address of an endpoint" in failed["problem"]
