# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway import certificate
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.certificate import CLIENT, SERVER, CertificateProblem
from ansible_collections.gguf.fleet.tests.builders.certificates import Made, authority, leaf

OURS, OTHER = authority("ours"), authority("other")
NAME = "gpu-01.door.gguf-fleet.internal"


def written(folder: Path, made: Made, name: str = "one.pem") -> str:
    path = folder / name
    path.write_text(made.together)
    return str(path)


@pytest.mark.parametrize("usage", [SERVER, CLIENT])
def test_a_certificate_of_ours_tells_its_names_and_dates(tmp_path: Path, usage: str) -> None:
    told = certificate.look(written(tmp_path, leaf(OURS, [NAME, "b.example"], usage)), usage, trust=OURS.certificate)
    assert told.names == (NAME, "b.example")
    assert 364 < told.seconds_left(time.time()) / certificate.DAY <= 365
    assert not told.is_due(time.time())


def test_less_than_a_third_of_its_life_is_due(tmp_path: Path) -> None:
    old = leaf(OURS, [NAME], days=100, old_days=265)
    assert certificate.look(written(tmp_path, old), SERVER, trust=OURS.certificate).is_due(time.time())


@pytest.mark.parametrize(
    ("made", "usage", "reason"),
    [
        (leaf(OTHER, [NAME]), SERVER, "unable to get local issuer certificate"),
        (leaf(OURS, [NAME], days=-1, old_days=3), SERVER, "certificate has expired"),
        (leaf(OURS, [NAME], old_days=-1), SERVER, "certificate is not yet valid"),
        (leaf(OURS, [NAME], "client"), SERVER, "purpose"),
        (leaf(OURS, [NAME], "server"), CLIENT, "purpose"),
        (leaf(OTHER, [NAME], "client"), CLIENT, "unable to get local issuer certificate"),
    ],
)
def test_what_does_not_hold_is_told_with_its_reason(tmp_path: Path, made: Made, usage: str, reason: str) -> None:
    with pytest.raises(CertificateProblem, match=reason):
        certificate.look(written(tmp_path, made), usage, trust=OURS.certificate)


def test_the_key_has_to_belong_to_it(tmp_path: Path) -> None:
    one, other = leaf(OURS, [NAME]), leaf(OURS, [NAME])
    (tmp_path / "cert.pem").write_text(one.certificate)
    (tmp_path / "key.pem").write_text(other.key)
    with pytest.raises(CertificateProblem, match="does not belong"):
        certificate.look(str(tmp_path / "cert.pem"), SERVER, key=str(tmp_path / "key.pem"))


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text(leaf(OURS, [NAME]).certificate)
    with pytest.raises(CertificateProblem, match="cannot be used as a key"):
        certificate.look(str(tmp_path / "cert.pem"), SERVER)


def test_a_given_one_may_be_signed_by_anybody_but_has_to_hold(tmp_path: Path) -> None:
    good = written(tmp_path, leaf(OTHER, ["llm.example.com"]))
    assert certificate.look(good, SERVER).names == ("llm.example.com",)
    with pytest.raises(CertificateProblem, match="has expired"):
        certificate.look(written(tmp_path, leaf(OTHER, ["llm.example.com"], days=-1, old_days=9), "old.pem"), SERVER)


def test_names_that_it_is_not_for_are_told(tmp_path: Path) -> None:
    told = certificate.look(written(tmp_path, leaf(OURS, ["llm.example.com", "*.lab.example"])), SERVER)
    names = ["LLM.example.com", "a.lab.example", "a.b.lab.example", "example.com", "lab.example"]
    assert certificate.missing_names(told, names) == ["a.b.lab.example", "example.com", "lab.example"]


def test_several_certificates_of_a_text_are_told_apart() -> None:
    both = f"a comment\n{OURS.certificate}{OTHER.certificate}"
    assert certificate.certificates_of(both) == [OURS.certificate, OTHER.certificate]
    assert certificate.fingerprint(both) == certificate.fingerprint(OURS.certificate)
    with pytest.raises(CertificateProblem, match="no certificate"):
        certificate.fingerprint("nothing")
