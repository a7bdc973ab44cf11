# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Bring one archive to this machine, and believe nothing before its checksum is right."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, Any, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import Connection, Deadline
from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import secrets_of, shown
from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

READ_BYTES = 1 << 20
# The answer begins within this time, and each READ_BYTES of it come within this time.
ANSWER_SECONDS = 60.0
# As long as a slow line may need for an archive of two gigabytes.
WHOLE_SECONDS = 3600.0


def sha256_of(file: IO[bytes]) -> str:
    """Of an open file, from its beginning."""
    digest = hashlib.sha256()
    file.seek(0)
    while True:
        block = file.read(READ_BYTES)
        if not block:
            return digest.hexdigest()
        digest.update(block)


def check_digest(told: str, wanted: Optional[str], what: str) -> None:
    if wanted is not None and told != wanted:
        raise InstallProblem(
            f"{what} has the wrong checksum: sha256 {told}, wanted {wanted}.",
            "Nothing was unpacked and nothing that serves was changed. Compare the pinned checksum with the official "
            "sha256sum.txt of that version; if the checksum is right, the mirror or the file is not.",
        )


def fetch(
    url: str,
    sink: IO[bytes],
    sha256: Optional[str],
    max_bytes: int,
    *,
    answer_seconds: float = ANSWER_SECONDS,
    whole_seconds: float = WHOLE_SECONDS,
) -> str:
    """Download into an open file and give its sha256; what came is not to be used when this raises."""
    name = shown(url)
    digest = hashlib.sha256()
    try:
        deadline = Deadline(answer_seconds)
        end = time.monotonic() + whole_seconds
        with _opener(deadline).open(_request(url)) as answer:
            moved = 0
            while True:
                deadline.renew(min(answer_seconds, end - time.monotonic()))
                block = answer.read(READ_BYTES)
                if not block:
                    break
                moved += len(block)
                if moved > max_bytes:
                    raise InstallProblem(
                        f"{name} is larger than {max_bytes:,} bytes.", "Check the URL; a release is not so large."
                    )
                digest.update(block)
                _write(sink, block, name)
            if answer.length:
                raise InstallProblem(
                    f"{name} ended early: {moved:,} of {moved + answer.length:,} bytes came.",
                    "Run again to fetch it again.",
                )
    except urllib.error.HTTPError as error:
        with error:
            raise InstallProblem(
                f"{name} answers {error.code} {error.reason}.",
                "Check the version and the source URL; a mirror has to carry this version and architecture.",
            ) from None
    except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, OSError, ValueError) as error:
        reason = str(getattr(error, "reason", None) or error)
        if isinstance(error, (http.client.InvalidURL, ValueError)) and not isinstance(error, OSError):
            # Such a message holds the piece of the URL that is wrong, which may be of a password.
            reason = "it is no valid URL, or its answer is no valid one"
        for secret in secrets_of(url):
            reason = reason.replace(secret, "***")
        raise InstallProblem(
            f"{name} cannot be fetched: {reason}.",
            "Check the network or proxy of this host, or give the archive as a file of the controller.",
        ) from None
    check_digest(digest.hexdigest(), sha256, name)
    return digest.hexdigest()


def _request(url: str) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(
        urllib.parse.urlunsplit(parts._replace(netloc=host)),
        headers={"User-Agent": "gguf.fleet", "Accept-Encoding": "identity"},
    )
    if at:
        # Not for the host of a redirect.
        plain = urllib.parse.unquote_to_bytes(user)
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(plain).decode("ascii"))
    return request


def _opener(deadline: Deadline) -> urllib.request.OpenerDirector:
    """HTTP and HTTPS by the proxies of the environment; no other scheme, redirects included."""
    opener = urllib.request.OpenerDirector()
    handlers = (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Http(deadline),
    )
    for handler in handlers:
        opener.add_handler(handler)
    return opener


class _Http(urllib.request.AbstractHTTPHandler):
    """Connections that obey the deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._plain, request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._secure, request)

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        return self.do_request_(request)

    https_request = http_request

    def _plain(self, host: str, **_options: Any) -> Connection:
        return Connection(*_address(host, http.client.HTTP_PORT), self._deadline)

    def _secure(self, host: str, **_options: Any) -> Connection:
        context = ssl.create_default_context()
        return Connection(*_address(host, http.client.HTTPS_PORT), self._deadline, context=context)


def _address(host: str, port: int) -> Tuple[str, int]:
    parts = urllib.parse.urlsplit(f"//{host}")
    return parts.hostname or "", parts.port or port


def _write(sink: IO[bytes], block: bytes, name: str) -> None:
    """A full disk is no fault of the network."""
    try:
        sink.write(block)
        sink.flush()
    except OSError as error:
        raise InstallProblem(
            f"{name} cannot be written to the disk: {os.strerror(error.errno or 0)}.",
            "Look at the disk (df, mount) and run again; nothing that serves was changed.",
        ) from error
