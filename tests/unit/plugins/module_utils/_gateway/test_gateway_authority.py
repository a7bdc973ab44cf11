# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway import authority
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.authority import CURRENT, NEXT, OLD, Member
from ansible_collections.gguf.fleet.plugins.module_utils._gateway.certificate import CertificateProblem, fingerprint
from ansible_collections.gguf.fleet.tests.builders.certificates import Made
from ansible_collections.gguf.fleet.tests.builders.certificates import authority as made_authority

WORD = "a passphrase"
FIRST, SECOND = made_authority("first", passphrase=WORD), made_authority("second", passphrase=WORD)
MEMBERS = ["gateway-01", "gpu-01", "gpu-02"]


def put(folder: Path, name: str, made: Made) -> None:
    (folder / f"{name}.pem").write_text(made.certificate)
    (folder / f"{name}.key").write_text(made.key)


def print_of(made: Made) -> str:
    return fingerprint(made.certificate)


def load(folder: Path) -> authority.Authority:
    return authority.load(str(folder), WORD)


def settled(folder: Path, seen: dict[str, Member]) -> str:
    """What a run does at its end; the step that it made."""
    after = authority.noted(load(folder), seen, MEMBERS)
    step = authority.next_step(after, MEMBERS)
    authority.save_members(after)
    authority.make_step(after, step)
    return step


def test_there_is_none_at_first_and_one_is_to_be_made(tmp_path: Path) -> None:
    found = load(tmp_path / "missing")
    assert found.trust == ""
    assert authority.to_make(found, time.time()) == CURRENT


def test_a_passphrase_is_made_once_and_everything_stays_out_of_git(tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    assert authority.prepare(str(folder), own_passphrase=True)
    word = (folder / authority.PASSPHRASE).read_text()
    assert not authority.prepare(str(folder), own_passphrase=True)
    assert (folder / authority.PASSPHRASE).read_text() == word
    assert len(word) > 40
    assert stat.S_IMODE((folder / authority.PASSPHRASE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert "*" in (folder / ".gitignore").read_text().split("\n")
    assert not authority.prepare(str(tmp_path / "given"), own_passphrase=False)
    assert not (tmp_path / "given" / authority.PASSPHRASE).exists()


def test_nothing_is_due_while_two_thirds_of_its_life_are_not_over(tmp_path: Path) -> None:
    put(tmp_path, CURRENT, FIRST)
    assert authority.to_make(load(tmp_path), time.time()) == ""
    assert authority.to_make(load(tmp_path), time.time() + 7 * 365 * 86400) == NEXT
    assert authority.to_make(load(tmp_path), time.time(), renew=True) == NEXT


def test_everybody_trusts_both_before_the_new_one_signs_and_the_old_one_goes_last(tmp_path: Path) -> None:
    put(tmp_path, CURRENT, FIRST)
    old = Member((print_of(FIRST),), (print_of(FIRST),))
    assert settled(tmp_path, dict.fromkeys(MEMBERS, old)) == ""
    put(tmp_path, NEXT, SECOND)
    assert load(tmp_path).trust == FIRST.certificate + SECOND.certificate
    assert authority.to_make(load(tmp_path), time.time(), renew=True) == ""
    both = Member(load(tmp_path).trusted, (print_of(FIRST),))
    # A run with --limit reaches two of three: the old one signs on.
    assert settled(tmp_path, {"gateway-01": both, "gpu-01": both}) == ""
    assert load(tmp_path).current == FIRST.certificate
    assert settled(tmp_path, {"gpu-02": both}) == NEXT
    changed = load(tmp_path)
    assert (changed.current, changed.coming, changed.old) == (SECOND.certificate, "", FIRST.certificate)
    assert set(changed.trusted) == set(both.trusts)
    new = Member(changed.trusted, (print_of(SECOND),))
    assert settled(tmp_path, {"gateway-01": new, "gpu-01": new}) == ""
    assert settled(tmp_path, {"gpu-02": new}) == OLD
    assert load(tmp_path).trust == SECOND.certificate
    assert authority.to_make(load(tmp_path), time.time()) == ""


def test_a_host_that_left_the_inventory_holds_up_no_change(tmp_path: Path) -> None:
    put(tmp_path, CURRENT, FIRST)
    put(tmp_path, NEXT, SECOND)
    seen = {"gone": Member((print_of(FIRST),), (print_of(FIRST),))}
    both = Member(load(tmp_path).trusted, (print_of(FIRST),))
    after = authority.noted(load(tmp_path), {**seen, **dict.fromkeys(MEMBERS, both)}, MEMBERS)
    assert authority.next_step(after, MEMBERS) == NEXT
    assert "gone" not in after.members


def test_a_member_that_was_never_seen_holds_up_the_change(tmp_path: Path) -> None:
    put(tmp_path, CURRENT, FIRST)
    put(tmp_path, NEXT, SECOND)
    both = Member(load(tmp_path).trusted, (print_of(FIRST),))
    assert authority.next_step(authority.noted(load(tmp_path), {"gpu-01": both}, MEMBERS), MEMBERS) == ""


def test_a_change_that_was_killed_between_its_files_is_ended(tmp_path: Path) -> None:
    put(tmp_path, CURRENT, FIRST)
    put(tmp_path, NEXT, SECOND)
    (tmp_path / f"{OLD}.pem").write_text(FIRST.certificate)
    (tmp_path / f"{NEXT}.key").replace(tmp_path / f"{CURRENT}.key")
    found = load(tmp_path)
    assert (found.current, found.coming, found.old) == (SECOND.certificate, "", FIRST.certificate)


def test_one_that_was_killed_before_is_as_before(tmp_path: Path) -> None:
    put(tmp_path, CURRENT, FIRST)
    put(tmp_path, NEXT, SECOND)
    (tmp_path / f"{OLD}.pem").write_text(FIRST.certificate)
    found = load(tmp_path)
    assert (found.current, found.coming, found.old) == (FIRST.certificate, SECOND.certificate, "")


def test_a_passphrase_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    put(tmp_path, CURRENT, FIRST)
    with pytest.raises(CertificateProblem, match="passphrase in gateway_ca_passphrase does not open"):
        authority.load(str(tmp_path), "another one")
    with pytest.raises(CertificateProblem, match="needs a passphrase, and there is none"):
        authority.load(str(tmp_path), None)
    (tmp_path / authority.PASSPHRASE).write_text("wrong")
    with pytest.raises(CertificateProblem, match=r"passphrase in .*ca\.passphrase does not open"):
        authority.load(str(tmp_path), None)


def test_an_authority_without_its_key_is_refused(tmp_path: Path) -> None:
    put(tmp_path, CURRENT, FIRST)
    (tmp_path / f"{CURRENT}.key").unlink()
    with pytest.raises(CertificateProblem, match="key of the certificate authority is missing"):
        load(tmp_path)


def test_a_file_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    put(tmp_path, CURRENT, FIRST)
    (tmp_path / authority.MEMBERS).write_text("[]")
    with pytest.raises(CertificateProblem, match="is not what this collection writes"):
        load(tmp_path)
