# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP: routes, streams and status codes."""

from __future__ import annotations

import contextlib
import ipaddress
import select
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, Iterator, List, Optional
from urllib.parse import unquote, urlsplit

from . import gojson, openai
from .api import Api, Failure, Json, parse_body, whole
from .cors import cors, host_allowed
from .create import Refused
from .environment import Environment
from .epochs import Epochs
from .gofmt import human_bytes_binary
from .gpus import discover
from .scheduler import Scheduler
from .store import Store, StoreProblem

_DRAIN_BYTES = 256 << 10


def log(level: str, text: str) -> None:
    """A line as slog's text handler writes it."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".000Z"
    sys.stderr.write("time=%s level=%s source=standin %s\n" % (stamp, level, text))
    sys.stderr.flush()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server
    body_read: bool
    unread: bool
    sent_status: int
    extra_headers: Dict[str, str]

    # -- plumbing

    def log_message(self, format: str, *args: Any) -> None:
        """gin writes the access log, see _finish."""

    def version_string(self) -> str:
        """Ollama sends no Server header; http.server insists on one."""
        return "ollama-stand-in"

    def _gone(self) -> bool:
        """The client has hung up."""
        readable, _w, _x = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def _body_chunks(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while True:
                size = int(self.rfile.readline().split(b";")[0].strip() or b"0", 16)
                if not size:
                    while self.rfile.readline().strip():
                        pass
                    break
                yield self.rfile.read(size)
                self.rfile.readline()
        else:
            left = int(self.headers.get("Content-Length") or 0)
            while left > 0:
                data = self.rfile.read(min(left, 1 << 20))
                if not data:
                    raise ConnectionError("unexpected EOF")
                left -= len(data)
                yield data
        self.body_read = True

    def _json(self) -> Json:
        return parse_body(b"".join(self._body_chunks()))

    def _drop_body(self) -> None:
        """A body that nobody read: small ones are drained, larger ones cost the connection, as in Go."""
        if self.body_read or ("Content-Length" not in self.headers and "Transfer-Encoding" not in self.headers):
            return
        if 0 < int(self.headers.get("Content-Length") or 0) <= _DRAIN_BYTES:
            for _chunk in self._body_chunks():
                pass
        else:
            self.close_connection = self.unread = True

    def _linger(self) -> None:
        """Half a second for a client that still sends: a reset would eat the answer. Go's server does the same."""
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(0.5)
        end = time.monotonic() + 0.5
        with contextlib.suppress(OSError):
            while time.monotonic() < end and self.connection.recv(1 << 20):
                pass

    def _start(self, status: int, headers: Dict[str, str]) -> None:
        self.sent_status = status
        self._drop_body()
        self.send_response_only(status)
        for name, value in dict(self.extra_headers, **headers).items():
            self.send_header(name, value)
        self.send_header("Date", self.date_time_string())
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, status: int, data: bytes, kind: str) -> None:
        headers = {"Content-Type": kind} if kind else {}
        if status not in (204, 304):
            headers["Content-Length"] = str(len(data))
        self._start(status, headers)
        if self.command != "HEAD" and data:
            self.wfile.write(data)

    def answer(self, value: Any, status: int = 200) -> None:
        """A JSON answer."""
        self._send(status, gojson.dumps(value).encode(), "application/json; charset=utf-8")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    # -- routing

    def _route(self) -> None:
        self.body_read, self.unread, self.sent_status, self.extra_headers = False, False, 0, {}
        self.began = time.monotonic()
        path = urlsplit(self.path).path
        try:
            self._admit(path)
            if self.unread:
                self._linger()
        except (BrokenPipeError, ConnectionError):
            self.close_connection = True
        elapsed = "%.6fms" % ((time.monotonic() - self.began) * 1000)
        stamp = time.strftime("%Y/%m/%d - %H:%M:%S")
        line = '[GIN] %s | %d | %13s | %15s | %-7s "%s"\n'
        sys.stderr.write(line % (stamp, self.sent_status, elapsed, self.client_address[0], self.command, path))

    def _admit(self, path: str) -> None:
        host = self.headers.get("Host", "")
        status, self.extra_headers = cors(self.headers.get("Origin", ""), host, self.command, self.server.origins)
        if status is not None:
            self._send(status, b"", "")
            return
        if self.server.loopback:
            if not host_allowed(host):
                self._send(403, b"", "")
                return
            if self.command == "OPTIONS":
                self._send(204, b"", "")
                return
        self._dispatch(path)

    def _dispatch(self, path: str) -> None:
        routes = self.server.routes
        key = path if path in routes else path.rpartition("/")[0] + "/:"
        methods = routes.get(key)
        if methods is None or (self.command not in methods and not self.server.rules.wrong_method_is_405):
            self._send(404, b"404 page not found", "text/plain")
            return
        if self.command not in methods:
            self.extra_headers["Allow"] = ", ".join(methods)
            self._send(405, b"405 method not allowed", "text/plain")
            return
        self.parameter = unquote(path.rpartition("/")[2])
        try:
            methods[self.command](self)
        except Failure as failure:
            if path.startswith("/v1/"):
                kind = failure.status if self.server.rules.v1_errors_keep_status else 500
                self.answer(openai.error(kind, str(failure)), failure.status)
            else:
                self.answer({"error": str(failure)}, failure.status)
        except StoreProblem as problem:
            self.answer({"error": str(problem)}, 500)

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = do_PATCH = do_OPTIONS = _route

    # -- streams

    def stream(self, pieces: Iterator[Json]) -> None:
        """Lines of JSON; a failure in the middle becomes a last line."""
        self._start(200, {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"})
        try:
            for piece in pieces:
                self._chunk(gojson.dumps(piece).encode() + b"\n")
        except Failure as failure:
            self._chunk(gojson.dumps({"error": str(failure)}).encode() + b"\n")
        self.wfile.write(b"0\r\n\r\n")

    def create(self) -> None:
        """POST /api/create: before 0.12.6 even an error that comes first has status 200."""
        api, request = self.server.api, self._json()
        name = api.check_create(request)
        streaming = request.get("stream") is not False
        started = False

        def status(line: Json) -> None:
            nonlocal started
            if streaming:
                if not started:
                    self._start(200, {"Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"})
                    started = True
                self._chunk(gojson.dumps(line).encode() + b"\n")

        try:
            api.create(request, name, status)
            status({"status": "success"})
        except Refused as refused:
            if not streaming or (not started and api.rules.early_error_sets_status):
                raise Failure(refused.status, str(refused)) from refused
            line: Json = {"error": str(refused)}
            if not api.rules.early_error_sets_status and refused.status == 400:
                line["status"] = refused.status
            status(line)
        if started:
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.answer({"status": "success"})

    def _talk(self, pieces: Iterator[Json], streaming: bool) -> None:
        if streaming:
            self.stream(pieces)
        else:
            self.answer(whole(pieces))

    def generate(self) -> None:
        """POST /api/generate."""
        request = self._json()
        pieces = self.server.api.generate(request, self._gone)
        # Loading, unloading: one object, streamed or not.
        if not request.get("prompt"):
            self.answer(next(pieces))
        else:
            self._talk(pieces, request.get("stream") is not False)

    def chat(self) -> None:
        """POST /api/chat."""
        request = self._json()
        pieces = self.server.api.chat(request, self._gone)
        if not request.get("messages"):
            self.answer(next(pieces))
        else:
            self._talk(pieces, request.get("stream") is not False)

    def _openai(self, translate: Callable[[Json], Json], ask: Any, dress: Any, prefix: str, kind: str) -> None:
        try:
            request = self._json()
            translated = translate(request)
        except (openai.BadRequest, Failure) as problem:
            self.answer(openai.error(400, str(problem)), 400)
            return
        pieces = ask(translated, self._gone)
        identity = openai.new_id(prefix)
        if not translated["stream"]:
            self.answer(dress(identity, whole(pieces), chunk=False))
            return
        self._start(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
        last: Optional[Json] = None
        try:
            for piece in pieces:
                last = piece
                self._event(dress(identity, piece, chunk=True))
            if last is not None and (request.get("stream_options") or {}).get("include_usage"):
                self._event(openai.usage_chunk(identity, last, kind))
            self._chunk(b"data: [DONE]\n\n")
        except Failure as failure:
            self._event(openai.error(failure.status, str(failure)))
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, value: Json) -> None:
        self._chunk(b"data: " + gojson.dumps(value).encode() + b"\n\n")

    def openai_chat(self) -> None:
        """POST /v1/chat/completions."""
        ask = self.server.api.chat
        self._openai(openai.chat_request, ask, openai.chat, "chatcmpl", "chat.completion.chunk")

    def openai_text(self) -> None:
        """POST /v1/completions."""
        self._openai(openai.generate_request, self.server.api.generate, openai.text, "cmpl", "text_completion")

    # -- the rest

    def root(self) -> None:
        """GET /."""
        self._send(200, b"Ollama is running", "text/plain; charset=utf-8")

    def version(self) -> None:
        """GET /api/version."""
        self.answer({"version": self.server.rules.version})

    def tags(self) -> None:
        """GET /api/tags."""
        self.answer(self.server.api.tags())

    def ps(self) -> None:
        """GET /api/ps."""
        self.answer(self.server.api.ps())

    def show(self) -> None:
        """POST /api/show."""
        self.answer(self.server.api.show(self._json()))

    def delete(self) -> None:
        """DELETE /api/delete."""
        self.server.api.delete(self._json())
        self._send(200, b"", "")

    def copy(self) -> None:
        """POST /api/copy."""
        self.server.api.copy(self._json())
        self._send(200, b"", "")

    def head_blob(self) -> None:
        """HEAD /api/blobs/:digest."""
        found = self.server.api.has_blob(self.parameter)
        if not found:
            raise Failure(404, 'blob "%s" not found' % self.parameter)
        self._send(200, b"", "")

    def post_blob(self) -> None:
        """POST /api/blobs/:digest: one that is there is not even read."""
        if self.server.api.has_blob(self.parameter):
            self._send(200, b"", "")
            return
        self.server.api.write_blob(self.parameter, self._body_chunks())
        self._send(201, b"", "")

    def openai_models(self) -> None:
        """GET /v1/models."""
        self.answer(openai.models(self.server.api.tags()["models"]))

    def openai_model(self) -> None:
        """GET /v1/models/:model."""
        self.server.api.show({"model": self.parameter})
        self.answer(openai.model(self.parameter, None))

    def not_offered(self) -> None:
        """Routes that exist upstream and that the stand-in has no use for."""
        raise Failure(500, "the stand-in does not offer %s" % urlsplit(self.path).path)


def _routes(rules: Epochs) -> Dict[str, Dict[str, Callable[[Handler], None]]]:
    def read(action: Callable[[Handler], None]) -> Dict[str, Callable[[Handler], None]]:
        return {"GET": action, "HEAD": action}

    routes: Dict[str, Dict[str, Callable[[Handler], None]]] = {
        "/": read(Handler.root),
        "/api/version": read(Handler.version),
        "/api/tags": read(Handler.tags),
        "/api/ps": {"GET": Handler.ps},
        "/api/show": {"POST": Handler.show},
        "/api/create": {"POST": Handler.create},
        "/api/copy": {"POST": Handler.copy},
        "/api/delete": {"DELETE": Handler.delete},
        "/api/blobs/:": {"POST": Handler.post_blob, "HEAD": Handler.head_blob},
        "/api/generate": {"POST": Handler.generate},
        "/api/chat": {"POST": Handler.chat},
        "/v1/chat/completions": {"POST": Handler.openai_chat},
        "/v1/completions": {"POST": Handler.openai_text},
        "/v1/models": {"GET": Handler.openai_models},
        "/v1/models/:": {"GET": Handler.openai_model},
    }
    for path in ("/api/pull", "/api/push", "/api/embed", "/api/embeddings", "/v1/embeddings"):
        routes[path] = {"POST": Handler.not_offered}
    return routes


class Server(ThreadingHTTPServer):
    """The listening socket and what the handlers share."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, port), Handler)
        self.api: Api
        self.origins: List[str] = []
        self.rules: Epochs
        self.routes: Dict[str, Dict[str, Callable[[Handler], None]]] = {}
        try:
            self.loopback = ipaddress.ip_address(str(self.server_address[0])).is_loopback
        except ValueError:
            self.loopback = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are not worth a trace; anything else is a bug of the stand-in's and shows as one."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def serve(env: Environment, environ: Dict[str, str]) -> int:
    """`ollama serve`: returns the exit code, raises Panic or LookupError as the real program ends."""
    _scheme, address, port = env.host()
    server = Server("0.0.0.0" if address == "" else address, port)
    values = env.as_map()
    log("INFO", 'msg="server config" env="map[%s]"' % " ".join("%s:%s" % (key, values[key]) for key in sorted(values)))
    for warning in dict.fromkeys(env.warnings):
        log("WARN", warning)
    store = Store(env.models, env.rules, log)
    store.fix_blobs()
    if not env.no_prune:
        store.prune()
    env.check_origins()
    server.origins, server.rules, server.routes = env.origins, env.rules, _routes(env.rules)
    log("INFO", 'msg="Listening on %s:%d (version %s)"' % (address, port, env.rules.version))
    gpus = discover(env.var("CUDA_VISIBLE_DEVICES"), log)
    for gpu in gpus:
        size, free = human_bytes_binary(gpu.total), human_bytes_binary(gpu.free)
        log(
            "INFO",
            'msg="inference compute" id=%s library=cuda name="%s" total="%s" available="%s"'
            % (gpu.uuid, gpu.name, size, free),
        )
    if not gpus:
        log("INFO", 'msg="no compatible GPUs were discovered"')
    scheduler = Scheduler(env, environ, gpus, log)
    server.api = Api(store, scheduler, log)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: threading.Thread(target=server.shutdown, daemon=True).start())
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        server.server_close()
        scheduler.stop_all()
    return 0
