# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ModelScope's HTTP interface as far as its SDK reads it to list and download models."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Optional

from .catalog import Catalog, Revision, StoredFile, query_value, split_repo, tree_folders
from .faults import FaultSet
from .replies import Document, FileReply, Reply, document

# The server cuts a listing at this many entries without saying so.
LISTING_LIMIT = 3000
# An arbitrary fixed instant (2025-01-31), so that answers do not change from run to run.
CREATED_AT = 1738281600


@dataclasses.dataclass(frozen=True)
class ModelScope:
    catalog: Catalog
    faults: FaultSet

    def answer(self, parts: List[str], query: Mapping[str, List[str]]) -> Optional[Reply]:
        """The reply to a GET of the path `parts`, or None when the path is not ModelScope's."""
        if parts[:4] == ["api", "v1", "repos", "internalAccelerationInfo"]:
            return document(_success({"InternalRegionId": "", "Endpoint": ""}))
        if parts[:3] == ["api", "v1", "models"] and len(parts) >= 5:
            repo, rest = split_repo(parts[3:])
            return self._api(repo, rest, query)
        if parts[:1] == ["models"] and len(parts) >= 6 and parts[3] == "resolve":
            repo, rest = split_repo(parts[1:])
            return self._file(repo, rest[1], "/".join(rest[2:]))
        return None

    def _api(self, repo: str, rest: List[str], query: Mapping[str, List[str]]) -> Reply:
        revisions = self.catalog.revisions(repo)
        if not revisions:
            return _missing(f"record not found: {repo}")
        wanted = query_value(query, "Revision", "master")
        if not rest:
            owner, _separator, name = repo.partition("/")
            return document(_success({"Path": owner, "Name": name, "Visibility": 5}))
        if rest == ["revisions"]:
            return document(
                _success(
                    {
                        "RevisionMap": {
                            "Branches": [_revision_entry(revision) for revision in revisions if revision.is_branch],
                            "Tags": [_revision_entry(revision) for revision in revisions if not revision.is_branch],
                        }
                    }
                )
            )
        if rest == ["repo", "files"]:
            return self._listing(repo, wanted, query)
        if rest == ["repo"]:
            return self._file(repo, wanted, query_value(query, "FilePath"))
        return _missing("no such interface")

    def _listing(self, repo: str, wanted: str, query: Mapping[str, List[str]]) -> Reply:
        revision = self.catalog.revision(repo, wanted)
        if revision is None:
            return _missing(f"revision {wanted} of {repo} not found")
        root = query_value(query, "Root").strip("/")
        recursive = query_value(query, "Recursive").lower() == "true"
        files = self.catalog.files(revision)
        entries = [_folder_entry(folder, revision) for folder in tree_folders(files)]
        entries += [self._file_entry(file, revision) for file in files]
        prefix = root + "/" if root else ""
        entries = [
            entry
            for entry in entries
            if entry["Path"].startswith(prefix) and (recursive or "/" not in entry["Path"][len(prefix) :])
        ]
        for entry in list(entries):
            self._lie(entry, entries)
        return document(_success({"Files": entries[:LISTING_LIMIT]}))

    def _file_entry(self, file: StoredFile, revision: Revision) -> Dict[str, Any]:
        told = self.faults.find("no_digests", file.path) is None
        return {
            "Type": "blob",
            "Name": file.path.rpartition("/")[2],
            "Path": file.path,
            "Size": file.size_bytes,
            "Sha256": self.catalog.sha256(file.location) if told else "",
            "IsLFS": file.path.endswith(".gguf"),
            "Revision": revision.commit,
            "CommittedDate": CREATED_AT,
            "Mode": "33188",
        }

    def _lie(self, entry: Dict[str, Any], entries: List[Dict[str, Any]]) -> None:
        lie = self.faults.take("listing", entry["Path"]) if entry["Type"] == "blob" else None
        if lie is None:
            return
        if lie.omit:
            entries.remove(entry)
        entry["Size"] = entry["Size"] if lie.size_bytes is None else lie.size_bytes
        entry["Sha256"] = lie.sha256 or entry["Sha256"]
        entry["Path"] = lie.rename or entry["Path"]

    def _file(self, repo: str, wanted: str, path: str) -> Reply:
        revision = self.catalog.revision(repo, wanted)
        file = self.catalog.file(revision, path) if revision else None
        if revision is None or file is None:
            return _missing(f"{path} of {repo} at {wanted} not found")
        return FileReply(file, revision.commit)


def _success(data: Any) -> Dict[str, Any]:
    return {"Code": 200, "Success": True, "Message": "success", "RequestId": "double", "Data": data}


def _missing(message: str) -> Document:
    failure = {"Code": 10010205001, "Success": False, "Message": message, "RequestId": "double", "Data": None}
    return document(failure, 404)


def _revision_entry(revision: Revision) -> Dict[str, Any]:
    return {"Revision": revision.name, "CreatedAt": CREATED_AT}


def _folder_entry(folder: str, revision: Revision) -> Dict[str, Any]:
    return {
        "Type": "tree",
        "Name": folder.rpartition("/")[2],
        "Path": folder,
        "Size": 0,
        "Sha256": "",
        "IsLFS": False,
        "Revision": revision.commit,
        "CommittedDate": CREATED_AT,
        "Mode": "16384",
    }
