# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of a gateway's clients."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gateway.keys import KeyProblem, keys_of

KEY = "k" * 40
DIGEST = sha256(KEY.encode()).hexdigest()


def test_a_missing_key_is_made_once_in_a_private_file(tmp_path: Path) -> None:
    folder = tmp_path / ".gguf-fleet" / "gateway-keys"
    planned = keys_of([{"name": "chat"}], str(folder), make=False)
    assert (planned.digests, planned.made) == ({}, (str(folder / "chat.key"),))
    assert not folder.exists()
    first = keys_of([{"name": "chat"}], str(folder), make=True)
    key = (folder / "chat.key").read_text().strip()
    assert first.digests == {"chat": sha256(key.encode()).hexdigest()}
    assert len(key) > 40
    assert ((folder / "chat.key").stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    again = keys_of([{"name": "chat"}, {"name": "other"}], str(folder), make=True)
    assert again.digests["chat"] == first.digests["chat"] != again.digests["other"]
    assert again.made == (str(folder / "other.key"),)


def test_a_given_key_makes_no_file(tmp_path: Path) -> None:
    found = keys_of(
        [{"name": "a", "key": KEY}, {"name": "b", "key_sha256": DIGEST.upper()}], str(tmp_path / "x"), make=True
    )
    assert (dict(found.digests), found.made, found.files) == ({"a": DIGEST, "b": DIGEST}, (), {})
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("content", "mode", "words"), [(KEY, 0o640, "can be read by other users"), ("short", 0o600, "no key of 32")]
)
def test_a_file_that_is_no_good_key_is_refused(tmp_path: Path, content: str, mode: int, words: str) -> None:
    (tmp_path / "chat.key").write_text(content)
    (tmp_path / "chat.key").chmod(mode)
    with pytest.raises(KeyProblem, match=words) as error:
        keys_of([{"name": "chat"}], str(tmp_path), make=True)
    assert content not in str(error.value)
