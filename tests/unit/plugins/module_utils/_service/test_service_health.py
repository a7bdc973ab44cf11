# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Callable, Optional

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import NothingListens
from ansible_collections.gguf.fleet.plugins.module_utils._service import health
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.state import State
from ansible_collections.gguf.fleet.tests.unit.plugins.module_utils._engine.scripted import answer_by

UP = State(known=True, active=True, enabled=True, pid=7, restarts=0)
CRASHED = State(known=True, active=False, enabled=True, pid=0, restarts=0, failure="exit 2")
NOBODY = NothingListens("nothing listens on port 11434.", "Start it.")


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def wanted(engine: str = "ollama", version: Optional[str] = "0.33.2", gpus: bool = False) -> health.Wanted:
    return health.Wanted(engine, "http://127.0.0.1:11434", version, ("smollm2",), gpus, 60, 600)


ENDPOINT = health.endpoint_of(wanted(), lambda: 7)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The API's answers in this order, the last one for ever; an exception is raised."""

    def script(*given: tuple[int, bytes] | Exception) -> None:
        left = list(given)

        def next_answer(_method: str, _path: str) -> tuple[int, bytes]:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        answer_by(monkeypatch, next_answer)

    return script


def wait(want: health.Wanted, state: Callable[[], State] = lambda: UP) -> str:
    clock = Clock()
    return health.wait_for_answer(want, ENDPOINT, state, lambda _lines: ["last words"], clock=clock, sleep=clock.sleep)


def version(text: str) -> tuple[int, bytes]:
    return 200, json.dumps({"version": text}).encode()


def test_a_server_that_comes_up_slowly_is_waited_for(answers: Callable[..., None]) -> None:
    answers(NOBODY, NOBODY, version("0.33.2"))
    assert wait(wanted()) == "0.33.2"


def test_another_server_s_answer_is_no_health(answers: Callable[..., None]) -> None:
    answers(version("0.5.7"))
    with pytest.raises(ServiceProblem, match=r"answered by Ollama 0\.5\.7, not by 0\.33\.2"):
        wait(wanted())


def test_a_server_that_was_built_by_hand_has_no_version_to_compare(answers: Callable[..., None]) -> None:
    answers(version("0.0.0"))
    assert wait(wanted()) == "0.0.0"


def test_silence_ends_with_the_last_words_of_the_log(answers: Callable[..., None]) -> None:
    answers(NOBODY)
    with pytest.raises(ServiceProblem, match=r"within 60 s.*last words"):
        wait(wanted())


def test_a_crash_loop_ends_the_wait_early(answers: Callable[..., None]) -> None:
    answers(NOBODY)
    restarts = iter(range(100))

    def crashing() -> State:
        return State(known=True, active=True, enabled=True, pid=7, restarts=next(restarts), failure="exit 2")

    with pytest.raises(ServiceProblem, match=r"ends again and again \(exit 2\)"):
        wait(wanted(), crashing)


def test_loading_a_model_may_take_longer_than_opening_the_port(answers: Callable[..., None]) -> None:
    loading = (503, b'{"error":{"code":503,"message":"Loading model"}}')
    answers(*[loading] * 300, (200, b'{"status":"ok"}'))
    wait(wanted("llama_cpp", None))


def test_loading_a_model_has_a_limit_too(answers: Callable[..., None]) -> None:
    answers((503, b"{}"))
    with pytest.raises(ServiceProblem, match=r"within 600 s.*being loaded"):
        wait(wanted("llama_cpp", None))


TAGS = (200, b'{"models": [{"name": "smollm2:latest"}]}')
DONE = (200, b'{"response": "yes"}\n{"done": true}\n')


def loaded(share: float) -> tuple[int, bytes]:
    return 200, json.dumps(
        {"models": [{"name": "smollm2:latest", "size": 1000, "size_vram": int(1000 * share)}]}
    ).encode()


def test_a_real_generation_is_what_counts(answers: Callable[..., None]) -> None:
    answers(TAGS, DONE, loaded(1.0))
    assert health.generate(wanted(), ENDPOINT, {}) == health.Health(model="smollm2", gpu_share=1.0)


def test_without_a_model_there_is_nothing_to_generate(answers: Callable[..., None]) -> None:
    answers((200, b'{"models": []}'))
    assert health.generate(wanted(), ENDPOINT, {}) == health.Health()


def test_a_model_that_was_loaded_before_is_asked_when_none_is_declared(answers: Callable[..., None]) -> None:
    answers((200, b'{"models": [{"name": "other:7b"}]}'), DONE, (200, b'{"models": []}'))
    assert health.generate(wanted(), ENDPOINT, {"other:7b": 1.0}).model == "other:7b"


COMPLETION = (200, b'data: {"object": "text_completion", "choices": [{"text": "yes"}]}\n\ndata: [DONE]\n\n')
REFUSALS = {
    "a server of embeddings": (501, b'{"error": {"code": 501, "message": "This server does not support completions"}}'),
    "a key that is not known here": (401, b'{"error": {"code": 401, "message": "Invalid API Key"}}'),
}


def test_llama_server_must_generate_too(answers: Callable[..., None]) -> None:
    answers(COMPLETION)
    assert health.generate(wanted("llama_cpp"), ENDPOINT, {}) == health.Health(model="smollm2")


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_llama_server_that_is_not_to_generate_for_us_is_up(
    answers: Callable[..., None], answer: tuple[int, bytes]
) -> None:
    answers(answer)
    assert health.generate(wanted("llama_cpp"), ENDPOINT, {}) == health.Health()


BAD_COMPLETIONS = {
    "an error": (500, b'{"error": {"code": 500, "message": "failed to decode"}}', "failed to decode"),
    "a web page": (200, b"<html>", "smollm2 gives no answer"),
    "an error in the middle": (200, b'error: {"code": 500, "message": "CUDA error"}\n\n', "CUDA error"),
    "no end": (200, b'data: {"choices": [{"text": "y"}]}\n\n', "ended in the middle"),
}


@pytest.mark.parametrize(("status", "body", "message"), BAD_COMPLETIONS.values(), ids=BAD_COMPLETIONS.keys())
def test_a_llama_server_that_does_not_generate_is_no_health(
    answers: Callable[..., None], status: int, body: bytes, message: str
) -> None:
    answers((status, body))
    with pytest.raises(ServiceProblem, match=message):
        health.generate(wanted("llama_cpp"), ENDPOINT, {})


def test_a_llama_server_that_reads_its_model_is_busy(answers: Callable[..., None]) -> None:
    answers((503, b"{}"))
    assert health.busy(ENDPOINT, "llama_cpp", []) == ["the model is being loaded"]
    answers((200, b'{"status":"ok"}'))
    assert health.busy(ENDPOINT, "llama_cpp", []) == []


BAD_GENERATIONS = {
    "an error in a stream with status 200": (200, b'{"error": "cuda error"}\n'),
    "an error status": (500, b'{"error": "model requires more system memory"}'),
    "an answer that ends early": (200, b'{"response": "y"}\n'),
    "no answer": (200, b""),
}


@pytest.mark.parametrize("answer", BAD_GENERATIONS.values(), ids=BAD_GENERATIONS.keys())
def test_a_generation_that_fails_is_no_health(answers: Callable[..., None], answer: tuple[int, bytes]) -> None:
    answers(TAGS, answer)
    with pytest.raises(ServiceProblem, match="smollm2 gives no answer"):
        health.generate(wanted(), ENDPOINT, {})


def test_less_of_the_model_on_the_gpu_than_before_is_no_health(answers: Callable[..., None]) -> None:
    answers(TAGS, DONE, loaded(0.5))
    with pytest.raises(ServiceProblem, match="50% of its memory on the GPU now, 100% before"):
        health.generate(wanted(), ENDPOINT, {"smollm2:latest": 1.0})


def test_a_model_beside_the_gpus_names_the_setting_to_relax(answers: Callable[..., None]) -> None:
    answers(TAGS, DONE, loaded(0.0))
    with pytest.raises(ServiceProblem, match="ollama_hardening"):
        health.generate(wanted(gpus=True), ENDPOINT, {})
