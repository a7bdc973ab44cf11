# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hugging Face's HTTP interface as far as huggingface_hub reads it to list and download models (without Xet)."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any, Dict, List, Mapping, Optional

from .catalog import Catalog, StoredFile, query_value, split_repo, tree_folders
from .faults import FaultSet
from .replies import Document, FileReply, Reply, document


@dataclasses.dataclass(frozen=True)
class HuggingFace:
    catalog: Catalog
    faults: FaultSet

    def answer(self, parts: List[str], query: Mapping[str, List[str]]) -> Optional[Reply]:
        """The reply to a GET of the path `parts`, or None when the path is not Hugging Face's."""
        if parts == ["api", "agent-harnesses"]:
            return document({"standardEnvVars": [], "harnesses": {}})
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            repo, rest = split_repo(parts[2:])
            return self._api(repo, rest, query)
        if len(parts) >= 5 and parts[2] == "resolve":
            repo, rest = split_repo(parts)
            return self._file(repo, rest[1], "/".join(rest[2:]))
        return None

    def _api(self, repo: str, rest: List[str], query: Mapping[str, List[str]]) -> Reply:
        if not self.catalog.revisions(repo):
            return _missing("RepoNotFound", "Repository not found")
        if not rest or rest[0] == "revision":
            return self._info(repo, rest[1] if len(rest) > 1 else "main")
        if rest[0] == "tree":
            return self._tree(repo, rest[1], "/".join(rest[2:]), query_value(query, "recursive").lower() == "true")
        return _missing("EntryNotFound", "No such interface")

    def _info(self, repo: str, wanted: str) -> Reply:
        revision = self.catalog.revision(repo, wanted)
        if revision is None:
            return _missing("RevisionNotFound", f"Invalid rev id: {wanted}")
        siblings = [{"rfilename": file.path} for file in self.catalog.files(revision)]
        return document(
            {
                "id": repo,
                "modelId": repo,
                "sha": revision.commit,
                "private": False,
                "gated": False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": siblings,
                "lastModified": "2025-01-31T00:00:00.000Z",
            }
        )

    def _tree(self, repo: str, wanted: str, root: str, recursive: bool) -> Reply:
        revision = self.catalog.revision(repo, wanted)
        if revision is None:
            return _missing("RevisionNotFound", f"Invalid rev id: {wanted}")
        files = self.catalog.files(revision)
        entries: List[Dict[str, Any]] = [
            {"type": "directory", "oid": hashlib.sha1(folder.encode()).hexdigest(), "size": 0, "path": folder}
            for folder in tree_folders(files)
        ]
        entries += [entry for entry in map(self._entry, files) if entry is not None]
        prefix = root + "/" if root else ""
        entries = [
            entry
            for entry in entries
            if entry["path"].startswith(prefix) and (recursive or "/" not in entry["path"][len(prefix) :])
        ]
        return document(entries)

    def _entry(self, file: StoredFile) -> Optional[Dict[str, Any]]:
        digest = self.catalog.sha256(file.location)
        size_bytes, path = file.size_bytes, file.path
        lie = self.faults.take("listing", file.path)
        if lie is not None:
            if lie.omit:
                return None
            size_bytes = size_bytes if lie.size_bytes is None else lie.size_bytes
            digest, path = lie.sha256 or digest, lie.rename or path
        entry: Dict[str, Any] = {"type": "file", "oid": digest[:40], "size": size_bytes, "path": path}
        if file.path.endswith(".gguf") and self.faults.find("no_digests", file.path) is None:
            entry["lfs"] = {"oid": digest, "size": size_bytes, "pointerSize": 135}
        return entry

    def _file(self, repo: str, wanted: str, path: str) -> Reply:
        revision = self.catalog.revision(repo, wanted)
        if revision is None:
            known = bool(self.catalog.revisions(repo))
            return _missing("RevisionNotFound" if known else "RepoNotFound", f"{repo} at {wanted} not found")
        file = self.catalog.file(revision, path)
        return FileReply(file, revision.commit) if file else _missing("EntryNotFound", "Entry not found")


def _missing(code: str, message: str) -> Document:
    return document({"error": message}, 404, X_Error_Code=code, X_Error_Message=message)
