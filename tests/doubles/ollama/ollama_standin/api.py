# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the HTTP API does, apart from HTTP: requests in, answers or lines out."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional

from . import create as creation
from . import model as models
from . import options as model_options
from . import store as media
from .gguf import GgufProblem
from .gofmt import FOREVER, NANOSECONDS, time_rfc3339
from .gotemplate import TemplateProblem
from .model import Model
from .names import Name, parse_name
from .prompt import ChatTemplate
from .runner import RunnerProblem
from .scheduler import Loaded, Scheduler, TooMany
from .store import Store, StoreProblem

Json = Dict[str, Any]


class Failure(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def _not_found(name: str) -> Failure:
    return Failure(404, "model '%s' not found" % name)


class Api:
    """The server behind the routes."""

    def __init__(self, store: Store, scheduler: Scheduler, log: Callable[[str, str], None]) -> None:
        self.store = store
        self.scheduler = scheduler
        self.rules = store.rules
        self.env = scheduler.env
        self.log = log

    # -- models on disk

    def tags(self) -> Json:
        """GET /api/tags."""
        listing = models.listing(self.store)
        if self.rules.capabilities:
            listing = [dict(entry, capabilities=["completion"]) for entry in listing]
        return {"models": listing}

    def _named(self, request: Json, missing: str) -> Name:
        text = str(request.get("model") or request.get("name") or "")
        name = parse_name(text)
        if not name.valid:
            raise Failure(400, missing % text if "%s" in missing else missing)
        return self.store.existing_name(name)

    def show(self, request: Json) -> Json:
        """POST /api/show."""
        text = str(request.get("model") or request.get("name") or "")
        if not text:
            raise Failure(400, "model is required")
        if not parse_name(text).valid:
            raise Failure(
                500 if not self.rules.rewrites_files else 400,
                "invalid model path" if not self.rules.rewrites_files else creation.INVALID_NAME,
            )
        name = parse_name(text)
        model = self._model(name.short if self.rules.names_parsed_first else text, name)
        try:
            return models.show(self.store, model, bool(request.get("verbose")))
        except (OSError, GgufProblem) as problem:
            raise Failure(500, str(problem)) from problem

    def delete(self, request: Json) -> None:
        """DELETE /api/delete."""
        text = str(request.get("model") or request.get("name") or "")
        if not text and self.rules.names_parsed_first:
            raise Failure(400, "model is required")
        name = parse_name(text)
        if not name.valid:
            raise Failure(400, 'name "%s" is invalid' % text)
        try:
            manifest = self.store.manifest(self.store.existing_name(name))
        except StoreProblem as problem:
            raise (_not_found(text) if problem.missing else Failure(500, str(problem))) from problem
        try:
            self.store.remove_manifest(manifest)
            self.store.remove_unused(manifest.all_layers)
        except StoreProblem as problem:
            raise Failure(500, str(problem)) from problem

    def copy(self, request: Json) -> None:
        """POST /api/copy."""
        names = []
        for key in ("source", "destination"):
            name = parse_name(str(request.get(key) or ""))
            if not name.valid:
                raise Failure(400, '%s "%s" is invalid' % (key, request.get(key) or ""))
            names.append(self.store.existing_name(name))
        try:
            self.store.copy_manifest(*names)
        except StoreProblem as problem:
            missing = Failure(404, 'model "%s" not found' % request["source"])
            raise (missing if problem.missing else Failure(500, str(problem))) from problem

    def has_blob(self, digest: str) -> bool:
        """HEAD /api/blobs/:digest."""
        try:
            self.store.open_blob(digest).close()
        except media.BadDigest as problem:
            raise Failure(400, str(problem)) from problem
        except StoreProblem as problem:
            # A blob that is there but unreadable exists: only stat counts.
            return not problem.missing
        return True

    def write_blob(self, digest: str, chunks: Iterable[bytes]) -> None:
        """POST /api/blobs/:digest, for a blob that is not there."""
        try:
            layer = self.store.new_layer(chunks, "")
        except StoreProblem as problem:
            raise Failure(500, str(problem)) from problem
        if layer.digest != digest:
            raise Failure(400, 'digest mismatch, expected "%s", got "%s"' % (digest, layer.digest))

    def check_create(self, request: Json) -> Name:
        """The part of POST /api/create that answers before the stream starts."""
        if self.rules.file_names_checked:
            for path, digest in (request.get("files") or {}).items():
                if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
                    raise Failure(400, "file path must be relative")
                if not digest and self.rules.rewrites_files:
                    raise Failure(400, "invalid digest format")
        return self._named(request, creation.INVALID_NAME)

    def create(self, request: Json, name: Name, status: Callable[[Json], None]) -> None:
        """POST /api/create."""
        creation.create(self.store, request, name, status, self.env.no_prune)

    # -- loaded models

    def ps(self) -> Json:
        """GET /api/ps."""
        rows: List[Any] = []
        with self.scheduler.lock:
            entries = list(self.scheduler.loaded.values())
        for entry in entries:
            if not entry.ready.is_set() and not self.rules.ps_lists_loading:
                continue
            expires = entry.expires or entry.last_used + min(self.env.keep_alive, FOREVER) / NANOSECONDS
            if entry.users:
                expires = self.scheduler.expiry(entry)
            name = entry.model.name.short
            row: Json = {"name": name, "model": name, "size": entry.placed.size, "digest": entry.model.manifest.digest}
            row["details"] = models.config_details(entry.model.config)
            row.update(expires_at=time_rfc3339(expires), size_vram=entry.placed.size_vram)
            if self.rules.ps_context_length:
                row["context_length"] = entry.context
            rows.append((expires, row))
        return {"models": [row for _expires, row in sorted(rows, key=lambda pair: -pair[0])]}

    # -- generation

    def _model(self, text: str, name: Name) -> Model:
        try:
            return Model(self.store, self.store.existing_name(name))
        except StoreProblem as problem:
            raise (_not_found(text) if problem.missing else Failure(500, str(problem))) from problem
        except (ValueError, TemplateProblem) as problem:
            raise Failure(500, str(problem)) from problem

    def _keep_alive(self, request: Json) -> Optional[int]:
        try:
            return model_options.keep_alive(request.get("keep_alive"))
        except ValueError as problem:
            raise Failure(400, str(problem)) from problem

    def _acquire(self, model: Model, request: Json, gone: Callable[[], bool]) -> tuple[Loaded, Json]:
        try:
            options = model_options.merged(self.rules, [model.options, request.get("options")], self.log)
            return self.scheduler.acquire(model, options, self._keep_alive(request), gone), options
        except TooMany as problem:
            raise Failure(503, str(problem)) from problem
        except (model_options.BadOption, RunnerProblem, GgufProblem, OSError) as problem:
            raise Failure(500, str(problem)) from problem

    def generate(self, request: Json, gone: Callable[[], bool]) -> Iterator[Json]:
        """POST /api/generate: the pieces of the answer; failures before the first one raise at once."""
        text = str(request.get("model") or "")
        name = parse_name(text)
        if not name.valid:
            raise Failure(400, creation.INVALID_NAME) if text and self.rules.names_parsed_first else _not_found(text)
        model = self._model(text, name)
        prompt = str(request.get("prompt") or "")
        if not prompt and self._keep_alive(request) == 0:
            self.scheduler.expire(model)
            return iter([self._empty(text, "unload", "response")])
        raw = bool(request.get("raw"))
        if raw and (request.get("template") or request.get("system") or request.get("context")):
            raise Failure(400, "raw mode does not support template, system, or context")
        started = time.monotonic()
        entry, options = self._acquire(model, request, gone)
        if not prompt:
            self.scheduler.release(entry)
            return iter([self._empty(text, "load", "response")])
        turns: List[Json] = []
        system = request.get("system") or model.system
        if system:
            turns.append({"role": "system", "content": system})
        turns += [*model.messages, {"role": "user", "content": prompt}]
        if not raw:
            prompt = self._prompt(entry, turns, request.get("template"))
        return self._answer(entry, request, prompt, options=options, started=started, kind="response")

    def chat(self, request: Json, gone: Callable[[], bool]) -> Iterator[Json]:
        """POST /api/chat."""
        text = str(request.get("model") or "")
        name = parse_name(text)
        messages = [dict(turn) for turn in request.get("messages") or []]
        if not name.valid:
            raise Failure(400, "model is required")
        if not messages and self._keep_alive(request) == 0:
            self.scheduler.expire(self._model(text, name))
            return iter([self._empty(text, "unload", "message")])
        try:
            model = self._model(text, name)
        except Failure as failure:
            if failure.status == 404 and not self.rules.rewrites_files:
                raise Failure(404, 'model "%s" not found, try pulling it first' % text) from failure
            raise
        started = time.monotonic()
        entry, options = self._acquire(model, request, gone)
        if not messages:
            self.scheduler.release(entry)
            return iter([self._empty(text, "load", "message")])
        turns = model.messages + messages
        if messages[0].get("role") != "system" and model.system:
            turns = [{"role": "system", "content": model.system}, *turns]
        prompt = self._prompt(entry, turns, None)
        return self._answer(entry, request, prompt, options=options, started=started, kind="message")

    @staticmethod
    def _empty(name: str, reason: str, kind: str) -> Json:
        content: Any = {"role": "assistant", "content": ""} if kind == "message" else ""
        return {"model": name, "created_at": time_rfc3339(), kind: content, "done": True, "done_reason": reason}

    def _prompt(self, entry: Loaded, turns: List[Json], template: Optional[str]) -> str:
        source = template or entry.model.template
        try:
            if source is None and self.rules.rewrites_files and entry.model.read_gguf().chat_template:
                assert entry.runner is not None
                return entry.runner.apply_template(turns)
            return ChatTemplate(source or models.DEFAULT_TEMPLATE).render(turns)
        except (TemplateProblem, RunnerProblem) as problem:
            self.scheduler.release(entry)
            raise Failure(500, str(problem)) from problem

    def _answer(self, entry: Loaded, request: Json, prompt: str, **how: Any) -> Iterator[Json]:
        """The pieces, the first one fetched already: from here on the request cannot end without a release()."""
        pieces = self._pieces(entry, request, prompt, **how)
        try:
            first = next(pieces)
        except Failure as failure:
            if self.rules.early_error_sets_status:
                raise
            # Old versions say 200 before they know of the failure: it comes with the first piece.
            return map(_raise, [failure])
        return itertools.chain([first], pieces)

    def _pieces(
        self, entry: Loaded, request: Json, prompt: str, *, options: Json, started: float, kind: str
    ) -> Iterator[Json]:
        loaded = time.monotonic()
        answer: List[str] = []
        try:
            assert entry.runner is not None
            form = request.get("format")
            for piece in entry.runner.complete(prompt, model_options.generation(self.rules, options, form)):
                content = piece.get("content", "")
                answer.append(content)
                if not piece.get("stop") and not content:
                    continue
                line: Json = {"model": request["model"], "created_at": time_rfc3339()}
                line[kind] = {"role": "assistant", "content": content} if kind == "message" else content
                line["done"] = bool(piece.get("stop"))
                if piece.get("stop"):
                    line["done_reason"] = "length" if piece.get("stop_type") == "limit" else "stop"
                    if kind == "response" and not request.get("raw"):
                        line["context"] = entry.runner.tokenize(prompt + "".join(answer))
                    line.update(_metrics(piece, started, loaded))
                yield line
        except RunnerProblem as problem:
            raise Failure(500, str(problem)) from problem
        finally:
            self.scheduler.release(entry)


def _raise(failure: Failure) -> Json:
    raise failure


def _metrics(piece: Json, started: float, loaded: float) -> Json:
    timings = piece.get("timings", {})
    return {
        "total_duration": int((time.monotonic() - started) * NANOSECONDS),
        "load_duration": int((loaded - started) * NANOSECONDS),
        "prompt_eval_count": piece.get("tokens_evaluated", 0),
        "prompt_eval_duration": int(timings.get("prompt_ms", 0) * 1_000_000),
        "eval_count": piece.get("tokens_predicted", 0),
        "eval_duration": int(timings.get("predicted_ms", 0) * 1_000_000),
    }


def whole(pieces: Iterable[Json]) -> Json:
    """stream=false: the last piece with all the text."""
    text, last = [], {}  # type: List[str], Json
    for piece in pieces:
        last = piece
        text.append(piece["message"]["content"] if "message" in piece else piece["response"])
    if "message" in last:
        return dict(last, message={"role": "assistant", "content": "".join(text)})
    return dict(last, response="".join(text))


def parse_body(data: bytes) -> Json:
    """A JSON object, or the error that gin's binding gives."""
    if not data.strip():
        raise Failure(400, "missing request body")
    try:
        value = json.loads(data)
    except ValueError as problem:
        raise Failure(400, "invalid character in request body: %s" % problem) from problem
    if not isinstance(value, dict):
        raise Failure(400, "json: cannot unmarshal %s into Go value" % type(value).__name__)
    return value
