# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What a server answers to a request for a range, judged before a byte of it is used.

An HTML page, a compressed body or the wrong range is an error with a name, never data.
"""

from __future__ import annotations

import email.utils
import http.client
import re
import socket
import time
from typing import Optional

from ansible_collections.gguf.fleet.plugins.module_utils._http.deadline import Deadline, Overdue
from ansible_collections.gguf.fleet.plugins.module_utils._http.errors import SourceError, TransferError, Transient
from ansible_collections.gguf.fleet.plugins.module_utils._http.origin import shown_url

# Less than this over a whole timeout is a stall, however regularly single bytes drip.
LEAST_BYTES_PER_SECOND = 1024
# A header, or another small range that nothing can go on without, has to come a little quicker.
LEAST_BYTES_PER_SECOND_OF_SMALL = 16 * 1024

_CONTENT_RANGE = re.compile(r"bytes\s+([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)\Z")
_SECONDS = re.compile(r"[0-9]{1,9}\Z")
_RETRY_LATER = {408, 425, 429, 500, 502, 503, 504}
_BUSY = {429, 503}


class Body:
    """The bytes of one answer, from ``start`` on; ``total_bytes`` is the whole file's size when the server told it."""

    def __init__(
        self,
        response: http.client.HTTPResponse,
        *,
        url: str,
        start: int,
        length_bytes: int,
        total_bytes: Optional[int],
        whole: bool,
        deadline: Deadline,
        timeout_seconds: float,
    ) -> None:
        self._response = response
        self._deadline = deadline
        self._timeout_seconds = timeout_seconds
        self._waited_seconds = 0.0
        self._waited_bytes = 0
        self.url = url
        self.start = start
        self.length_bytes = length_bytes
        self.total_bytes = total_bytes
        self.whole = whole
        # Weak validators promise equal meaning, not equal bytes.
        etag = response.getheader("ETag")
        self.etag = etag if etag and not etag.startswith("W/") else None
        self.linked_etag = response.getheader("X-Linked-ETag")
        self._left = length_bytes
        # A chunked body needs the response's own reader; otherwise one receive goes straight into the caller's buffer,
        # returns what there is, and so loses nothing when the next one times out.
        self._receive = response.readinto if response.chunked else response.fp.readinto1

    def readinto(self, view: memoryview) -> int:
        """Receive at least one byte into the view; 0 only at the end of the body."""
        if not self._left:
            return 0
        if len(view) > self._left:
            view = view[: self._left]
        began = time.monotonic()
        self._deadline.renew(self._timeout_seconds)
        try:
            count = self._receive(view)
        except socket.timeout as error:
            raise Transient(f"{self.shown} stalled: no byte arrived in time.", reason="stall") from error
        except http.client.IncompleteRead:
            count = 0
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Transient(f"The connection to {self.shown} broke: {say(error)}.", reason="reset") from error
        if not count:
            raise Transient(
                f"{self.shown} ended {self._left} bytes early (range of {self.length_bytes} bytes at {self.start}).",
                reason="short-body",
            )
        self._left -= count
        self._judge_speed(time.monotonic() - began, count)
        return int(count)

    def _judge_speed(self, seconds: float, count: int) -> None:
        """Only the time that was spent waiting for this server counts, not what a rate limit of ours takes."""
        self._waited_seconds += seconds
        self._waited_bytes += count
        if self._waited_seconds < self._timeout_seconds:
            return
        if self._waited_bytes < LEAST_BYTES_PER_SECOND * self._waited_seconds and self._left:
            raise Transient(
                f"{self.shown} stalled: {self._waited_bytes} bytes in {self._waited_seconds:.0f} s.", reason="stall"
            )
        self._waited_seconds, self._waited_bytes = 0.0, 0

    @property
    def shown(self) -> str:
        return shown_url(self.url)

    def close(self) -> None:
        """Let the connection go: for the next request when the body was read to its end, for good otherwise."""
        self._response.close()

    @property
    def finished(self) -> bool:
        return not self._left


def judge(
    response: http.client.HTTPResponse,
    url: str,
    start: int,
    length_bytes: int,
    *,
    deadline: Deadline,
    timeout_seconds: float,
) -> Body:
    """The answer's body when it is the range that was asked for, an error that names what is wrong otherwise."""
    shown = shown_url(url)

    def body(first: int, length: int, total: Optional[int], *, whole: bool) -> Body:
        return Body(
            response,
            url=url,
            start=first,
            length_bytes=length,
            total_bytes=total,
            whole=whole,
            deadline=deadline,
            timeout_seconds=timeout_seconds,
        )

    if response.status not in (200, 206):
        raise _refusal(response, shown)
    encoding = (response.getheader("Content-Encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise SourceError(
            f"{shown} came compressed ({encoding[:40]!a}) although it was asked for as it is: a proxy changes bytes.",
            "Do not use that proxy for this address (no_proxy) or name another mirror.",
            reason="compressed",
        )
    content_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
    if content_type in ("text/html", "application/xhtml+xml"):
        raise SourceError(
            f"{shown} answered with an HTML page instead of the file, as login pages and captive portals do.",
            "Open the address in a browser to see it; set a token, or no_proxy for this host.",
            reason="html-page",
        )
    if content_type == "application/json":
        said = response.read(200).decode("utf-8", "replace")
        raise SourceError(
            f"{shown} answered with JSON instead of the file: {said}",
            "Look at what it says; a wrong path, revision or token is the usual reason.",
            reason="json-answer",
        )
    if response.status == 200:
        total = response.length
        # Without a length the body is as long as what was asked for, as far as this reader cares.
        length = start + length_bytes if total is None else total
        return body(0, length, total, whole=True)
    stated = response.getheader("Content-Range") or ""
    match = _CONTENT_RANGE.match(stated.strip())
    first, last, total = -1, -1, None
    if match:
        first, last = int(match.group(1)), int(match.group(2))
        total = None if match.group(3) == "*" else int(match.group(3))
    at_the_end = total is not None and last == total - 1
    wanted_last = start + length_bytes - 1
    if first != start or last < first or last > wanted_last or (last < wanted_last and not at_the_end):
        raise SourceError(
            f"{shown} was asked for bytes {start}-{wanted_last} and answered with "
            f"{f'range {stated[:100]!a}' if stated else 'no Content-Range at all'}.",
            "This server's ranges cannot be trusted: name another mirror.",
            reason="wrong-range",
        )
    length = last - first + 1
    if response.length is not None and response.length != length:
        raise SourceError(
            f"{shown} announces {response.length} bytes for a range of {length} bytes.",
            "This server's ranges cannot be trusted: name another mirror.",
            reason="wrong-length",
        )
    return body(first, length, total, whole=False)


def small_range_deadline(length_bytes: int, timeout_seconds: float) -> Deadline:
    """The time that a range may take which nothing can go on without."""
    return Deadline(timeout_seconds + length_bytes / LEAST_BYTES_PER_SECOND_OF_SMALL)


def read_body(body: Body, start: int, length_bytes: int, *, timeout_seconds: float) -> bytes:
    """The wanted bytes of a body, also out of one that begins at byte 0 because the server knows no ranges."""
    if start > body.start + body.length_bytes:
        raise SourceError(
            f"{body.shown} has {body.length_bytes} bytes and was asked for those from {start} on.",
            "The file there is shorter than the listing or the lock says: resolve again.",
            reason="shorter-than-listed",
        )
    skip = start - body.start
    deadline = small_range_deadline(max(skip, 0) + length_bytes, timeout_seconds)
    scratch = memoryview(bytearray(max(0, min(skip, 1 << 20))))
    wanted = min(length_bytes, body.start + body.length_bytes - start)
    data = bytearray(max(wanted, 0))
    view = memoryview(data)
    try:
        while skip > 0:
            skip -= body.readinto(scratch[: min(skip, len(scratch))])
            deadline.left()
        while view:
            view = view[body.readinto(view) :]
            deadline.left()
    except Overdue as error:
        if view:
            raise Transient(f"{body.shown} is too slow: {error}.", reason="stall") from error
    return bytes(data)


def retry_after_seconds(value: Optional[str], *, now: Optional[float] = None) -> Optional[float]:
    """Retry-After as seconds from now: a number, or a date."""
    if not value:
        return None
    if _SECONDS.match(value.strip()):
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, LookupError, OverflowError, OSError):
        return None
    return max(0.0, when - (time.time() if now is None else now))


def _refusal(response: http.client.HTTPResponse, shown: str) -> TransferError:
    status = response.status
    answered = f"{shown} answered {status} {response.reason[:200]}".rstrip() + "."
    if status in _RETRY_LATER:
        return Transient(
            answered,
            reason=f"status-{status}",
            retry_after_seconds=retry_after_seconds(response.getheader("Retry-After")),
            busy=status in _BUSY,
        )
    remedies = {
        401: ("unauthorized", "Set a token that may read this repository."),
        403: ("unauthorized", "Set a token that may read this repository; its licence may have to be accepted first."),
        404: ("not-found", "The file is not there: resolve again, or correct the mirror's address."),
        407: ("bad-proxy", "The proxy wants a user and a password: http://USER:PASSWORD@HOST:PORT."),
        410: ("not-found", "The file is gone: resolve again."),
        416: ("shorter-than-listed", "The file there is shorter than the lock says: resolve again."),
    }
    reason, remedy = remedies.get(status, (f"status-{status}", "Look at this server or name another mirror."))
    return SourceError(answered, remedy, reason=reason)


def say(error: Exception) -> str:
    return str(error) or type(error).__name__
