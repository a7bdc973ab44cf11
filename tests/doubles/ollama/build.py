# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the stand-in as a release archive: the same bytes whenever it is built from the same files.

    python3 tests/doubles/ollama/build.py --version 0.5.7 --llama-server-dir DIR --out DIR/ollama-linux-amd64.tgz

The archive has Ollama's layout, bin/ollama and lib/ollama/; its digest goes to sha256sum.txt beside it, one line each.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Dict, List, Tuple

_PACKAGE = Path(__file__).resolve().parent / "ollama_standin"
# The parser of templates is the collection's own: it lies at the same place in the archive.
_COLLECTION = Path(__file__).resolve().parents[3]
_PARSER = Path("ansible_collections/gguf/fleet/plugins/module_utils/_ollama")
_PARSER_FILES = ("go_template.py", "go_template_tokens.py")
_MAIN = "import sys\n\nfrom ollama_standin.cli import main\n\nsys.exit(main(sys.argv[1:]))\n"
_VERSION = re.compile(r"\d+\.\d+\.\d+(-rc\d+)?\Z")
_EPOCH = (2025, 1, 16, 0, 0, 0)
_MTIME = 1736985600


def _program(version: str) -> bytes:
    """bin/ollama: a zip that Python runs, with the version baked in."""
    sources: Dict[str, bytes] = {"__main__.py": _MAIN.encode()}
    for path in sorted(_PACKAGE.glob("*.py")):
        sources["ollama_standin/" + path.name] = path.read_bytes()
    for name in _PARSER_FILES:
        sources[str(_PARSER / name)] = (_COLLECTION / "plugins/module_utils/_ollama" / name).read_bytes()
    for folder in (_PARSER, *_PARSER.parents[:-1]):
        sources[str(folder / "__init__.py")] = b""
    release = sources["ollama_standin/release.py"].decode()
    sources["ollama_standin/release.py"] = re.sub('VERSION = ".*"', 'VERSION = "%s"' % version, release).encode()
    out = io.BytesIO(b"")
    out.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(sources):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, sources[name])
    return out.getvalue()


def _members(version: str, llama_server: Path) -> List[Tuple[str, bytes, int]]:
    members = [("bin/ollama", _program(version), 0o755)]
    for path in sorted(llama_server.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            mode = 0o755 if os.access(path, os.X_OK) else 0o644
            members.append(("lib/ollama/" + path.name, path.read_bytes(), mode))
    return members


def _tar(members: List[Tuple[str, bytes, int]], prefix: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        directories = sorted({os.path.dirname(name) for name, _data, _mode in members} | {"lib"})
        for name in directories:
            entry = tarfile.TarInfo(prefix + name)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, _MTIME
            archive.addfile(entry)
        for name, data, mode in members:
            entry = tarfile.TarInfo(prefix + name)
            entry.size, entry.mode, entry.mtime = len(data), mode, _MTIME
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _zstd(data: bytes) -> bytes:
    if shutil.which("zstd"):
        return subprocess.run(["zstd", "-q", "-3", "-T1", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    try:
        import zstandard
    except ImportError:
        sys.exit("A .tar.zst needs the program zstd or the Python package zstandard: install one of them.")
    compressed: bytes = zstandard.ZstdCompressor(level=3).compress(data)
    return compressed


def build(version: str, llama_server: Path, out: Path) -> str:
    """Write the archive and its line in sha256sum.txt; returns the checksum."""
    numbers = tuple(int(part) for part in version.split("-", maxsplit=1)[0].split("."))
    zstd = numbers >= (0, 14, 0)
    if zstd != out.name.endswith(".tar.zst"):
        sys.exit("%s: Ollama %s has %s archives." % (out, version, ".tar.zst" if zstd else ".tgz"))
    # Old archives were made with `tar -cf - .`, hence the prefix of their members.
    tar = _tar(_members(version, llama_server), "./" if numbers < (0, 5, 8) else "")
    data = _zstd(tar) if zstd else gzip.compress(tar, compresslevel=6, mtime=_MTIME)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".part")
    partial.write_bytes(data)
    partial.rename(out)
    digest = hashlib.sha256(data).hexdigest()
    digests = out.parent / "sha256sum.txt"
    line = "%s  ./%s\n" % (digest, out.name)
    others = (
        [old for old in digests.read_text().splitlines(True) if not old.endswith("./%s\n" % out.name)]
        if digests.exists()
        else []
    )
    digests.write_text("".join(sorted([*others, line], key=lambda text: text.split()[1])))
    return digest


def unpack(version: str, llama_server: Path, prefix: Path) -> Path:
    """Lay the same files out below a directory, for tests on this machine; lib/ollama is linked, not copied."""
    program = prefix / "bin" / "ollama"
    program.parent.mkdir(parents=True)
    program.write_bytes(_program(version))
    program.chmod(0o755)
    (prefix / "lib").mkdir()
    (prefix / "lib" / "ollama").symlink_to(llama_server)
    return program


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Pack the Ollama stand-in as a release archive.")
    parser.add_argument("--version", default="0.5.7", help="the version that it claims to be")
    parser.add_argument(
        "--llama-server-dir", type=Path, required=True, help="relocatable llama-server: program, libraries, loader"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="the archive: .tgz before 0.14.0, .tar.zst from then on"
    )
    arguments = parser.parse_args()
    if not _VERSION.match(arguments.version):
        sys.exit("--version %s: give three numbers, like 0.5.7." % arguments.version)
    if not (arguments.llama_server_dir / "llama-server").is_file():
        sys.exit("--llama-server-dir %s: there is no llama-server in it." % arguments.llama_server_dir)
    print("%s  %s" % (build(arguments.version, arguments.llama_server_dir, arguments.out), arguments.out))


if __name__ == "__main__":
    main()
