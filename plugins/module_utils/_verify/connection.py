# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""HTTP to an endpoint: status, headers and lines. Time-outs are silences, not totals: loading 200 GB takes its time."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any, Dict, Iterator, Mapping, Optional
from urllib.parse import urlsplit

from ansible_collections.gguf.fleet.plugins.module_utils._verify.problem import EndpointProblem, NotThere

_CONNECT_SECONDS = 10.0
_MAX_ANSWER_BYTES = 16 * 2**20
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
            return json.loads(self.body)
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

    def _connect(self) -> http.client.HTTPConnection:
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=_CONNECT_SECONDS, context=self._tls)
            if self._tls
            else http.client.HTTPConnection(self._host, self._port, timeout=_CONNECT_SECONDS)
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
                f"{self.url}: no connection within {_CONNECT_SECONDS:.0f} s ({error}).",
                "See whether the host is up, and whether a firewall closes the port.",
            ) from error
        connection.sock.settimeout(self._silence_seconds)
        return connection

    def _open(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data is not None else {}
        connection.request(method, self._path + path, data, {**self._headers, **kind, **headers})
        return connection.getresponse()

    def ask(self, method: str, path: str, body: Any = None, headers: Optional[Mapping[str, str]] = None) -> Answer:
        """One request and its whole answer, whatever its status."""
        connection = self._connect()
        try:
            response = self._open(connection, method, path, body, headers or {})
            return Answer(response.status, dict(response.getheaders()), response.read(_MAX_ANSWER_BYTES))
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(path, error) from error
        finally:
            connection.close()

    def lines(self, path: str, body: Dict[str, Any]) -> Iterator[bytes]:
        """The lines of a streamed answer, as they come. An answer that is none raises."""
        connection = self._connect()
        try:
            response = self._open(connection, "POST", path, body, {})
            if response.status != 200:
                answer = Answer(response.status, dict(response.getheaders()), response.read(_MAX_ANSWER_BYTES))
                raise self.refusal(path, answer)
            for line in response:
                if line.strip():
                    yield line.strip()
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(path, error) from error
        finally:
            connection.close()

    def _broken(self, path: str, error: Exception) -> EndpointProblem:
        if isinstance(error, socket.timeout):
            return EndpointProblem(
                f"{self.url}{path}: not a byte for {self._silence_seconds:.0f} s.",
                "See in the engine's log whether the model is still being loaded; raise timeout_seconds when it is.",
            )
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
    text = str(error) if error else answer.body.decode("utf-8", "replace").strip()
    return text[:500].rstrip(".") or "no reason told"


def _tls(ca_file: Optional[str]) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise EndpointProblem(
            f"{ca_file} cannot be read as certificates ({error}).", "Give a file with certificates in PEM format."
        ) from error
