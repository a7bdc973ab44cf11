# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What loads models after each start of an Ollama, as a program of its own."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import preload, supervisord, systemd
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import Service


class Ollama(http.server.BaseHTTPRequestHandler):
    asked: list[dict[str, Any]]
    busy: list[int]

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({"path": self.path, **request})
        status = 404 if request["model"] == "gone" else self.busy.pop() if self.busy else 200
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def ollama() -> Iterator[http.server.HTTPServer]:
    Ollama.asked, Ollama.busy = [], []
    with http.server.HTTPServer(("127.0.0.1", 0), Ollama) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(port: int, seconds: str, *models: str) -> str:
    """What it says. Its output ends when the one in the background has ended."""
    command = [sys.executable, "-I", str(preload.__file__), "127.0.0.1", str(port), seconds, *models]
    done = subprocess.run(command, text=True, capture_output=True, check=True, timeout=60)
    return done.stderr


def test_each_model_is_loaded_for_ever_and_a_missing_one_is_left_out(ollama: http.server.HTTPServer) -> None:
    said = run(ollama.server_port, "30", "gone", "r1")
    assert "gone is not there yet" in said
    assert "r1 is loaded, for ever" in said
    assert Ollama.asked[-1] == {"path": "/api/generate", "model": "r1", "keep_alive": -1, "stream": False}


def test_what_fails_is_tried_again_until_the_time_is_over(
    ollama: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preload, "LONG_PAUSE_SECONDS", 0.01)
    Ollama.busy = [503, 500]
    preload.load("127.0.0.1", ollama.server_port, "r1", preload.time.monotonic() + 30)
    assert [one["model"] for one in Ollama.asked] == ["r1"] * 3
    assert "r1 is not loaded yet: HTTP 500" in capsys.readouterr().err
    assert "the time is over" in run(1, "0.1", "r1")


def service(tmp_path: Path, *loads: str) -> Service:
    where = ("127.0.0.1", "11434", "3600")
    return Service("ollama", "Ollama", ("/bin/true",), "root", "root", str(tmp_path), loads=loads, loads_from=where)


def test_both_managers_start_it_and_no_setting_of_the_service_changes(tmp_path: Path) -> None:
    with_one, without = service(tmp_path, "hf.co/o/r 1"), service(tmp_path)
    command = "/usr/local/lib/gguf-fleet/preload 127.0.0.1 11434 3600"
    assert f'ExecStartPost=-{command} "hf.co/o/r 1"\n' in systemd.loads(with_one)
    assert "ExecStartPost" not in systemd.loads(without)
    assert json.loads(supervisord.loads(with_one)) == [*command.split(), "hf.co/o/r 1"]
    assert json.loads(supervisord.loads(without)) == []
    assert systemd.drop_in(with_one) == systemd.drop_in(without)
    assert supervisord.settings(with_one) == supervisord.settings(without)
