# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store on disk: blobs/sha256-<hex>, manifests/<host>/<namespace>/<model>/<tag>, and prune at start."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import time
from typing import Any, BinaryIO, Callable, Dict, Iterable, List, NamedTuple, Optional

from . import gojson
from .epochs import Epochs
from .gofmt import os_error
from .names import Name, existing_name

MODEL = "application/vnd.ollama.image.model"
ADAPTER = "application/vnd.ollama.image.adapter"
PROJECTOR = "application/vnd.ollama.image.projector"
TEMPLATE = "application/vnd.ollama.image.template"
SYSTEM = "application/vnd.ollama.image.system"
PARAMS = "application/vnd.ollama.image.params"
MESSAGES = "application/vnd.ollama.image.messages"
LICENSE = "application/vnd.ollama.image.license"
CONFIG = "application/vnd.docker.container.image.v1+json"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}\Z")
_GRACE_SECONDS = 3600


class StoreProblem(Exception):
    """A failure on disk, worded as Go words it."""

    def __init__(self, text: str, *, missing: bool = False) -> None:
        super().__init__(text)
        self.missing = missing


class BadDigest(StoreProblem):
    """Not `sha256:` and 64 hex digits."""

    def __init__(self) -> None:
        super().__init__("invalid digest format")


class Layer(NamedTuple):
    """A layer of a manifest; `status` is the stream line that announces it."""

    media_type: str
    digest: str
    size: int
    source: str = ""
    status: str = ""

    def as_json(self) -> Dict[str, Any]:
        """The layer as the manifest holds it."""
        entry: Dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.source:
            entry["from"] = self.source
        return entry


class Manifest(NamedTuple):
    """A manifest as read."""

    config: Optional[Layer]
    layers: List[Layer]
    digest: str
    modified: float
    path: str

    @property
    def all_layers(self) -> List[Layer]:
        """Layers and config."""
        return self.layers + ([self.config] if self.config else [])

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(layer.size for layer in self.all_layers)


def _layer(entry: Dict[str, Any]) -> Layer:
    return Layer(
        str(entry.get("mediaType", "")), str(entry.get("digest", "")), int(entry.get("size", 0)), entry.get("from", "")
    )


class Store:
    """The models directory of one server."""

    def __init__(self, root: str, rules: Epochs, log: Callable[[str, str], None]) -> None:
        self.root = root
        self.rules = rules
        self.log = log

    # -- paths

    def _directory(self, name: str) -> str:
        path = os.path.join(self.root, name)
        try:
            os.makedirs(path, mode=0o755, exist_ok=True)
        except OSError as problem:
            hint = ": ensure path elements are traversable" if self.rules.rewrites_files else ""
            raise StoreProblem(os_error("mkdir", str(problem.filename or path), problem) + hint) from problem
        return path

    @property
    def blobs(self) -> str:
        """blobs/, made when it is missing."""
        return self._directory("blobs")

    @property
    def manifests_path(self) -> str:
        """manifests/, made when it is missing."""
        return self._directory("manifests")

    def blob_path(self, digest: str) -> str:
        """Where a blob lies."""
        if not _DIGEST.match(digest):
            raise BadDigest()
        return os.path.join(self.blobs, digest.replace(":", "-"))

    # -- layers

    def _touch(self, path: str) -> None:
        if self.rules.blobs_touched:
            now = time.time()
            try:
                # An explicit time needs ownership of the file, unlike "now": this is os.Chtimes.
                os.utime(path, (now, now))
            except OSError as problem:
                raise StoreProblem(os_error("chtimes", path, problem)) from problem

    def new_layer(self, chunks: Iterable[bytes], media_type: str) -> Layer:
        """Write a blob; an equal one that is there already stays."""
        try:
            handle, temp = tempfile.mkstemp(prefix="sha256-", dir=self.blobs)
        except OSError as problem:
            raise StoreProblem(os_error("open", os.path.join(self.blobs, "sha256-"), problem)) from problem
        try:
            digest, size = hashlib.sha256(), 0
            with os.fdopen(handle, "wb") as stream:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    stream.write(chunk)
            name = "sha256:" + digest.hexdigest()
            path = self.blob_path(name)
            status = "using existing layer"
            if not os.path.exists(path):
                status = "creating new layer"
                os.rename(temp, path)
                os.chmod(path, 0o644)
            self._touch(path)
        except OSError as problem:
            raise StoreProblem(os_error("write", temp, problem)) from problem
        finally:
            if os.path.exists(temp):
                os.unlink(temp)
        return Layer(media_type, name, size, "", "%s %s" % (status, name))

    def layer_from_blob(self, digest: str, media_type: str, source: str) -> Layer:
        """A layer over a blob that is there."""
        path = self.blob_path(digest)
        try:
            size = os.stat(path).st_size
        except OSError as problem:
            raise StoreProblem(os_error("stat", path, problem)) from problem
        self._touch(path)
        return Layer(media_type, digest, size, source, "using existing layer %s" % digest)

    def open_blob(self, digest: str) -> BinaryIO:
        """A blob for reading."""
        path = self.blob_path(digest)
        try:
            return open(path, "rb")
        except OSError as problem:
            raise StoreProblem(
                os_error("open", path, problem), missing=isinstance(problem, FileNotFoundError)
            ) from problem

    def read_blob(self, digest: str) -> bytes:
        """A small blob's bytes."""
        with self.open_blob(digest) as stream:
            return stream.read()

    # -- manifests

    def manifest(self, name: Name) -> Manifest:
        """The manifest of a name."""
        path = os.path.join(self.manifests_path, name.path)
        try:
            with open(path, "rb") as stream:
                data, modified = stream.read(), os.fstat(stream.fileno()).st_mtime
        except OSError as problem:
            missing = isinstance(problem, (FileNotFoundError, NotADirectoryError))
            raise StoreProblem(os_error("open", path, problem), missing=missing) from problem
        try:
            # The digest covers what Go's decoder has read: the value and the line end after it.
            content, _end = json.JSONDecoder().raw_decode(data.decode("utf-8"))
            config = content.get("config") or {}
            layers = [_layer(entry) for entry in content.get("layers") or []]
        except (ValueError, AttributeError, TypeError) as problem:
            text = "unexpected end of JSON input" if not data else "invalid character in manifest: %s" % problem
            raise StoreProblem(text if data else "EOF") from problem
        digest = hashlib.sha256(data).hexdigest()
        return Manifest(_layer(config) if config.get("digest") else None, layers, digest, modified, path)

    def manifests(self, keep_going: bool = True) -> Dict[Name, Manifest]:
        """All manifests; a corrupt one is skipped with a warning, or raises when asked to."""
        found: Dict[Name, Manifest] = {}
        base = self.manifests_path
        for path in sorted(_four_deep(base)):
            relative = os.path.relpath(path, base)
            name = Name(*relative.split(os.sep))
            if not name.valid:
                if not keep_going:
                    raise StoreProblem("%s <nil>" % relative)
                self.log("WARN", 'msg="bad manifest name" path=%s' % relative)
                continue
            try:
                found[name] = self.manifest(name)
            except StoreProblem as problem:
                if not keep_going:
                    raise StoreProblem("%s %s" % (name, problem)) from problem
                self.log("WARN", 'msg="bad manifest" name=%s error="%s"' % (name, problem))
        return found

    def existing_name(self, name: Name) -> Name:
        """The spelling in use."""
        return existing_name(name, self.manifests())

    def write_manifest(self, name: Name, config: Layer, layers: List[Layer]) -> None:
        """Write it in place, as the real server does: not atomically."""
        path = os.path.join(self.manifests_path, name.path)
        content = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": config.as_json(),
            "layers": [layer.as_json() for layer in layers] or None,
        }
        try:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(gojson.dumps(content) + "\n")
        except OSError as problem:
            raise StoreProblem(os_error("open", str(problem.filename or path), problem)) from problem

    def copy_manifest(self, source: Name, target: Name) -> None:
        """`ollama cp`."""
        if source.path == target.path:
            return
        old = os.path.join(self.manifests_path, source.path)
        new = os.path.join(self.manifests_path, target.path)
        try:
            os.makedirs(os.path.dirname(new), mode=0o755, exist_ok=True)
            with open(old, "rb") as stream:
                data = stream.read()
            with open(new, "wb") as stream:
                stream.write(data)
        except OSError as problem:
            missing = isinstance(problem, FileNotFoundError)
            raise StoreProblem(os_error("open", str(problem.filename or new), problem), missing=missing) from problem

    def remove_manifest(self, manifest: Manifest) -> None:
        """Remove the file and the directories that it leaves empty."""
        try:
            os.unlink(manifest.path)
        except OSError as problem:
            raise StoreProblem(os_error("remove", manifest.path, problem)) from problem
        prune_directory(self.manifests_path)

    def remove_unused(self, layers: Iterable[Layer]) -> None:
        """Remove the blobs of these layers that no manifest names any more."""
        used = {layer.digest for manifest in self.manifests().values() for layer in manifest.all_layers}
        for layer in layers:
            if layer.digest and layer.digest not in used:
                path = self.blob_path(layer.digest)
                try:
                    os.unlink(path)
                except FileNotFoundError:
                    continue
                except OSError as problem:
                    raise StoreProblem(os_error("remove", path, problem)) from problem

    # -- start

    def fix_blobs(self) -> None:
        """Very old stores have a colon in the names."""
        for entry in os.scandir(self.blobs):
            if entry.name.startswith("sha256:"):
                os.rename(entry.path, os.path.join(self.blobs, entry.name.replace(":", "-")))

    def prune(self) -> None:
        """At start: everything in blobs/ that no manifest names goes, unless a manifest is corrupt."""
        try:
            self.manifests(keep_going=False)
        except StoreProblem as problem:
            text = "corrupt manifests detected, skipping prune operation.  Re-pull or delete to clear"
            self.log("WARN", 'msg="%s" error="%s"' % (text, problem))
            return
        used = {layer.digest for manifest in self.manifests().values() for layer in manifest.all_layers}
        total = removed = 0
        for entry in sorted(os.scandir(self.blobs), key=lambda item: item.name):
            if self.rules.blobs_touched:
                fresh = time.time() - entry.stat(follow_symlinks=False).st_mtime < _GRACE_SECONDS
                if entry.is_dir(follow_symlinks=False) or fresh:
                    continue
            valid = bool(_DIGEST.match(entry.name.replace("-", ":")))
            total += valid
            if valid and entry.name.replace("-", ":") in used:
                continue
            try:
                os.rmdir(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
                removed += valid
            except OSError as problem:
                self.log("ERROR", 'msg="couldn\'t remove blob" blob=%s error="%s"' % (entry.name, problem))
        self.log("INFO", 'msg="total blobs: %d"' % total)
        self.log("INFO", 'msg="total unused blobs removed: %d"' % removed)
        prune_directory(self.manifests_path)


def _four_deep(base: str) -> Iterable[str]:
    level = [base]
    for _depth in range(4):
        level = [entry.path for path in level if os.path.isdir(path) for entry in os.scandir(path)]
    return [path for path in level if not os.path.isdir(path)]


def prune_directory(path: str) -> None:
    """Remove empty directories, the given one included."""
    if os.path.islink(path) or not os.path.isdir(path):
        return
    for entry in list(os.scandir(path)):
        prune_directory(entry.path)
    if not os.listdir(path):
        os.rmdir(path)
