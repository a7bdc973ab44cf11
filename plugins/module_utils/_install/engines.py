# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""What makes an archive a release of an engine: the program that it must hold, and what that says of itself."""

from __future__ import annotations

import glob
import os
import re
import subprocess
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._install.problem import InstallProblem

VERSION_SECONDS = 60.0


@dataclass(frozen=True)
class Engine:
    """One engine's releases: the program in bin/, and how it tells its version."""

    name: str
    title: str
    program: str
    # Tried in this order; the first that matches is the version of this very program.
    version_patterns: Tuple[str, ...]
    # Told by programs that were built by hand and know no version.
    unversioned: Tuple[str, ...]
    # The environment for --version, so that a running server cannot answer in the program's place.
    environment: Tuple[Tuple[str, str], ...]
    # Older and newer archives name the directory of the programs differently.
    program_directories: Tuple[str, ...]


ENGINES: Dict[str, Engine] = {
    "ollama": Engine(
        name="ollama",
        title="Ollama",
        program="ollama",
        version_patterns=(r"client version is (\S+)", r"ollama version is (\S+)"),
        unversioned=("0.0.0",),
        environment=(("OLLAMA_HOST", "127.0.0.1:1"),),
        program_directories=("bin",),
    ),
    "llama_cpp": Engine(
        name="llama_cpp",
        title="llama.cpp",
        program="llama-server",
        # Today: "version: 0.7.0 (build 11669, commit …)"; until 2026: "version: 4610 (53debe6f)".
        version_patterns=(r"^version: \S+ \(build (\d+)", r"^version: (\d+) \("),
        unversioned=("0", "1"),
        environment=(),
        # Zip archives had build/bin, today's tar archives have llama-<tag>.
        program_directories=("bin", "build/bin", "llama-*", "."),
    ),
}


def release_number(engine: Engine, version: str) -> str:
    """The version as the program says it: llama.cpp's tags carry a b before the build number."""
    return version[1:] if engine.name == "llama_cpp" and version.startswith("b") else version


def _program_directory(engine: Engine, tree: str) -> Optional[str]:
    for pattern in engine.program_directories:
        for directory in sorted(glob.glob(os.path.join(glob.escape(tree), pattern))):
            program = os.path.join(directory, engine.program)
            if os.path.isfile(program) and os.path.realpath(program).startswith(os.path.realpath(tree) + os.sep):
                return directory
    return None


def arrange(engine: Engine, tree: str, source: str) -> None:
    """Bring an unpacked archive into the shape bin/<program>; refuse one that holds no such program."""
    directory = _program_directory(engine, tree)
    if directory is None:
        held = _first_names(tree)
        raise InstallProblem(
            f"{source} is not an archive of {engine.title}: it has no {engine.program_directories[0]}/{engine.program} "
            f"(it holds {held}).",
            f"Give the {engine.title} archive for Linux and this architecture; nothing that serves was changed.",
        )
    wanted = os.path.join(tree, "bin")
    if directory == wanted:
        return
    if os.path.realpath(directory) == os.path.realpath(tree):
        names = os.listdir(tree)
        os.mkdir(wanted, 0o755)
        for name in names:
            os.rename(os.path.join(tree, name), os.path.join(wanted, name))
    else:
        os.rename(directory, wanted)


def add(engine: Engine, tree: str, extra: str) -> None:
    """Put an add-on (rocm, jetpack, cudart) over the release. llama.cpp's add-ons lie beside the programs."""
    into = os.path.join(tree, "bin") if engine.name == "llama_cpp" else tree
    for directory, _names, files in os.walk(extra):
        below = "" if engine.name == "llama_cpp" else os.path.relpath(directory, extra)
        os.makedirs(os.path.join(into, below), 0o755, exist_ok=True)
        for name in files:
            os.replace(os.path.join(directory, name), os.path.join(into, below, name))
        for name in [name for name in _names if os.path.islink(os.path.join(directory, name))]:
            os.replace(os.path.join(directory, name), os.path.join(into, below, name))


def _first_names(tree: str) -> str:
    names: List[str] = []
    for directory, _directories, files in os.walk(tree):
        names += [os.path.relpath(os.path.join(directory, name), tree) for name in sorted(files)]
        if len(names) > 5:
            break
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "") if names else "nothing"


def told_version(engine: Engine, text: str) -> Optional[str]:
    for pattern in engine.version_patterns:
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            return found.group(1)
    return None


def ask_version(engine: Engine, program: str) -> str:
    """Run the program's --version; what it says, or why it does not run here."""
    environment = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "LC_ALL": "C", **dict(engine.environment)}
    try:
        answer = subprocess.run(
            [program, "--version"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VERSION_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InstallProblem(
            f"{program} --version gave no answer within {VERSION_SECONDS:.0f} s.", "The release does not run here."
        ) from error
    except OSError as error:
        if os.path.exists(program) and os.statvfs(program).f_flag & os.ST_NOEXEC:
            raise InstallProblem(
                f"{program} does not run on this host, for its file system is mounted noexec.",
                "Mount a file system that runs programs there.",
            ) from error
        raise InstallProblem(
            f"{program} does not run on this host ({os.uname().machine}): {error.strerror}.",
            "Give the archive for this host's architecture and C library.",
        ) from error
    text = answer.stdout.decode("utf-8", "replace")
    version = told_version(engine, text)
    if version is None:
        said = " ".join(text.split())[:300] or f"nothing (exit {answer.returncode})"
        raise InstallProblem(
            f"{program} --version does not tell a version of {engine.title}; it says: {said}.",
            f"This is not a release of {engine.title} that runs on this host; nothing that serves was changed.",
        )
    return version


def prove(engine: Engine, tree: str, version: str) -> str:
    """The unpacked release answers --version, and it is the one that was asked for."""
    told = ask_version(engine, os.path.join(tree, "bin", engine.program))
    if told != release_number(engine, version) and told not in engine.unversioned:
        raise InstallProblem(
            f"the archive holds {engine.title} {told}, and {version} was asked for.",
            "Name the version that the archive has, or give the archive of the version.",
        )
    return told
