# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A llama-server child process: the part of the stand-in that really generates."""

from __future__ import annotations

import collections
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Deque, Dict, Iterator, List, Mapping, Sequence

# Small on purpose: three of them share two cores in the lab, and threads that wait for each other on busy cores spin.
MAX_CONTEXT = 2048
THREADS = 1
_LOADER = "ld-linux-x86-64.so.2"
_ERROR = re.compile(r"error loading model: .*|main: error: .*|exiting due to .*")


class RunnerProblem(Exception):
    """The child did not start or broke off; the text is what the API answers."""


def library_directory() -> str:
    """lib/ollama beside the directory of the real program, whatever link it was started by."""
    program = os.path.realpath(sys.argv[0])
    return os.path.join(os.path.dirname(os.path.dirname(program)), "lib", "ollama")


def held_memory(server: str, holding: Mapping[str, int]) -> str:
    """The name to start the server by: the simulated NVML reads from it what the server holds of each GPU."""
    held = ",".join("%s=%d" % (uuid, -(-amount // 1048576)) for uuid, amount in holding.items())
    return "%s nvml:%s" % (server, held) if held else server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Runner:
    """One loaded model."""

    def __init__(
        self,
        path: str,
        num_ctx: int,
        environ: Mapping[str, str],
        holding: Mapping[str, int],
        log: Callable[[str, str], None],
    ) -> None:
        library = library_directory()
        server = os.path.join(library, "llama-server")
        if not os.path.exists(server):
            raise RunnerProblem("llama runner not found: %s is missing" % server)
        self.port = _free_port()
        loader = os.path.join(library, _LOADER)
        program = [loader, "--library-path", library, server] if os.path.exists(loader) else [server]
        arguments = [
            held_memory(server, holding),
            *program[1:],
            *("--model", path, "--host", "127.0.0.1", "--port", str(self.port)),
            *(
                "--ctx-size",
                str(max(4, min(num_ctx, MAX_CONTEXT))),
                "--threads",
                str(THREADS),
            ),
            *("--parallel", "1", "--cache-ram", "0", "--no-ui", "--no-warmup"),
        ]
        self.lines: Deque[str] = collections.deque(maxlen=200)
        self.last_line = time.monotonic()
        log("INFO", 'msg="starting llama server" cmd="%s"' % " ".join(arguments))
        # The backends (libggml-cpu-*.so) are looked for in the directory that the child starts in.
        self.process = subprocess.Popen(
            arguments,
            executable=program[0],
            cwd=library,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for raw in self.process.stdout:
            self.lines.append(raw.decode("utf-8", "replace").rstrip())
            self.last_line = time.monotonic()
            sys.stderr.write(self.lines[-1] + "\n")

    def wait_ready(self, stall_seconds: float, gone: Callable[[], bool]) -> None:
        """Wait for the model; a load that stalls, dies or is given up by its client ends in RunnerProblem."""
        while True:
            if self.process.poll() is not None:
                self._reader.join(1)
                raise RunnerProblem("llama runner process has terminated: %s" % self._reason())
            try:
                if self._request("GET", "/health", None, 5).status == 200:
                    return
            except OSError:
                pass
            if gone():
                self.stop()
                raise RunnerProblem("client connection closed before server finished loading, aborting load")
            if time.monotonic() - self.last_line > stall_seconds:
                self.stop()
                raise RunnerProblem("timed out waiting for llama runner to start: context deadline exceeded")
            time.sleep(0.05)

    def _reason(self) -> str:
        for line in self.lines:
            match = _ERROR.search(line)
            if match:
                return match.group()
        return "exit status %d" % (self.process.returncode or 0)

    def _request(self, method: str, path: str, body: Any, timeout: float) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json"})
        return connection.getresponse()

    def _ask(self, path: str, body: Dict[str, Any]) -> Dict[str, Any]:
        try:
            answer = self._request("POST", path, body, 60)
            content: Dict[str, Any] = json.loads(answer.read())
        except (OSError, ValueError) as problem:
            raise RunnerProblem("llama runner process no longer running: %s" % problem) from problem
        if answer.status != 200:
            raise RunnerProblem(str(content.get("error", {}).get("message", content)))
        return content

    def apply_template(self, messages: Sequence[Dict[str, Any]]) -> str:
        """The prompt by the chat template in the GGUF."""
        plain = [{"role": turn["role"], "content": turn.get("content", "")} for turn in messages]
        return str(self._ask("/apply-template", {"messages": plain})["prompt"])

    def tokenize(self, text: str) -> List[int]:
        """The tokens of a text."""
        tokens: List[int] = self._ask("/tokenize", {"content": text})["tokens"]
        return tokens

    def embed(self, text: str) -> List[float]:
        """Not offered: the child runs without --embeddings."""
        raise RunnerProblem("the stand-in does not embed")

    def complete(self, prompt: str, settings: Dict[str, Any]) -> Iterator[Dict[str, Any]]:
        """The pieces of an answer; the last one carries the counts."""
        body = dict(settings, prompt=prompt, stream=True, cache_prompt=True)
        try:
            answer = self._request("POST", "/completion", body, 600)
            if answer.status != 200:
                raise RunnerProblem(str(json.loads(answer.read()).get("error", {}).get("message", answer.status)))
            with answer:
                for raw in answer:
                    line = raw.decode("utf-8", "replace").strip()
                    if line.startswith("error:"):
                        raise RunnerProblem(line)
                    if line.startswith("data:"):
                        piece: Dict[str, Any] = json.loads(line[5:])
                        if "error" in piece:
                            raise RunnerProblem(str(piece["error"].get("message", piece["error"])))
                        yield piece
        except (OSError, ValueError, http.client.HTTPException) as problem:
            raise RunnerProblem("llama runner process no longer running: %s" % problem) from problem

    def stop(self) -> None:
        """End the child."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
