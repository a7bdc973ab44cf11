# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub double: a loopback server that speaks ModelScope's and Hugging Face's protocols and fails on demand."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import json
import socket
import socketserver
import ssl
import threading
import time
import urllib.parse
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Optional, Sequence, Type

from .body import Body, ConnectionCut, Unsatisfiable, requested_range
from .catalog import Catalog, StoredFile
from .faults import Fault, FaultSet
from .huggingface_protocol import HuggingFace
from .modelscope_protocol import ModelScope
from .replies import Document, FileReply, Reply, document

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>\n"
EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired.</Message></Error>"


@dataclasses.dataclass
class Request:
    """One request as the double saw it. `path` is the file's path in its repository, or the URL's path."""

    method: str
    target: str
    path: str
    listener: str
    headers: Dict[str, str]
    status: int = 0
    body_bytes: int = 0

    @property
    def range(self) -> Optional[str]:
        return self.headers.get("range")


class HubDouble:
    """A running hub double; use it as a context manager.

    Two listeners on free loopback ports: `hub`, and `cdn`, which hubs redirect file requests to (`cdn=True`, or the
    fault `redirect`). `token` is demanded from every request to the hub listener and refused by the cdn listener, as
    object stores do. `certificate` is a PEM file with key and certificate; with it both listeners speak TLS.
    """

    def __init__(
        self,
        root: Path,
        *,
        faults: Sequence[Fault] = (),
        token: Optional[str] = None,
        basic_auth: Optional[str] = None,
        cdn: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        cdn_host: str = "localhost",
        certificate: Optional[Path] = None,
        checksums_file: Optional[Path] = None,
    ) -> None:
        self.catalog = Catalog(Path(root), checksums_file)
        self.faults = FaultSet(faults)
        self.token = token
        self.basic_auth = basic_auth
        self.always_redirect = cdn
        self.protocols = (ModelScope(self.catalog, self.faults), HuggingFace(self.catalog, self.faults))
        self.stopping = threading.Event()
        self.requests: List[Request] = []
        self.max_connections = 0
        self._lock = threading.Lock()
        self._connections: Dict[int, socket.socket] = {}
        self._hub = _Listener(self, "hub", host, port, certificate)
        self._cdn = _Listener(self, "cdn", host, 0, certificate)
        scheme = "https" if certificate else "http"
        shown = f"[{host}]" if ":" in host else host
        self.port = self._hub.server_address[1]
        self.url = f"{scheme}://{shown}:{self.port}"
        self.cdn_url = f"{scheme}://{cdn_host}:{self._cdn.server_address[1]}"

    def __enter__(self) -> HubDouble:
        for listener in (self._hub, self._cdn):
            threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self.stopping.set()
        for listener in (self._hub, self._cdn):
            listener.shutdown()
            listener.server_close()
        with self._lock:
            connections = list(self._connections.values())
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def file_url(self, repo: str, path: str, revision: str = "master") -> str:
        """The address of a file in the form that ModelScope's pages link to."""
        return f"{self.url}/models/{repo}/resolve/{revision}/{urllib.parse.quote(path)}"

    def inject(self, *faults: Fault) -> None:
        for fault in faults:
            self.faults.add(fault)

    def clear_faults(self) -> None:
        self.faults.set([])

    def bytes_sent(self, path: Optional[str] = None) -> int:
        """Bytes of file bodies handed to the sockets, of one file (path in its repository) or of all."""
        with self._lock:
            return sum(request.body_bytes for request in self.requests if path is None or request.path == path)

    def reset_counters(self) -> None:
        with self._lock:
            self.requests.clear()
            self.max_connections = len(self._connections)

    # What the handlers call.

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections[id(connection)] = connection
            self.max_connections = max(self.max_connections, len(self._connections))

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.pop(id(connection), None)

    def record(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def add_bytes(self, request: Request, count: int) -> None:
        with self._lock:
            request.body_bytes += count

    def counters(self) -> Dict[str, Any]:
        with self._lock:
            sent: Dict[str, int] = {}
            for request in self.requests:
                if request.body_bytes:
                    sent[request.path] = sent.get(request.path, 0) + request.body_bytes
            return {"requests": len(self.requests), "bytes": sent, "max_connections": self.max_connections}


class _Listener(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, double: HubDouble, name: str, host: str, port: int, certificate: Optional[Path]) -> None:
        self.double = double
        self.name = name
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._tls: Optional[ssl.SSLContext] = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        super().__init__((host, port), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        # The handshake happens in the connection's own thread, so that a silent client holds up nobody.
        if self._tls is not None:
            request = self._tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "gguf-fleet-hub-double"
    disable_nagle_algorithm = True
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.server.double.opened(self.connection)

    def finish(self) -> None:
        self.server.double.closed(self.connection)
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """The double keeps its requests in memory instead."""

    def do_GET(self) -> None:
        double, listener = self.server.double, self.server.name
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        if path.startswith("/_admin/"):
            self._administer(path)
            return
        reply = self._reply(path, query)
        named = reply.file.path if isinstance(reply, FileReply) else path
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.request_seen = Request(self.command, self.path, named, listener, headers)
        double.record(self.request_seen)
        latency = double.faults.take("latency", named, path)
        if latency is not None:
            double.stopping.wait(latency.seconds)
        failing = double.faults.take("status", named, path)
        if failing is not None:
            extra = {"Retry-After": failing.retry_after} if failing.retry_after else {}
            self._send_document(Document(failing.code, b"try later\n", "text/plain", extra))
        elif isinstance(reply, Document):
            self._send_document(reply)
        elif double.faults.take("html", named) is not None:
            self._send_document(Document(200, LOGIN_PAGE, "text/html; charset=utf-8"))
        elif listener == "hub" and reply.linked and self._redirects(named):
            self._send_document(self._redirect(reply))
        else:
            self._send_file(reply)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        path = urllib.parse.urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.request_seen = Request(self.command, self.path, path, self.server.name, dict(self.headers.items()))
        if path == "/_admin/faults":
            self.server.double.faults.set([Fault.from_json(value) for value in json.loads(body)])
            self._send_document(document({"faults": "set"}))
        else:
            self._send_document(document({"Code": 404, "Success": False, "Message": "no such interface"}, 404))

    def _administer(self, path: str) -> None:
        self.request_seen = Request(self.command, self.path, path, "admin", {})
        if path == "/_admin/counters":
            self._send_document(document(self.server.double.counters()))
        elif path == "/_admin/reset":
            self.server.double.reset_counters()
            self._send_document(document({"counters": "reset"}))
        else:
            self._send_document(document({"error": "unknown"}, 404))

    def _reply(self, path: str, query: Dict[str, List[str]]) -> Reply:
        parts = [part for part in path.split("/") if part]
        if self.server.name == "cdn":
            return self._cdn_reply(path, query)
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        for protocol in self.server.double.protocols:
            reply = protocol.answer(parts, query)
            if reply is not None:
                return reply
        return self._plain_file(parts)

    def _plain_file(self, parts: List[str]) -> Reply:
        root = self.server.double.catalog.root
        location = root.joinpath(*parts)
        if ".." in parts or parts[:1] != ["releases"] or not location.is_file():
            return document({"error": "Not Found"}, 404)
        return FileReply(StoredFile("", "/".join(parts), location.stat().st_size, location), linked=False)

    def _refusal(self) -> Optional[Document]:
        double, given = self.server.double, self.headers.get("Authorization") or ""
        if double.basic_auth is not None:
            wanted = "Basic " + base64.b64encode(double.basic_auth.encode()).decode()
            if given != wanted:
                return Document(401, b"", headers={"WWW-Authenticate": 'Basic realm="mirror"'})
        cookies = self.headers.get("Cookie") or ""
        allowed = given == f"Bearer {double.token}" or f"m_session_id={double.token}" in cookies
        if double.token is not None and not allowed:
            return document({"Code": 10010103001, "Success": False, "Message": "please login first"}, 401)
        return None

    def _redirects(self, path: str) -> bool:
        double = self.server.double
        return double.always_redirect or double.faults.take("redirect", path) is not None

    def _redirect(self, reply: FileReply) -> Document:
        double, file = self.server.double, reply.file
        location = urllib.parse.quote(file.location.relative_to(double.catalog.root).as_posix(), safe="/@")
        signed = urllib.parse.urlencode({"repo": file.repo, "issued": f"{time.time():.3f}", "Signature": "double"})
        where = f"{double.cdn_url}/objects/{location}?{signed}"
        told = {"X-Repo-Commit": reply.commit, **self._linked_headers(file)}
        return Document(302, b"", headers={"Location": where, **told})

    def _cdn_reply(self, path: str, query: Dict[str, List[str]]) -> Reply:
        """An object store: the address carries its own permission, and a second one is an error."""
        double = self.server.double
        if "Authorization" in self.headers:
            return Document(400, b"<Error><Code>InvalidArgument</Code></Error>", "application/xml")
        location = double.catalog.root / path.replace("/objects/", "", 1)
        if not location.is_file() or ".." in path.split("/"):
            return Document(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
        inside = path.split("/", 4)[-1]
        expire = double.faults.find("expire", inside)
        age_seconds = time.time() - float(query["issued"][0])
        if expire is not None and age_seconds > (expire.fault.seconds or 0) and expire.act():
            return Document(403, EXPIRED, "application/xml")
        return FileReply(StoredFile(query["repo"][0], inside, location.stat().st_size, location), linked=False)

    def _replaced(self, path: str) -> bool:
        replace = self.server.double.faults.find("replace", path)
        return replace is not None and replace.after(0)

    def _digest(self, file: StoredFile) -> str:
        digest = self.server.double.catalog.sha256(file.location)
        return hashlib.sha256(digest.encode()).hexdigest() if self._replaced(file.path) else digest

    def _linked_headers(self, file: StoredFile) -> Dict[str, str]:
        if self.server.double.faults.find("no_digests", file.path) is not None:
            return {}
        return {"X-Linked-ETag": f'"{self._digest(file)}"', "X-Linked-Size": str(file.size_bytes)}

    def _file_headers(self, reply: FileReply) -> Dict[str, str]:
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if self.server.double.faults.find("no_etag", reply.file.path) is None:
            headers["ETag"] = self._etag(reply.file)
        if reply.linked:
            headers.update(self._linked_headers(reply.file))
            headers["X-Repo-Commit"] = reply.commit
        return headers

    def _etag(self, file: StoredFile) -> str:
        status = file.location.stat()
        changed = "-replaced" if self._replaced(file.path) else ""
        return f'"{status.st_size:x}-{status.st_mtime_ns:x}{changed}"'

    def _send_document(self, reply: Document) -> None:
        self.send_response(reply.status)
        self.request_seen.status = reply.status
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _send_file(self, reply: FileReply) -> None:
        double, file = self.server.double, reply.file
        headers = self._file_headers(reply)
        wanted = self.headers.get("Range")
        if self.headers.get("If-Range") not in (None, headers.get("ETag")) or double.faults.take("no_range", file.path):
            wanted = None
        if self.headers.get("If-Match") not in (None, "*", headers.get("ETag")):
            self._send_document(Document(412, b"", headers=headers))
            return
        try:
            asked = requested_range(wanted, file.size_bytes)
        except Unsatisfiable:
            self._send_document(Document(416, b"", headers={"Content-Range": f"bytes */{file.size_bytes}"}))
            return
        start, end = asked or (0, file.size_bytes)
        shift = double.faults.take("content_range", file.path) if asked else None
        if shift is not None:
            start, end = min(start + shift.delta, file.size_bytes), min(end + shift.delta, file.size_bytes)
        self.request_seen.status = 206 if asked else 200
        if asked:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
        self._send_body(file, start, end, headers)

    def _send_body(self, file: StoredFile, start: int, end: int, headers: Dict[str, str]) -> None:
        double, seen = self.server.double, self.request_seen
        body = Body(
            file.location,
            file.path,
            start,
            end,
            self._replaced(file.path),
            double.faults,
            double.stopping,
            lambda count: double.add_bytes(seen, count),
        )
        packed: Optional[bytes] = None
        if double.faults.take("gzip", file.path) is not None:
            packed = body.compressed()
            headers["Content-Encoding"] = "gzip"
        wrong = double.faults.take("length", file.path)
        length = (end - start if packed is None else len(packed)) + (wrong.delta if wrong else 0)
        self.send_response(seen.status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()
        if wrong is not None:
            self.close_connection = True
        if self.command == "HEAD":
            return
        try:
            if packed is None:
                body.send(self.connection)
            else:
                self.connection.sendall(packed)
                double.add_bytes(seen, len(packed))
        except (ConnectionCut, OSError):
            self.close_connection = True
