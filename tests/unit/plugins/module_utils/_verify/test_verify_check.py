# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An endpoint asked from end to end, against a server on loopback that answers as the engines do, or does not."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem, NotThere
from ansible_collections.gguf.fleet.plugins.module_utils._verify.check import Wanted, check
from ansible_collections.gguf.fleet.plugins.module_utils._verify.residency import Residency

QUESTION = Question("Capital of France?", 16)


def stream(*words: str, end: bool = True) -> bytes:
    """What both engines send for an OpenAI question."""
    pieces: List[Dict[str, Any]] = [{"choices": [{"delta": {"content": word}}]} for word in words]
    if end:
        pieces.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        pieces.append({"choices": [], "usage": {"completion_tokens": len(words)}})
    lines = [f"data: {json.dumps(piece)}\n\n" for piece in pieces] + (["data: [DONE]\n\n"] if end else [])
    return "".join(lines).encode()


class Engine:
    """Answers by method and path: (status, body), the last one of a list again and again."""

    def __init__(self) -> None:
        self.answers: Dict[str, List[Tuple[int, Any]]] = {}
        self.headers: Dict[str, str] = {}
        self.asked: List[str] = []
        self.loads: List[Tuple[str, Any]] = []
        engine = self

        class _Requests(http.server.BaseHTTPRequestHandler):
            def _handle(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = f"{self.command} {self.path}"
                engine.asked.append(asked)
                if asked == "POST /api/generate":
                    told = json.loads(sent)
                    engine.loads.append((told["model"], told.get("keep_alive")))
                left = engine.answers.get(asked, [(404, {"error": "not found"})])
                status, body = left.pop(0) if len(left) > 1 else left[0]
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in engine.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_OPTIONS = _handle

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Requests)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def check(self, engine: str, model: Optional[str], **more: Any) -> Dict[str, Any]:
        endpoint = Endpoint(self.url, silence_seconds=10)
        return check(endpoint, Wanted(engine, model, more.pop("question", QUESTION), timeout_seconds=30, **more))


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = Engine()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def ollama(engine: Engine) -> Engine:
    engine.answers = {
        "GET /api/version": [(200, {"version": "0.33.2"})],
        "GET /api/tags": [(200, {"models": [{"name": "r1:latest"}, {"name": "other:7b"}]})],
        "GET /api/ps": [(200, {"models": [{"name": "r1:latest", "size": 1000, "size_vram": 660}]})],
        "POST /api/generate": [(200, {"done": True})],
        "POST /v1/chat/completions": [(200, stream("Par", "is."))],
    }
    return engine


@pytest.fixture
def llama_cpp(engine: Engine) -> Engine:
    engine.answers = {
        "GET /health": [(503, {"error": {"message": "Loading model"}}), (200, {"status": "ok"})],
        "GET /props": [(200, {"build_info": "b11434", "default_generation_settings": {"n_ctx": 8192}})],
        "GET /v1/models": [(200, {"data": [{"id": "r1"}]})],
        "POST /v1/chat/completions": [(200, stream("Par", "is."))],
    }
    return engine


def test_an_ollama_that_serves_is_told_with_its_share_on_gpus(ollama: Engine) -> None:
    facts = ollama.check("ollama", "R1")
    assert (facts["answer"], facts["tokens"], facts["finish_reason"]) == ("Paris.", 2, "stop")
    assert (facts["version"], facts["gpu_share"]) == ("0.33.2", 0.66)
    assert ollama.asked.index("POST /api/generate") < ollama.asked.index("POST /v1/chat/completions")


def test_a_server_of_another_version_fails_before_a_model_is_loaded(ollama: Engine) -> None:
    assert ollama.check("ollama", "r1", version="v0.33.2")
    ollama.asked.clear()
    with pytest.raises(EngineProblem, match=r"the server is Ollama 0\.33\.2, not the declared 0\.5\.7\."):
        ollama.check("ollama", "r1", version="0.5.7")
    assert ollama.asked == ["GET /api/version"]


def test_what_left_the_memory_for_a_question_is_loaded_again_for_as_long_as_it_had(ollama: Engine) -> None:
    """What was loaded for the question goes; what nobody evicted, or was just leaving, is left alone."""
    there = {"name": "kept:latest", "digest": "k", "expires_at": "2318-01-01T00:00:00.123456789Z"}
    going = {"name": "gone:latest", "digest": "g", "expires_at": "2001-01-01T00:00:00Z"}
    asked = {"name": "r1:latest", "digest": "r", "expires_at": "2099-01-01T00:00:00Z"}
    ollama.answers["GET /api/ps"] = [(200, {"models": [there, going]}), (200, {"models": [asked]})]
    residency = Residency()
    endpoint = Endpoint(ollama.url, silence_seconds=5)
    residency.note(endpoint)
    residency.note(endpoint)
    assert residency.restore(5) == []
    assert ollama.loads == [("r1:latest", 0), ("kept:latest", -1)]

    ollama.loads.clear()
    ollama.answers["GET /api/ps"] = [(200, {"models": [there]}), (200, {"models": [there, asked]})]
    beside = Residency()
    beside.note(endpoint)
    assert beside.restore(5) == []
    assert ollama.loads == []


def test_what_cannot_be_loaded_again_is_a_problem(ollama: Engine) -> None:
    there = {"name": "kept:latest", "digest": "k", "expires_at": "2099-01-01T00:00:00+02:00"}
    ollama.answers["GET /api/ps"] = [(200, {"models": [there]}), (200, {"models": []})]
    ollama.answers["POST /api/generate"] = [(500, {"error": "out of memory"})]
    residency = Residency()
    residency.note(Endpoint(ollama.url, silence_seconds=5))
    (problem,) = residency.restore(5)
    assert "kept:latest does not load: out of memory" in problem.problem


def test_a_llama_server_is_waited_for_until_its_model_is_loaded(llama_cpp: Engine) -> None:
    facts = llama_cpp.check("llama_cpp", None)
    assert (facts["model"], facts["answer"], facts["context_length"]) == ("r1", "Paris.", 8192)
    assert facts["gpu_share"] is None
    assert llama_cpp.asked.count("GET /health") == 2


def test_a_model_that_is_not_there_is_told_with_those_that_are(ollama: Engine) -> None:
    with pytest.raises(NotThere, match="no model r2; there are: r1:latest, other:7b"):
        ollama.check("ollama", "r2")
    assert "POST /v1/chat/completions" not in ollama.asked


def test_a_model_that_does_not_load_is_told_with_the_engines_reason(ollama: Engine) -> None:
    ollama.answers["POST /api/generate"] = [(500, {"error": "cudaMalloc failed: out of memory"})]
    with pytest.raises(EngineProblem, match=r"r1 does not load: .*out of memory"):
        ollama.check("ollama", "r1")


def test_less_on_gpus_than_wanted_fails(ollama: Engine) -> None:
    assert ollama.check("ollama", "r1", gpu_share_min=0.66)
    with pytest.raises(EngineProblem, match="66% of r1 lies on GPUs, 90% is wanted"):
        ollama.check("ollama", "r1", gpu_share_min=0.9)


def test_a_share_that_no_engine_tells_is_not_taken_for_enough(llama_cpp: Engine) -> None:
    with pytest.raises(EngineProblem, match="an unknown part of r1"):
        llama_cpp.check("llama_cpp", "r1", gpu_share_min=0.5)


def test_an_answer_that_ends_in_the_middle_fails(ollama: Engine) -> None:
    ollama.answers["POST /v1/chat/completions"] = [(200, stream("Par", end=False))]
    with pytest.raises(EngineProblem, match="ended in the middle, after 1 pieces"):
        ollama.check("ollama", "r1")


def test_an_empty_answer_fails_unless_it_may_be_empty(ollama: Engine) -> None:
    ollama.answers["POST /v1/chat/completions"] = [(200, stream())]
    with pytest.raises(EngineProblem, match="answered nothing"):
        ollama.check("ollama", "r1")
    assert ollama.check("ollama", "r1", question=Question("?", 16, may_be_empty=True))["answer"] == ""


def test_an_interface_that_the_engine_has_not_is_refused_before_anything_is_asked(llama_cpp: Engine) -> None:
    with pytest.raises(EngineProblem, match="no interface 'ollama'"):
        llama_cpp.check("llama_cpp", "r1", question=Question("?", 16, api="ollama"))
    assert llama_cpp.asked == []


def test_another_server_on_the_port_is_no_engine(engine: Engine) -> None:
    engine.answers = {"GET /api/tags": [(200, b"[]")]}
    with pytest.raises(EngineProblem, match="not that of an engine"):
        engine.check("ollama", "r1")


def test_nobody_on_the_port_is_told_as_not_there_yet() -> None:
    lost = Engine()
    lost.server.shutdown()
    lost.server.server_close()
    with pytest.raises(NotThere):
        lost.check("ollama", "r1")


@pytest.mark.parametrize(("allowed", "passes"), [("https://chat.example.com", True), ("*", True), ("", False)])
def test_the_origin_of_a_page_is_asked_as_a_browser_would(allowed: str, passes: bool, ollama: Engine) -> None:
    ollama.answers["OPTIONS /v1/chat/completions"] = [(204, b"")]
    ollama.headers = {"Access-Control-Allow-Headers": "content-type, authorization"}
    if allowed:
        ollama.headers["Access-Control-Allow-Origin"] = allowed
    if passes:
        assert ollama.check("ollama", "r1", origin="https://chat.example.com")["cors"]
    else:
        with pytest.raises(EngineProblem, match="Access-Control-Allow-Origin is missing"):
            ollama.check("ollama", "r1", origin="https://chat.example.com")
