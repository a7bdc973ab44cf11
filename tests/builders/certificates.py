# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate authorities and certificates, good and bad ones, made by the library `cryptography`."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Optional, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True)
class Made:
    """certificate and key in PEM; together they are what HAProxy reads."""

    certificate: str
    key: str
    x509: x509.Certificate
    private: ec.EllipticCurvePrivateKey

    @property
    def together(self) -> str:
        return self.certificate + self.key


def authority(name: str = "authority", *, days: float = 3650, passphrase: str = "", old_days: float = 1) -> Made:
    """An authority that began `old_days` ago and ends in `days`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = _builder(subject, key, days, old_days).issuer_name(subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    signed = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    return _made(signed, key, passphrase)


def leaf(
    signer: Made,
    names: Sequence[str],
    usage: str = "server",
    *,
    days: float = 365,
    old_days: float = 1,
    common_name: Optional[str] = None,
) -> Made:
    """What `signer` signed for these names of DNS."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or names[0])])
    builder = _builder(subject, key, days, old_days).issuer_name(signer.x509.subject)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    builder = builder.add_extension(x509.ExtendedKeyUsage([USAGES[usage]]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return _made(builder.sign(signer.private, hashes.SHA256()), key, "")


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: float, old_days: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=old_days))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _made(signed: x509.Certificate, key: ec.EllipticCurvePrivateKey, passphrase: str) -> Made:
    lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        lock = serialization.BestAvailableEncryption(passphrase.encode())
    text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    return Made(signed.public_bytes(serialization.Encoding.PEM).decode(), text.decode(), signed, key)
