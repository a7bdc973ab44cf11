# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A certificate that the operator gives, on the controller: judged before it goes to a gateway."""

from __future__ import annotations

from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.certificate import (
    SERVER,
    CertificateProblem,
    look,
    missing_names,
)


def given_certificate(path: str, key: str, name: str) -> str:
    """The certificate and those between it and its authority, with its key, as HAProxy reads them.

    Args:
        path: of the certificate, in PEM.
        key: of its private key, without a passphrase; empty where it is in the same file.
        name: by which clients reach the gateway.

    Raises:
        CertificateProblem: for a key that does not belong to it, one that ended, and one for other names. OSError.
    """
    found = look(path, SERVER, key=key or None)
    if missing_names(found, [name]):
        raise CertificateProblem(
            f"The certificate {path} is for {', '.join(found.names) or 'no name'}, not for {name}.",
            "Give one for gateway_name, or change gateway_name.",
        )
    text = read_file(path).decode("utf-8", "replace").rstrip("\n") + "\n"
    return text + read_file(key).decode("utf-8", "replace") if key else text
