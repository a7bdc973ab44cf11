# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hub double with a small model in it, and gguf_resolve run for real against it."""

from __future__ import annotations

import io
import json
import subprocess
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gguf.fleet.tests.builders.gguf import (
    shard_name,
    split_set,
    tensors,
)
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble

REPO = "lab/Tiny-GGUF"
Run = Callable[..., Dict[str, Any]]


def quant_files(quant: str, count: int, items: int = 4096) -> Dict[str, bytes]:
    """The shards of a quant by their paths in the repository."""
    groups = [tensors(2, prefix=f"blk.{index}", items=items) for index in range(count)]
    stem = f"Tiny-{quant}"
    contents = split_set(groups)
    return {f"{stem}/{shard_name(index, count, stem)}": content for index, content in enumerate(contents)}


def put_files(folder: Path, files: Dict[str, bytes]) -> None:
    for path, content in files.items():
        location = folder / path
        location.parent.mkdir(parents=True, exist_ok=True)
        location.write_bytes(content)


def a_certificate(folder: Path) -> Tuple[Path, Path]:
    """A key with its certificate for localhost, and the certificate alone, which is its own authority."""
    pem, authority = folder / "hub.pem", folder / "hub.crt"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hub -addext subjectAltName=DNS:localhost"
    subprocess.run([*command.split(), "-keyout", pem, "-out", authority], check=True, capture_output=True)
    pem.write_text(pem.read_text() + authority.read_text())
    return pem, authority


@pytest.fixture(name="certificate")
def a_certificate_of_its_own(tmp_path: Path) -> Tuple[Path, Path]:
    return a_certificate(tmp_path)


@pytest.fixture(name="quants")
def two_quants() -> Dict[str, Dict[str, bytes]]:
    return {"UD-IQ1_S": quant_files("UD-IQ1_S", 3), "Q8_0": quant_files("Q8_0", 2, items=8192)}


@pytest.fixture(name="hub")
def a_hub(tmp_path: Path, quants: Dict[str, Dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    # SDKs write below HOME, and would read a user's own token and endpoint.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("MODELSCOPE_ENDPOINT", "MODELSCOPE_API_TOKEN", "HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    root = tmp_path / "hub"
    for files in quants.values():
        put_files(root / REPO, files)
    (root / REPO / "README.md").write_text("A tiny model.\n")
    with HubDouble(root) as hub:
        yield hub


def one_source(name: str = "tiny", **options: Any) -> Dict[str, Any]:
    """The options of gguf_resolve for one source, whose fields stand beside the module's own options here."""
    own: Dict[str, Any] = {key: options.pop(key) for key in ("lock_file", "update", "ca_file") if key in options}
    more: Dict[str, Any] = {key: options.pop(key) for key in ("seal", "lock", "optional") if key in options}
    return {"sources": [{"name": name, "source": options, **more}], **own}


@pytest.fixture(name="resolve_all")
def a_resolve_of_many() -> Run:
    """Run the module in this process with these options; the result has a key failed."""
    from ansible_collections.gguf.fleet.plugins.modules import gguf_resolve

    def run(check: bool = False, **options: Any) -> Dict[str, Any]:
        output = io.StringIO()
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), redirect_stdout(output), pytest.raises(SystemExit):
            gguf_resolve.main()
        lines: List[str] = output.getvalue().strip().splitlines()
        assert len(lines) == 1, "a module prints its result and nothing else"
        result: Dict[str, Any] = json.loads(lines[0])
        result.setdefault("failed", False)
        return result

    return run


@pytest.fixture(name="resolve")
def a_resolve(resolve_all: Run) -> Run:
    """The same with one source, whose lock is beside the result."""

    def run(check: bool = False, **options: Any) -> Dict[str, Any]:
        result = resolve_all(check=check, **one_source(**options))
        (lock,) = result.get("locks", {}).values() or (None,)
        return {**result, "lock": lock} if lock else result

    return run
