# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's and Ollama's SDKs and curl, through a gateway and doors by our role, to real answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.ansible_runs import CHECKOUT
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2, image
from ansible_collections.gguf.fleet.tests.integration.gateway.entrance import (
    GATEWAY,
    Entrance,
    Machine,
    entrance,
    instances,
)

pytestmark = [pytest.mark.docker, pytest.mark.long]
CLIENTS: list[dict[str, Any]] = [
    {"name": "desk", "native_api": True},
    {"name": "plain"},
    {"name": "guest", "models": ["cpp"]},
]
OLLAMA = {
    "ollama_version": "0.5.7",
    "models_serve": [{"name": "smollm2", "source": {"repo": "o/smollm2", "quant": "Q4"}}],
}


@pytest.fixture(scope="module")
def sdks(cache_dir: Path) -> Path:
    """The Python that has them."""
    place = cache_dir / "sdks"
    command = [CHECKOUT / "tests/venv.sh", place, CHECKOUT / "tests/requirements-sdks.txt", sys.executable]
    subprocess.run([str(word) for word in command], check=True)
    return place / "bin/python"


@pytest.fixture(scope="module", params=["gateway", "forky"])
def fleet(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    smollm2: SmolLM2,
    ollama_archives: dict[str, Path],
) -> Iterator[Entrance]:
    """smollm2 by Ollama's stand-in, cpp by the real llama-server, slow by an engine that takes its time."""
    model = (f"--volume={smollm2.whole}:/srv/smollm2.gguf:ro",)
    archive = (f"--volume={ollama_archives['0.5.7']}:/srv/ollama.tgz:ro",)
    machines = {
        GATEWAY: Machine(image(request.param)),
        "gpu-a": Machine(image("gateway"), options=model + archive, variables=OLLAMA),
        "gpu-b": Machine(image("forky"), options=model, variables=instances("cpp", "slow")),
    }
    with entrance(tmp_path_factory.mktemp("clients"), machines, {"gateway_clients": CLIENTS}) as made:
        made.sh("gpu-a", "mkdir -p /opt/ollama && tar xzf /srv/ollama.tgz -C /opt/ollama")
        made.start("gpu-a", "HOME=/root OLLAMA_HOST=127.0.0.1:11434 /opt/ollama/bin/ollama serve")
        made.start("gpu-b", "llama-server --host 127.0.0.1 --port 8081 -m /srv/smollm2.gguf -c 4096 --parallel 4 -t 2")
        made.start_streaming("gpu-b", 8082, "slow")
        made.sh("gpu-a", "until curl -sf http://127.0.0.1:11434/; do sleep 0.2; done")
        made.sh(
            "gpu-a", "echo FROM /srv/smollm2.gguf >/tmp/m; HOME=/root /opt/ollama/bin/ollama create smollm2 -f /tmp/m"
        )
        made.converge()
        made.wait_until_up()
        yield made


def ask(sdks: Path, fleet: Entrance, sdk: str, model: str) -> dict[str, Any]:
    script = CHECKOUT / "tests/integration/gateway/sdks.py"
    keys = {"KEY": fleet.key("desk"), "PLAIN_KEY": fleet.key("plain")}
    environment = {**os.environ, "SSL_CERT_FILE": str(fleet.trust), **keys}
    done = subprocess.run(
        [str(sdks), str(script), sdk, fleet.url, model], env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not any(key in done.stdout + done.stderr for key in keys.values())
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("model", ["smollm2", "cpp"])
def test_openais_sdk_gets_answers_streams_and_errors(fleet: Entrance, sdks: Path, model: str) -> None:
    told = ask(sdks, fleet, "openai", model)
    assert told["models"] == ["cpp", "slow", "smollm2"]
    assert "Paris" in told["whole"]
    assert told["stream"].strip() == told["whole"].strip()
    assert told["pieces"] > 3
    assert told["wrong"] == {
        "key": ["AuthenticationError", 401, "invalid_api_key"],
        "model": ["NotFoundError", 404, "model_not_found"],
        "path": ["PermissionDeniedError", 403, "path_not_allowed"],
        "long": ["APIStatusError", 413, "request_too_large"],
    }


def test_a_slow_stream_comes_token_by_token_to_openais_sdk(fleet: Entrance, sdks: Path) -> None:
    told = ask(sdks, fleet, "openai", "slow")
    assert told["pieces"] == 24
    # 23 pauses of 0.05 s by the engine; a stream that was held back comes at once.
    assert told["seconds"] > 1.0


def test_ollamas_sdk_gets_answers_and_can_change_nothing(fleet: Entrance, sdks: Path) -> None:
    told = ask(sdks, fleet, "ollama", "smollm2")
    assert told["models"] == ["cpp:latest", "slow:latest", "smollm2:latest"]
    assert told["shows"]
    assert "Paris" in told["whole"]
    assert told["stream"].strip() == told["whole"].strip()
    assert told["pieces"] > 3
    assert told["generated"]
    assert {name: status for name, (status, _text) in told["wrong"].items()} == {
        "key": 401,
        "native": 403,
        "pull": 403,
        "delete": 403,
        "model": 404,
    }
    assert "not served here" in told["wrong"]["pull"][1]["message"]


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_gets_a_whole_answer_and_a_stream(fleet: Entrance, version: str) -> None:
    asked = {"model": "CPP:latest", "temperature": 0, "max_tokens": 24, "stream": False}
    asked["messages"] = [{"role": "user", "content": "Name the capital of France."}]

    def curl(*more: str, key: str = fleet.key("guest")) -> str:
        # The key by standard input, as a user who is careful does it.
        command = ["curl", "--silent", "--show-error", "--config", "-", version, "--cacert", str(fleet.trust), *more]
        header = f'header = "Authorization: Bearer {key}"\n'
        done = subprocess.run(command, input=header, text=True, capture_output=True, check=True)
        return done.stdout

    url = f"{fleet.url}/v1/chat/completions"
    whole = json.loads(curl("--json", json.dumps(asked), url))
    assert "Paris" in whole["choices"][0]["message"]["content"]
    stream = curl("--no-buffer", "--json", json.dumps({**asked, "stream": True}), url)
    assert stream.rstrip().endswith("data: [DONE]")
    assert stream.count("data: ") > 3
    status = ("--write-out", "%{http_code}", "--output", "/dev/null")
    assert curl(*status, "--json", '{"model":"smollm2"}', url) == "404"
    assert curl(*status, "--json", json.dumps(asked), url, key="k" * 40) == "401"


def test_a_client_that_leaves_is_noticed_by_the_engine_behind_both_hops(fleet: Entrance) -> None:
    body = json.dumps({"model": "slow", "stream": True, "user": "leaves", "max_tokens": 600, "messages": []})
    header = f'header = "Authorization: Bearer {fleet.key("desk")}"\n'
    command = ["curl", "-s", "-N", "--max-time", "2", "--config", "-", "--cacert", str(fleet.trust), "--json", body]
    command.append(f"{fleet.url}/v1/chat/completions")
    done = subprocess.run(command, input=header, text=True, capture_output=True, check=False)
    assert done.returncode == 28, done.stderr
    end = time.monotonic() + 20
    while "left leaves" not in (told := fleet.sh("gpu-b", "cat /var/log/notes-8082")):
        assert time.monotonic() < end, told
        time.sleep(0.2)
    assert "end leaves" not in told


def test_no_key_is_in_any_log_of_the_fleet(fleet: Entrance) -> None:
    keys = [fleet.key(client["name"]) for client in CLIENTS]
    texts = [*fleet.said, *fleet.logs().values(), fleet.sh("gpu-b", "cat /var/log/notes-8082")]
    assert "POST /v1/chat/completions" in fleet.logs()[GATEWAY]
    assert not any(key in text for key in keys for text in texts)
