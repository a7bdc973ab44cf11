# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A certificate judged by a TLS handshake in memory: the key fits, the dates, the names, who signed it, what it is for.

Nothing takes a certificate apart here: OpenSSL says what it would say to a client or a server.
"""

from __future__ import annotations

import contextlib
import re
import ssl
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

SERVER, CLIENT = "server", "client"
DAY = 86400
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?\n-----END CERTIFICATE-----\n?", re.DOTALL)
# ssl.VERIFY_X509_PARTIAL_CHAIN has a name since Python 3.10.
_PARTIAL_CHAIN = 0x80000
# Both ends, in turn; a handshake takes two or three rounds.
_ROUNDS = 20


class CertificateProblem(Problem):
    """A certificate, its key or an authority cannot be used."""


@dataclass(frozen=True)
class Certificate:
    """What a handshake told. The dates are seconds since 1970; names holds DNS names and IP addresses."""

    not_before: float
    not_after: float
    names: Tuple[str, ...]

    def seconds_left(self, now: float) -> float:
        return self.not_after - now

    def is_due(self, now: float) -> bool:
        """Whether less than a third of its life is left."""
        return self.seconds_left(now) < (self.not_after - self.not_before) / 3


def certificates_of(pem: str) -> List[str]:
    """The certificates in a text, each as PEM with a line end."""
    return [match.rstrip("\n") + "\n" for match in _PEM.findall(pem.replace("\r\n", "\n"))]


def fingerprint(pem: str) -> str:
    """SHA-256 of the first certificate in a text. Raises CertificateProblem where there is none."""
    found = certificates_of(pem)
    if not found:
        raise CertificateProblem("There is no certificate in the text.", "Give a certificate in PEM.")
    try:
        return sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest()
    except ValueError as error:
        raise CertificateProblem(f"A certificate cannot be read: {error}.", "Give a certificate in PEM.") from error


def look(
    path: str,
    usage: str,
    *,
    trust: str = "",
    key: Optional[str] = None,
    passphrase: Optional[str] = None,
) -> Certificate:
    """What the certificate at `path` is, after it has proved that it can be used.

    Args:
        path: a file with the certificate, those between it and its authority, and its key unless `key` names that.
        usage: SERVER or CLIENT, what it is shown as.
        trust: certificates of the authorities that may have signed it; without, any authority may have.
        key: another file with its private key.
        passphrase: of the key.

    Raises CertificateProblem, with OpenSSL's reason; OSError where a file cannot be read.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    _load(server, path, key, passphrase)
    judge = server if usage == CLIENT else client
    if usage == CLIENT:
        _load(client, path, key, passphrase)
    judge.verify_mode = ssl.CERT_REQUIRED
    if trust:
        _trust(judge, trust, "the trusted authorities")
    else:
        _trust(judge, _own_certificate(path), path)
        judge.verify_flags |= _PARTIAL_CHAIN
    told = _handshake(server, client, path, judged_by_server=judge is server)
    return Certificate(
        not_before=ssl.cert_time_to_seconds(told["notBefore"]),
        not_after=ssl.cert_time_to_seconds(told["notAfter"]),
        names=tuple(str(name) for _kind, name in told.get("subjectAltName", ())),
    )


def missing_names(certificate: Certificate, names: Sequence[str]) -> List[str]:
    """Those of these names that it is not for; `*.` at its beginning stands for one label."""
    own = {name.lower() for name in certificate.names}

    def covered(name: str) -> bool:
        plain = name.lower()
        return plain in own or ("." in plain and f"*.{plain.partition('.')[2]}" in own)

    return [name for name in names if not covered(name)]


def _own_certificate(path: str) -> str:
    found = certificates_of(read_file(path).decode("ascii", "replace"))
    if not found:
        raise CertificateProblem(f"{path} holds no certificate.", "Give a certificate in PEM.")
    return found[0]


def _load(context: ssl.SSLContext, path: str, key: Optional[str], passphrase: Optional[str]) -> None:
    try:
        # A function, so that nobody is asked on a terminal.
        context.load_cert_chain(path, key, password=lambda: passphrase or "")
    except ssl.SSLError as error:
        text = str(error)
        if "KEY_VALUES_MISMATCH" in text or "key values mismatch" in text:
            raise CertificateProblem(
                f"The key {key or path} does not belong to the certificate {path}.",
                "Give the two that belong together.",
            ) from error
        raise CertificateProblem(
            f"{key or path} and {path} cannot be used as a key and its certificate: {error.reason or text}.",
            "Give a certificate and its private key in PEM; where the key has a passphrase, check that.",
        ) from error


def _trust(context: ssl.SSLContext, pem: str, what: str) -> None:
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise CertificateProblem(f"A certificate of {what} cannot be read: {error}.", "Give it in PEM.") from error


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, path: str, *, judged_by_server: bool) -> Dict[str, Any]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_side=False),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    try:
        for _round in range(_ROUNDS):
            for end in ends:
                with contextlib.suppress(ssl.SSLWantReadError):
                    end.do_handshake()
            told = ends[1 if judged_by_server else 0].getpeercert() if _done(ends) else None
            if told:
                return told
    except ssl.SSLCertVerificationError as error:
        raise CertificateProblem(
            f"The certificate {path} is not valid: {error.verify_message}.", "Renew or replace it."
        ) from error
    except ssl.SSLError as error:
        raise CertificateProblem(f"The certificate {path} cannot be used: {error}.", "Replace it.") from error
    raise CertificateProblem(f"The certificate {path} cannot be tried.", "Replace it.")


def _done(ends: Sequence[ssl.SSLObject]) -> bool:
    return all(end.version() is not None for end in ends)
