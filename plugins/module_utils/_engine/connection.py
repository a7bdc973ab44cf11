# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""HTTP to an engine: status, headers and lines, none of them longer or later than it can rightly be.

Loading 200 GB takes its time, and so does a slow answer; both have limits that an engine cannot move. A connection is
opened for each exchange: loads, questions and creations are long and far between.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any, BinaryIO, Callable, Dict, Iterator, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import (
    EngineProblem,
    NothingListens,
    Stalled,
    Unreachable,
)
from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import (
    CONNECT_SECONDS,
    AnswerProblem,
    Connection,
    Deadline,
    read_answer,
    read_lines,
)
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_text, decode_json

# For all that an engine answers out of its memory.
ASK_SECONDS = 300.0
# The longest answers are the list of a store's models, and `show` of a model with its licence and list of tensors.
_MAX_ANSWER_BYTES = 16 * 2**20
_MAX_LINE_BYTES = 2**20
_UPLOAD_BYTES = 2**20
_MAX_SAID_CHARACTERS = 500
_DEFAULT_PORTS = {"http": 80, "https": 443}
_NOT_AN_ENGINE = "Check the address and what else listens there."

# Is given a new connection, before anything is sent, and the seconds that it may take; raises a Problem.
Proof = Callable[[socket.socket, float], None]


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's value, nothing where it has none."""
        try:
            return decode_json(self.body)
        except ValueError:
            return None

    def said(self) -> str:
        """What an engine says in an error, without the dress: Ollama tells a text, llama-server an object."""
        told = self.json()
        error = told.get("error") if isinstance(told, dict) else None
        if isinstance(error, dict):
            error = error.get("message")
        text = as_text(error) or self.body[:2000].decode("utf-8", "replace").strip()
        return text[:_MAX_SAID_CHARACTERS].rstrip(".")


class Endpoint:
    """The base address of an engine.

    :param url: C(http://) or C(https://), host, port, and a path where a proxy before the engine wants one.
    :param silence_seconds: how long it may be silent in a streamed answer.
    :param api_key: sent to this endpoint alone; no redirect is followed.
    :param ca_file: certificates to trust in the place of the system's.
    :param trust: further ones, in PEM.
    :param address: where to connect instead of the host in C(url), whose name is sent and proven all the same.
    :param prove: proves who is at the other end before anything is sent.
    """

    def __init__(
        self,
        url: str,
        *,
        silence_seconds: float,
        api_key: Optional[str] = None,
        ca_file: Optional[str] = None,
        trust: str = "",
        address: Optional[str] = None,
        prove: Optional[Proof] = None,
    ) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == -1:
            raise EngineProblem(
                f"'{url}' is not the address of an endpoint.", "Give one such as http://127.0.0.1:11434."
            )
        self.url = url.rstrip("/")
        self.host = parts.hostname
        self.port = port or _DEFAULT_PORTS[parts.scheme]
        self.silence_seconds = silence_seconds
        self._path = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._tls = _tls(ca_file, trust) if parts.scheme == "https" else None
        self._address = address or None
        self._prove = prove

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
        *,
        limit_seconds: Optional[float] = None,
    ) -> Answer:
        """One request and its whole answer, whatever its status; of a JSON value, where there is a body."""
        limit = limit_seconds or min(ASK_SECONDS, self.silence_seconds)
        with self._exchange(path, limit, None) as connection:
            return self._whole(path, self._sent(connection, method, path, body, headers or {}))

    def json(
        self, method: str, path: str, body: Any = None, *, limit_seconds: Optional[float] = None
    ) -> Dict[str, Any]:
        """The object that is answered; an empty one for an answer without a body. Every refusal raises."""
        answer = self.ask(method, path, body, limit_seconds=limit_seconds)
        if not 200 <= answer.status < 300:
            raise self.refusal(path, answer)
        told = answer.json() if answer.body.strip() else {}
        if not isinstance(told, dict):
            raise self.no_engine(path, answer.body)
        return told

    def upload(
        self, path: str, file: BinaryIO, size_bytes: int, *, limit_seconds: float, silence_seconds: float
    ) -> Answer:
        """Send the rest of an open file."""
        with self._exchange(path, limit_seconds, silence_seconds) as connection:
            headers = {**self._headers, "Content-Length": str(size_bytes)}
            connection.request("POST", self._path + path, file, headers)
            return self._whole(path, connection.getresponse())

    def lines(
        self,
        path: str,
        body: Dict[str, Any],
        *,
        limit_seconds: float,
        limit_bytes: int,
        silence_seconds: Optional[float] = None,
    ) -> Iterator[bytes]:
        """The lines of a streamed answer, as they come. An answer that is none raises."""
        silence = self.silence_seconds if silence_seconds is None else silence_seconds
        with self._exchange(path, limit_seconds, silence) as connection:
            response = self._sent(connection, "POST", path, body, {})
            if response.status != 200:
                raise self.refusal(path, self._whole(path, response))
            what = f"The answer of {self.url}{path}"
            for line in read_lines(response, line_bytes=_MAX_LINE_BYTES, limit_bytes=limit_bytes, what=what):
                if line.strip():
                    yield line.strip()

    def no_engine(self, path: str, data: bytes) -> EngineProblem:
        """What answers does not speak as an engine does."""
        shown = data[:80].decode("utf-8", "replace")
        return EngineProblem(f"{self.url}{path}: the answer is not that of an engine ({shown!r}).", _NOT_AN_ENGINE)

    def refusal(self, path: str, answer: Answer) -> EngineProblem:
        """What an answer that is an error means."""
        return self.refused(path, answer.status, answer.said())

    def certificate_ends(self) -> Optional[float]:
        """When the certificate that is shown here ends, in seconds since 1970; None without TLS."""
        if self._tls is None:
            return None
        with self._exchange("", ASK_SECONDS, None) as connection:
            shown = connection.sock.getpeercert() if isinstance(connection.sock, ssl.SSLSocket) else None
        return ssl.cert_time_to_seconds(str(shown["notAfter"])) if shown else None

    def refused(self, path: str, status: int, said: str) -> EngineProblem:
        """The same from its parts: what comes in a stream has no status line."""
        about, remedy = _meaning(status, said)
        return EngineProblem(
            f"{self.url}{path}: HTTP {status}{about}: {said or 'no reason given'}.", remedy, status=status, said=said
        )

    @contextlib.contextmanager
    def _exchange(self, path: str, limit_seconds: float, silence_seconds: Optional[float]) -> Iterator[Connection]:
        """A connection for one exchange: all of it within the limit, no byte later than the silence after the last."""
        connection = _Proven(
            self._prove,
            self._address,
            self.host,
            self.port,
            Deadline(limit_seconds),
            context=self._tls,
            silence_seconds=silence_seconds,
            blocksize=_UPLOAD_BYTES,
        )
        try:
            self._connect(connection)
            try:
                yield connection
            except (AnswerProblem, OSError, http.client.HTTPException) as error:
                raise self._broken(path, error, limit_seconds, silence_seconds) from error
        finally:
            connection.close()

    def _connect(self, connection: Connection) -> None:
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise Unreachable(
                f"{self.url}: its certificate is not accepted ({error.reason or error}).",
                "Name the certificate authority in ca_file, or correct the certificate.",
            ) from error
        except socket.gaierror as error:
            raise Unreachable(
                f"{self.url}: the name {self.host} has no address ({error.strerror}).",
                "Correct the name, or use an address.",
            ) from error
        except ConnectionRefusedError as error:
            raise NothingListens(
                f"{self.url}: nothing listens on port {self.port}.",
                "Start the engine, and look at its log when it does not stay up.",
            ) from error
        except OSError as error:
            raise Unreachable(
                f"{self.url}: no connection within {CONNECT_SECONDS:.0f} s ({error}).",
                "See whether the host is up, and whether a firewall closes the port.",
            ) from error

    def _sent(
        self, connection: Connection, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        connection.request(method, self._path + path, data, {**self._headers, **kind, **headers})
        return connection.getresponse()

    def _whole(self, path: str, response: http.client.HTTPResponse) -> Answer:
        body = read_answer(response, limit_bytes=_MAX_ANSWER_BYTES, what=f"The answer of {self.url}{path}")
        return Answer(response.status, dict(response.getheaders()), body)

    def _broken(self, path: str, error: Exception, limit: float, silence: Optional[float]) -> EngineProblem:
        reason = error.reason if isinstance(error, AnswerProblem) else ""
        if isinstance(error, socket.timeout) or reason == "too-slow":
            silent = "" if silence is None else f", or not a byte for {silence:.0f} s"
            return Stalled(
                f"{self.url}{path}: not done within {limit:.0f} s{silent}.",
                "See in the engine's log what it is doing; allow more seconds when it is just slow.",
            )
        if isinstance(error, AnswerProblem) and reason == "too-long":
            return EngineProblem(error.problem, error.remedy)
        return EngineProblem(
            f"{self.url}{path}: the connection broke ({error or type(error).__name__}).",
            "The engine's log tells why; out of memory ends it most often.",
        )


class _Proven(Connection):
    """A connection that is only used when the other end was proven."""

    def __init__(self, prove: Optional[Proof], address: Optional[str], *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._prove = prove
        self._address = address

    def _dial(self, address: Tuple[str, int], *_args: Any) -> socket.socket:
        sock = super()._dial((self._address or address[0], address[1]))
        if self._prove is not None:
            try:
                self._prove(sock, self.deadline.left())
            except BaseException:
                sock.close()
                raise
        return sock


def _meaning(status: int, said: str) -> Tuple[str, str]:
    """What helps against the answers that mislead: words behind the status, and what to do."""
    if status == 401:
        return ", the endpoint wants a key", "Give it in api_key."
    if status == 403:
        return (
            ", the server does not accept this host name or origin",
            "An Ollama on loopback takes requests for local names only: use 127.0.0.1, and let a proxy before it send "
            "`Host: localhost`. Browsers' origins belong in ollama_origins.",
        )
    if status == 503:
        return ", the engine is busy", "Try again when it has less to do."
    if "operation not permitted" in said:
        return "", "From 0.21 `create` needs blobs that the server's user owns; use import: store, which does not."
    if "requires more system memory" in said or "out of memory" in said:
        return "", "Lower num_ctx or num_gpu, or choose a smaller quant."
    if "split" in said:
        return "", "Merge the shards first, with gguf_merge or gguf_download's layout merged."
    return "", "The engine's log tells more."


def _tls(ca_file: Optional[str], trust: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file, cadata=trust or None)
    except (OSError, ssl.SSLError) as error:
        raise EngineProblem(
            f"{ca_file} cannot be read as certificates ({error}).", "Give a file with certificates in PEM format."
        ) from error
