# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""HTTP to an endpoint: status, headers and lines, none of them longer or later than it can rightly be.

Loading 200 GB takes its time, and so does a slow answer; both have limits that an endpoint cannot move.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import (
    CONNECT_SECONDS,
    AnswerProblem,
    Connection,
    Deadline,
    read_answer,
    read_lines,
)
from ansible_collections.gguf.fleet.plugins.module_utils._http.json_answer import as_text, decode_json
from ansible_collections.gguf.fleet.plugins.module_utils._verify.problem import EndpointProblem, NotThere

# For all that an engine answers out of its memory.
_ASK_SECONDS = 300.0
_MAX_ANSWER_BYTES = 4 * 2**20
_MAX_LINE_BYTES = 2**20
_DEFAULT_PORTS = {"http": 80, "https": 443}


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


class Endpoint:
    """The base address of an engine."""

    def __init__(
        self, url: str, *, silence_seconds: float, api_key: Optional[str] = None, ca_file: Optional[str] = None
    ) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == -1:
            raise EndpointProblem(
                f"'{url}' is not the address of an endpoint.", "Give one such as http://127.0.0.1:11434."
            )
        self.url = url.rstrip("/")
        self._host = parts.hostname
        self._port = port or _DEFAULT_PORTS[parts.scheme]
        self._path = parts.path.rstrip("/")
        self._silence_seconds = silence_seconds
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._tls = _tls(ca_file) if parts.scheme == "https" else None

    def _connect(self, limit_seconds: float) -> Connection:
        """A connection for one exchange, which has to end within the limit."""
        connection = Connection(
            self._host, self._port, Deadline(limit_seconds), context=self._tls, silence_seconds=self._silence_seconds
        )
        try:
            connection.connect()
        except ssl.SSLError as error:
            raise EndpointProblem(
                f"{self.url}: its certificate is not accepted ({error.reason or error}).",
                "Name the certificate authority in ca_file, or correct the certificate.",
            ) from error
        except socket.gaierror as error:
            raise EndpointProblem(
                f"{self.url}: the name {self._host} has no address ({error.strerror}).",
                "Correct the name, or use an address.",
            ) from error
        except ConnectionRefusedError as error:
            raise NotThere(
                f"{self.url}: nothing listens on port {self._port}.",
                "Start the engine, and look at its log when it does not stay up.",
            ) from error
        except (socket.timeout, OSError) as error:
            raise EndpointProblem(
                f"{self.url}: no connection within {CONNECT_SECONDS:.0f} s ({error}).",
                "See whether the host is up, and whether a firewall closes the port.",
            ) from error
        return connection

    def _open(
        self, connection: Connection, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        connection.request(method, self._path + path, data, {**self._headers, **kind, **headers})
        return connection.getresponse()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
        *,
        limit_seconds: Optional[float] = None,
    ) -> Answer:
        """One request and its whole answer, whatever its status."""
        limit = limit_seconds or min(_ASK_SECONDS, self._silence_seconds)
        connection = self._connect(limit)
        try:
            return self._whole(path, self._open(connection, method, path, body, headers or {}))
        except (AnswerProblem, OSError, http.client.HTTPException) as error:
            raise self._broken(path, error, limit) from error
        finally:
            connection.close()

    def lines(self, path: str, body: Dict[str, Any], *, limit_seconds: float, limit_bytes: int) -> Iterator[bytes]:
        """The lines of a streamed answer, as they come. An answer that is none raises."""
        connection = self._connect(limit_seconds)
        try:
            response = self._open(connection, "POST", path, body, {})
            if response.status != 200:
                raise self.refusal(path, self._whole(path, response))
            what = f"The answer of {self.url}{path}"
            for line in read_lines(response, line_bytes=_MAX_LINE_BYTES, limit_bytes=limit_bytes, what=what):
                if line.strip():
                    yield line.strip()
        except (AnswerProblem, OSError, http.client.HTTPException) as error:
            raise self._broken(path, error, limit_seconds) from error
        finally:
            connection.close()

    def _whole(self, path: str, response: http.client.HTTPResponse) -> Answer:
        body = read_answer(response, limit_bytes=_MAX_ANSWER_BYTES, what=f"The answer of {self.url}{path}")
        return Answer(response.status, dict(response.getheaders()), body)

    def _broken(self, path: str, error: Exception, limit_seconds: float) -> EndpointProblem:
        reason = error.reason if isinstance(error, AnswerProblem) else ""
        if isinstance(error, socket.timeout) or reason == "too-slow":
            return EndpointProblem(
                f"{self.url}{path}: not done within {limit_seconds:.0f} s, "
                f"or not a byte for {self._silence_seconds:.0f} s.",
                "See in the engine's log whether the model is still being loaded; raise timeout_seconds when it is.",
            )
        if isinstance(error, AnswerProblem) and reason == "too-long":
            return EndpointProblem(error.problem, error.remedy)
        return EndpointProblem(
            f"{self.url}{path}: the connection broke ({error or type(error).__name__}).",
            "The engine's log tells why; out of memory ends it most often.",
        )

    def refusal(self, path: str, answer: Answer) -> EndpointProblem:
        """What an answer other than 200 means."""
        told = reason(answer)
        where = f"{self.url}{path}: HTTP {answer.status}"
        if answer.status == 401:
            return EndpointProblem(f"{where}, the endpoint wants a key ({told}).", "Give it in api_key.")
        if answer.status == 403:
            return EndpointProblem(
                f"{where}, the server does not accept this host name or origin ({told}).",
                "A proxy in front of an Ollama on loopback must send `Host: localhost`; browsers' origins belong in "
                "ollama_origins.",
            )
        if answer.status == 503:
            return EndpointProblem(f"{where}, the engine is busy ({told}).", "Try again when it has less to do.")
        return EndpointProblem(f"{where}: {told}.", "The engine's log tells more.")


def reason(answer: Answer) -> str:
    """What an engine says in an error, without the dress."""
    told = answer.json()
    error = told.get("error") if isinstance(told, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    text = as_text(error) or answer.body[:2000].decode("utf-8", "replace").strip()
    return text[:500].rstrip(".") or "no reason told"


def _tls(ca_file: Optional[str]) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise EndpointProblem(
            f"{ca_file} cannot be read as certificates ({error}).", "Give a file with certificates in PEM format."
        ) from error
