# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of what the service user may have written into a store: any bytes are a manifest that we
would write in the same sense, or a plain refusal; and no config or parameters of a base end a run in anything else.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import process_time

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._engine.names import NameProblem, parse_name
    from ansible_collections.gguf.fleet.plugins.module_utils._ollama import manifest as manifests
    from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
    from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import parse_version, rules_for
    from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control
    from ansible_collections.gguf.fleet.tests.fuzz.json_changes import changed_json

MAX_SECONDS = 2
DIGEST = "sha256:" + "a" * 64
LAYER = {"mediaType": manifests.MODEL, "digest": DIGEST, "size": 100, "from": "/models/blobs/sha256-a"}
PARAMS = {"mediaType": manifests.PARAMS, "digest": "sha256:" + "b" * 64, "size": 10}
CONFIG_LAYER = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": DIGEST, "size": 3}
MANIFEST = {"schemaVersion": 2, "config": CONFIG_LAYER, "layers": [LAYER, PARAMS]}
CONFIG = {
    "model_format": "gguf", "model_family": "llama", "model_families": ["llama"], "model_type": "1B",
    "file_type": "F16", "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
}  # fmt: skip
PARAMETERS = {"stop": ["<a>"], "num_ctx": 4096, "temperature": 0.6}
SETTINGS = manifests.Settings(system="s", parameters={"seed": 1})
RULES = [rules_for(parse_version(version)) for version in ("0.5.7", "0.33.2")]


def one_input(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    started = process_time()
    kind = given.ConsumeIntInRange(0, 3)
    if kind == 0:
        check_manifest(changed_json(given, MANIFEST))
    elif kind == 1:
        check_base(changed_json(given, CONFIG), json.dumps(PARAMETERS).encode())
    elif kind == 2:
        check_base(json.dumps(CONFIG).encode(), changed_json(given, PARAMETERS))
    else:
        check_name(given.ConsumeUnicode(given.ConsumeIntInRange(0, 40)))
    seconds = process_time() - started
    if seconds > MAX_SECONDS:
        raise AssertionError(f"{len(data)} bytes took {seconds:.1f} s")


def check_manifest(data: bytes) -> None:
    try:
        manifest = manifests.parse_manifest(data, "manifests/a")
    except manifests.ManifestProblem as problem:
        assert problem.problem and not has_control(problem.problem)
        return
    assert manifest.size_bytes >= 0
    # What is no Unicode becomes a question mark once, as in the server.
    written = manifest.encode()
    assert manifests.parse_manifest(written, "again").encode() == written
    manifests.described(manifest, lambda _digest: data)


def check_base(config: bytes, parameters: bytes) -> None:
    config_object, params = manifests.json_object(config), manifests.json_object(parameters)
    if config_object is None or params is None:
        return
    manifest = manifests.parse_manifest(json.dumps(MANIFEST).encode(), "manifests/a")
    base = manifests.Base("a:latest", manifest, config_object, params)
    for rules in RULES:
        try:
            composition = manifests.compose_from_base(base, SETTINGS, rules)
        except OllamaProblem as problem:
            assert problem.remedy
            continue
        for digest, blob in composition.blobs.items():
            assert manifests.digest_of(blob) == digest
        manifests.described(composition.manifest, composition.blobs.get)


def check_name(text: str) -> None:
    try:
        name = parse_name(text)
    except NameProblem:
        return
    assert not any(part in ("", ".", "..") or "/" in part or "\0" in part for part in name.parts)
    assert parse_name("{}/{}/{}:{}".format(*name.parts)) == name


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
