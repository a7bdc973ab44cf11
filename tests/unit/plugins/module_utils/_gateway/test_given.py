# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate that the operator gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.certificate import CertificateProblem
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.given import given_certificate
from ansible_collections.gguf.fleet.tests.builders.certificates import Made, authority, leaf

NAME = "llm.example.com"
SIGNER = authority()


def given(folder: Path, made: Made, key: str = "") -> str:
    """key: of another one; otherwise that of `made`."""
    (folder / "chain.pem").write_text(made.certificate + SIGNER.certificate)
    (folder / "key.pem").write_text(key or made.key)
    return given_certificate(str(folder / "chain.pem"), str(folder / "key.pem"), NAME)


def test_a_good_one_goes_to_the_gateway_whole_and_with_its_key(tmp_path: Path) -> None:
    made = leaf(SIGNER, [NAME])
    assert given(tmp_path, made) == made.certificate + SIGNER.certificate + made.key
    (tmp_path / "both.pem").write_text(made.together)
    assert given_certificate(str(tmp_path / "both.pem"), "", NAME) == made.together


def test_one_that_cannot_be_used_is_refused_before_it_goes_anywhere(tmp_path: Path) -> None:
    good = leaf(SIGNER, [NAME])
    with pytest.raises(CertificateProblem, match="does not belong to"):
        given(tmp_path, good, key=leaf(SIGNER, [NAME]).key)
    with pytest.raises(CertificateProblem, match="expired"):
        given(tmp_path, leaf(SIGNER, [NAME], days=-1, old_days=9))
    with pytest.raises(CertificateProblem, match=r"is for other\.example\.com, not for llm\.example\.com"):
        given(tmp_path, leaf(SIGNER, ["other.example.com"]))
    (tmp_path / "alone.pem").write_text(good.certificate)
    with pytest.raises(CertificateProblem, match="cannot be used as a key and its certificate"):
        given_certificate(str(tmp_path / "alone.pem"), "", NAME)
