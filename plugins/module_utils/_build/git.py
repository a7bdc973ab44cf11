# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A repository as an archive, made on the controller: a tag looked up, its commit fetched, and nothing checked out."""

from __future__ import annotations

import hashlib
import os
from typing import List, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._build.pins import COMMIT
from ansible_collections.gguf.fleet.plugins.module_utils._build.problem import BuildProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import Directory
from ansible_collections.gguf.fleet.plugins.module_utils._files.lock import wait_for_turn
from ansible_collections.gguf.fleet.plugins.module_utils._http.shown import secrets_of, shown
from ansible_collections.gguf.fleet.plugins.module_utils._process.bounded import Ended, ProcessProblem, run_bounded
from ansible_collections.gguf.fleet.plugins.module_utils._process.programs import find_program
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines, printable

_LOOK_SECONDS = 120.0
_FETCH_SECONDS = 1800.0


def commit_of(url: str, tag: str) -> str:
    """The commit that a tag is now. Raises BuildProblem for one that is not there."""
    answer = _git(["ls-remote", "--", _checked(url), f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}"], url, _LOOK_SECONDS)
    found = {}
    for line in lines(answer.stdout.decode("utf-8", "replace")):
        commit, _tab, name = line.partition("\t")
        found[name] = commit
    # The second is the commit behind a tag that is an object of its own.
    commit = found.get(f"refs/tags/{tag}^{{}}") or found.get(f"refs/tags/{tag}", "")
    if not COMMIT.match(commit):
        raise BuildProblem(
            f"{shown(url)} has no tag {tag}.", "Name one that is there in llama_cpp_version. Nothing was changed."
        )
    return commit


def archive(url: str, tag: str, commit: str, folder: str) -> str:
    """The path of the commit's tree as a .tar.gz below `folder`, fetched where it is not there yet.

    Raises BuildProblem, also where the tag is another commit by now.
    """
    path = os.path.join(folder, f"{commit}.tar.gz")
    if os.path.isfile(path):
        return path
    repository = os.path.join(folder, hashlib.sha256(url.encode()).hexdigest()[:16] + ".git")
    with Directory.open(folder, make=True) as directory:
        wait_for_turn(directory)
        if os.path.isfile(path):
            return path
        _git(["init", "--quiet", "--bare", "--", repository], url, _LOOK_SECONDS)
        inside = ["-C", repository, "-c", "gc.auto=0"]
        _git([*inside, "fetch", "--quiet", "--depth=1", "--no-tags", "--", _checked(url), f"refs/tags/{tag}"], url)
        now = _git([*inside, "rev-parse", "--verify", "FETCH_HEAD^{commit}"], url).stdout.decode().strip()
        if now != commit:
            raise BuildProblem(
                f"the tag {tag} of {shown(url)} has moved: it is {printable(now, limit=80)}, and {commit} is pinned.",
                "Find out why it moved. If the new one is right, remove its line from llama_cpp_sources_file. "
                "Nothing was changed.",
            )
        new = f"{path}.new"
        _git([*inside, "archive", "--format=tar.gz", "--prefix=source/", f"--output={new}", commit], url)
        os.rename(os.path.basename(new), os.path.basename(path), src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
    return path


def _checked(url: str) -> str:
    if url.startswith("-") or "::" in url or any(character.isspace() for character in url):
        raise BuildProblem(
            f"{shown(url)!r} is not the URL of a git repository.", "Write it as git clone takes it, without options."
        )
    return url


def _git(
    arguments: Sequence[str], url: str, seconds: float = _FETCH_SECONDS, more: Optional[Mapping[str, str]] = None
) -> Ended:
    program = find_program("git")
    if program is None:
        raise BuildProblem(
            "the controller has no git, which the source is fetched with.",
            "Install git there, or give an archive in llama_cpp_source_archive.",
        )
    # Nobody is there to answer, and a repository chooses no program.
    own = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "https:http:ssh:git:file", "LC_ALL": "C", **(more or {})}
    argv: List[str] = [program, *arguments]
    try:
        ended = run_bounded(argv, seconds=seconds, limit_bytes=1 << 22, environment={**os.environ, **own})
    except ProcessProblem as error:
        raise BuildProblem(f"git does not fetch {shown(url)}: {error.problem}", error.remedy) from error
    if ended.code != 0:
        said = " ".join((ended.stderr or ended.stdout).decode("utf-8", "replace").split())[-300:]
        for secret in secrets_of(url):
            said = said.replace(secret, "***")
        raise BuildProblem(
            f"git does not get {shown(url)}: {printable(said) or f'exit {ended.code}'}.",
            "Check the URL, the tag and the network of the controller. Nothing was changed.",
        )
    return ended
