# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""POST /api/create: from files that were uploaded as blobs, or from a model that is there."""

from __future__ import annotations

import json
import os
import re
import tempfile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from . import gguf as gguf_file
from . import gojson
from . import store as media
from .gofmt import human_number, os_error
from .gotemplate import TemplateProblem
from .names import Name, parse_name
from .prompt import ChatTemplate
from .store import Layer, Store, StoreProblem

INVALID_NAME = "invalid model name"
_SPLIT_NAME = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf\Z")
_CHATML = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
_CHATML_LOOP = "'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'"


class Refused(Exception):
    """An error of the stream, with the status that it has where one can still be sent."""

    def __init__(self, text: str, status: int = 500) -> None:
        super().__init__(text)
        self.status = status


class Base(NamedTuple):
    """A layer of the model that is being made, with the header where it has one."""

    layer: Layer
    header: Optional[gguf_file.Gguf]
    from_file: bool = False
    parts: Tuple[Layer, ...] = ()


Status = Callable[[Dict[str, Any]], None]


def create(store: Store, request: Dict[str, Any], name: Name, status: Status, no_prune: bool) -> None:
    """Make the model; every line of the stream but the last goes through `status`."""
    try:
        old = store.manifest(name)
    except StoreProblem:
        old = None
    try:
        if request.get("from"):
            bases, inherited = _from_model(store, str(request["from"]))
        elif request.get("files") is not None:
            bases, inherited = _from_files(store, request["files"], status), {}
        else:
            raise Refused("neither 'from' or 'files' was specified", 400)
        _write(store, request, name, bases=bases, inherited=inherited, status=status)
        if old is not None and not no_prune:
            store.remove_unused(old.all_layers)
    except (StoreProblem, gguf_file.GgufProblem) as problem:
        raise Refused(str(problem)) from problem


def _from_model(store: Store, source: str) -> Tuple[List[Base], Dict[str, Any]]:
    name = parse_name(source)
    if not name.valid:
        raise Refused(INVALID_NAME, 400)
    try:
        manifest = store.manifest(name)
    except StoreProblem as problem:
        if problem.missing:
            # The real server now tries to pull it; the stand-in knows no registry.
            raise Refused("pull model manifest: file does not exist") from problem
        raise
    bases = []
    for entry in manifest.layers:
        layer = store.layer_from_blob(entry.digest, entry.media_type, name.short)
        weights = entry.media_type in (media.MODEL, media.PROJECTOR, media.ADAPTER)
        bases.append(Base(layer, gguf_file.decode_file(store.blob_path(entry.digest)) if weights else None))
    config = json.loads(store.read_blob(manifest.config.digest)) if manifest.config else {}
    return bases, {key: config[key] for key in ("renderer", "parser", "requires") if config.get(key)}


def _from_files(store: Store, files: Dict[str, str], status: Status) -> List[Base]:
    if _file_type(store, files) != "gguf":
        raise Refused("unknown type", 400)
    bases: List[Base] = []
    for file_name in sorted(files):
        bases += _gguf_layers(store, file_name, files[file_name], status)
    if store.rules.rewrites_files:
        bases = _merge_splits(bases)
    for base in list(bases):
        if base.header is not None and _CHATML_LOOP in base.header.chat_template.replace("\\n", "\n"):
            template = store.new_layer([_CHATML.encode()], media.TEMPLATE)
            bases.append(Base(template._replace(status="using autodetected template chatml"), None))
            stop = gojson.dumps({"stop": ["<|im_start|>", "<|im_end|>"]}) + "\n"
            bases.append(Base(store.new_layer([stop.encode()], media.PARAMS), None))
    return bases


def _file_type(store: Store, files: Dict[str, str]) -> str:
    for file_name, digest in files.items():
        if file_name.endswith(".gguf"):
            return "gguf"
        if file_name.endswith(".safetensors"):
            raise Refused("the stand-in does not convert safetensors")
        try:
            with store.open_blob(digest) as stream:
                if stream.read(4) == b"GGUF":
                    return "gguf"
        except StoreProblem:
            return ""
    return ""


def _gguf_layers(store: Store, file_name: str, digest: str, status: Status) -> List[Base]:
    status({"status": "parsing GGUF"})
    path = store.blob_path(digest)
    with store.open_blob(digest) as stream:
        size = os.fstat(stream.fileno()).st_size
        if stream.read(4) != b"GGUF":
            raise Refused("supplied file was not in GGUF format", 400)
        stream.seek(0)
        header = gguf_file.decode(stream, size)
        if store.rules.tensors_bounded:
            gguf_file.check_bounds(header, size)
        if store.rules.one_gguf_per_file or header.end == size:
            source = file_name if store.rules.rewrites_files else path
            return [Base(store.layer_from_blob(digest, _media_type(header), source), header, True)]
        # Old versions copy [0, end) and take what follows for the next model: bytes after the tensors are an error.
        stream.seek(0)
        layer = store.new_layer(_chunks(stream, min(header.end, size)), _media_type(header))
        if header.end < size:
            stream.seek(header.end)
            gguf_file.decode(stream, size)
        return [Base(layer, header, True)]


def _media_type(header: gguf_file.Gguf) -> str:
    kind = header.kv.get("general.type")
    return media.ADAPTER if kind == "adapter" else media.PROJECTOR if kind in ("projector", "mmproj") else media.MODEL


def _chunks(stream: Any, count: int) -> Iterator[bytes]:
    while count > 0:
        data = stream.read(min(count, 1 << 20))
        if not data:
            return
        count -= len(data)
        yield data


def _merge_splits(bases: List[Base]) -> List[Base]:
    """From 0.30 on the shards of a split set become one layer; a lone shard is refused."""
    kept: List[Base] = []
    groups: Dict[Any, List[Base]] = {}
    for base in bases:
        header, name = base.header, base.layer.source
        count = int(header.kv.get("split.count") or 0) if header else 0
        if header is None or count <= 1:
            kept.append(base)
            continue
        match = _SPLIT_NAME.match(os.path.basename(name))
        if match is None or not int(match.group(2)) or not int(match.group(3)):
            raise Refused('split GGUF "%s" must use llama.cpp split filename pattern' % name)
        if int(match.group(3)) != count:
            text = 'split GGUF "%s" filename count %d does not match metadata count %d'
            raise Refused(text % (name, int(match.group(3)), count))
        if "split.no" not in header.kv:
            raise Refused('split GGUF "%s" is missing split.no metadata' % name)
        index = int(match.group(2)) - 1
        if header.kv["split.no"] != index:
            text = 'split GGUF "%s" filename index %d does not match metadata index %d'
            raise Refused(text % (name, index, header.kv["split.no"]))
        groups.setdefault((match.group(1), count), []).append(base)
    for (_prefix, count), shards in groups.items():
        if len(shards) != count:
            raise Refused('split GGUF "%s" has %d shards, expected %d' % (shards[0].layer.source, len(shards), count))
        ordered = sorted(shards, key=lambda shard: int(shard.header.kv["split.no"]) if shard.header else 0)
        kept.append(ordered[0]._replace(parts=tuple(shard.layer for shard in ordered)))
    return kept


def _rewritten(store: Store, base: Base, status: Status) -> Base:
    """The pass through `llama-quantize COPY`: a new file, a new digest, the input stays until the next prune."""
    header = base.header
    assert header is not None
    if any(tensor.name.startswith(("a.", "mm.", "mtp.", "s.", "v.")) for tensor in header.tensors):
        return base
    paths = [store.blob_path(part.digest) for part in base.parts or (base.layer,)]
    total, done = base.layer.size, 0
    weights = max(1, sum(tensor.size for tensor in header.tensors))

    def progress(count: int) -> None:
        nonlocal done
        done += count
        line = {"status": "validating GGUF model", "digest": "0" * 19, "total": total}
        status(dict(line, completed=min(total, total * done // weights)))

    try:
        handle, temp = tempfile.mkstemp(prefix="COPY", dir=store.blobs)
    except OSError as problem:
        raise StoreProblem(os_error("open", os.path.join(store.blobs, "COPY"), problem)) from problem
    try:
        with os.fdopen(handle, "wb") as out:
            gguf_file.rewrite(paths, out, progress)
        status({"status": "verifying conversion"})
        with open(temp, "rb") as stream:
            layer = store.new_layer(_chunks(stream, os.path.getsize(temp)), base.layer.media_type)
        return Base(layer, gguf_file.decode_file(temp))
    except gguf_file.GgufProblem as problem:
        text = "failed to validate GGUF with llama-quantize without compatibility patches: %s" % problem
        raise Refused(text) from problem
    except OSError as problem:
        raise StoreProblem(os_error("write", temp, problem)) from problem
    finally:
        os.unlink(temp)


def _without(store: Store, layers: List[Layer], media_type: str) -> List[Layer]:
    """The layers but those of one type; their blobs go at once when no manifest names them."""
    store.remove_unused(layer for layer in layers if layer.media_type == media_type)
    return [layer for layer in layers if layer.media_type != media_type]


def _merged_parameters(store: Store, layers: List[Layer], parameters: Dict[str, Any]) -> Dict[str, Any]:
    merged = dict(parameters)
    for layer in layers:
        if layer.media_type == media.PARAMS:
            for key, value in (json.loads(store.read_blob(layer.digest)) or {}).items():
                merged.setdefault(key, value)
    return merged


def _licenses(value: Any) -> List[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise Refused("json: cannot unmarshal %s into Go value of type []string" % type(value).__name__)


def _write(
    store: Store, request: Dict[str, Any], name: Name, *, bases: List[Base], inherited: Dict[str, Any], status: Status
) -> None:
    rules = store.rules
    config: Dict[str, Any] = {
        "model_format": "",
        "model_family": "",
        "model_families": None,
        "model_type": "",
        "file_type": "",
    }
    layers: List[Layer] = []
    for source in bases:
        rewrite = rules.rewrites_files and source.from_file and source.layer.media_type == media.MODEL
        base = _rewritten(store, source, status) if rewrite else source
        header = base.header
        if header is not None and (base.layer.media_type == media.MODEL or not rules.rewrites_files):
            config["model_format"] = config["model_format"] or "gguf"
            config["model_family"] = config["model_family"] or header.architecture
            config["model_type"] = config["model_type"] or human_number(header.parameter_count)
            config["file_type"] = config["file_type"] or header.file_type
            config["model_families"] = (config["model_families"] or []) + [header.architecture]
        layers.append(base.layer)
    if request.get("template"):
        layers = _without(store, layers, media.TEMPLATE)
        try:
            ChatTemplate(request["template"])
        except TemplateProblem as problem:
            raise Refused("template error: %s" % problem, 400) from problem
        layers.append(store.new_layer([request["template"].encode()], media.TEMPLATE))
    if request.get("system"):
        layers = [*_without(store, layers, media.SYSTEM), store.new_layer([request["system"].encode()], media.SYSTEM)]
    if request.get("license") is not None:
        layers += [store.new_layer([text.encode()], media.LICENSE) for text in _licenses(request["license"])]
    parameters = _merged_parameters(store, layers, request.get("parameters") or {})
    if parameters:
        text = gojson.dumps(parameters, sort_keys=True) + "\n"
        layers = [*_without(store, layers, media.PARAMS), store.new_layer([text.encode()], media.PARAMS)]
    if request.get("messages"):
        turns = [{"role": turn.get("role", ""), "content": turn.get("content", "")} for turn in request["messages"]]
        text = gojson.dumps(turns) + "\n"
        layers = [*_without(store, layers, media.MESSAGES), store.new_layer([text.encode()], media.MESSAGES)]
    if rules.renderer_commands:
        keys = ("renderer", "parser") + (("requires",) if rules.requires_command else ())
        config.update({key: value for key in keys for value in [request.get(key) or inherited.get(key)] if value})
    config.update(architecture="amd64", os="linux")
    if rules.rootfs:
        config["rootfs"] = {"type": "layers", "diff_ids": [layer.digest for layer in layers]}
    config_layer = store.new_layer([(gojson.dumps(config) + "\n").encode()], media.CONFIG)
    for layer in layers:
        if layer.status:
            status({"status": layer.status})
    status({"status": "writing manifest"})
    store.write_manifest(name, config_layer, layers)
