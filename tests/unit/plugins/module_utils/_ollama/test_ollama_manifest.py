# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import read_header
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.config import (
    Source,
    SourceProblem,
    file_type_name,
    human_number,
    source_of,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.manifest import (
    Base,
    Composition,
    ManifestProblem,
    Settings,
    compose_from_base,
    compose_from_file,
    json_object,
    parse_manifest,
    weights_layer,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.versions import Rules, parse_version, rules_for
from ansible_collections.gguf.fleet.tests.builders import gguf as builders

SHA256 = "5f" * 32
BLOB = f"/var/lib/ollama/models/blobs/sha256-{SHA256}"
R1 = Source(architecture="deepseek2", parameter_count=671026419200, file_type=10, has_chat_template=True)


def rules(version: str) -> Rules:
    return rules_for(parse_version(version))


def composed(version: str, settings: Settings, source: Source = R1) -> Composition:
    known = rules(version)
    return compose_from_file(source, weights_layer(SHA256, 226 * 10**9, BLOB, known), settings, known)


def config_of(composition: Composition) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(composition.blobs[composition.manifest.config.digest])
    return config


def test_the_manifest_of_an_old_release_names_the_blob_and_its_config_lists_the_layers() -> None:
    made = composed("0.5.7", Settings(template="{{ .Prompt }}", parameters={"num_ctx": 2048, "stop": ["<｜User｜>"]}))
    params = b'{"num_ctx":2048,"stop":["\\u003c\xef\xbd\x9cUser\xef\xbd\x9c\\u003e"]}\n'
    digests = [f"sha256:{SHA256}"] + [
        f"sha256:{hashlib.sha256(data).hexdigest()}" for data in (b"{{ .Prompt }}", params)
    ]
    config = (
        '{"model_format":"gguf","model_family":"deepseek2","model_families":["deepseek2"],"model_type":"671.0B",'
        '"file_type":"Q2_K","architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["'
        + '","'.join(digests)
        + '"]}}\n'
    ).encode()
    assert made.blobs == {
        digests[1]: b"{{ .Prompt }}",
        digests[2]: params,
        f"sha256:{hashlib.sha256(config).hexdigest()}": config,
    }
    assert (
        made.manifest.encode()
        == (
            '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":'
            '{"mediaType":"application/vnd.docker.container.image.v1+json",'
            f'"digest":"sha256:{hashlib.sha256(config).hexdigest()}","size":{len(config)}}},"layers":['
            f'{{"mediaType":"application/vnd.ollama.image.model","digest":"{digests[0]}","size":226000000000,"from":"{BLOB}"}},'
            f'{{"mediaType":"application/vnd.ollama.image.template","digest":"{digests[1]}","size":13}},'
            f'{{"mediaType":"application/vnd.ollama.image.params","digest":"{digests[2]}","size":{len(params)}}}]}}\n'
        ).encode()
    )


def test_a_new_release_has_neither() -> None:
    made = composed("0.33.2", Settings())
    assert "rootfs" not in config_of(made)
    assert "from" not in made.manifest.layers[0].as_json()


def test_an_upgrade_across_a_change_of_format_gives_another_manifest_and_one_within_it_the_same() -> None:
    manifests = {version: composed(version, Settings()).manifest for version in ("0.5.7", "0.6.8", "0.31.0", "0.33.2")}
    assert manifests["0.5.7"] == manifests["0.6.8"]
    assert len({manifest.encode() for manifest in manifests.values()}) == 3


def test_a_derived_model_names_its_base_in_every_layer_that_it_takes_over() -> None:
    base = composed("0.33.2", Settings(template="t", system="s", parameters={"seed": 1, "top_k": 2}, license=["MIT"]))
    made = compose_from_base(
        Base("base:latest", base.manifest, config_of(base), {"seed": 1, "top_k": 2}),
        Settings(system="own", parameters={"seed": 3}, license=["own"]),
        rules("0.33.2"),
    )
    kinds = [(layer.media_type.rpartition(".")[2], layer.origin) for layer in made.manifest.layers]
    assert kinds == [
        ("model", "base:latest"),
        ("template", "base:latest"),
        ("license", "base:latest"),
        ("system", ""),
        ("license", ""),
        ("params", ""),
    ]
    params = next(layer for layer in made.manifest.layers if layer.media_type.endswith("params"))
    assert made.blobs[params.digest] == b'{"seed":3,"top_k":2}\n'
    assert config_of(made) == config_of(base)


@pytest.mark.parametrize(
    ("architecture", "version", "renderer", "stops"),
    [
        ("gemma4", "0.33.2", "gemma4", ["<turn|>"]),
        ("gemma4", "0.19.0", None, None),
        ("laguna", "0.22.0", "laguna", None),
        ("nemotron_h_moe", "0.22.0", "nemotron-3-nano", None),
        ("nemotron_h_moe", "0.21.2", None, None),
        ("deepseek2", "0.33.2", None, None),
    ],
)
def test_architectures_that_the_release_renders_itself_say_so_in_the_config(
    architecture: str, version: str, renderer: str | None, stops: list[str] | None
) -> None:
    made = composed(version, Settings(), Source(architecture, 10**9, 15, True))
    assert config_of(made).get("renderer") == renderer
    params = [made.blobs[layer.digest] for layer in made.manifest.layers if layer.media_type.endswith("params")]
    assert [json.loads(blob)["stop"] for blob in params] == ([stops] if stops else [])


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (999, "999"),
        (1500, "2K"),
        (134515008, "134.52M"),
        (7000000, "7M"),
        (8030261312, "8.0B"),
        (8000000000, "8B"),
        (671026419200, "671.0B"),
    ],
)
def test_a_count_is_shown_as_ollama_shows_it(number: int, shown: str) -> None:
    assert human_number(number) == shown


@pytest.mark.parametrize(
    ("file_type", "version", "name"),
    [
        (10, "0.5.7", "Q2_K"),
        (24, "0.5.7", "IQ1_S"),
        (31, "0.6.8", "IQ1_M"),
        (24, "0.7.0", "unknown"),
        (24, "0.24.0", "unknown"),
        (24, "0.30.0", "IQ1_S"),
        (4, "0.5.7", "Q4_1_F16"),
        (4, "0.24.0", "MXFP4"),
        (38, "0.33.2", "MXFP4_MOE"),
        (0, "0.33.2", "unknown"),
        (None, "0.33.2", "unknown"),
        (999, "0.33.2", "unknown"),
    ],
)
def test_a_file_type_is_named_as_that_release_names_it(file_type: int | None, version: str, name: str) -> None:
    assert file_type_name(file_type, parse_version(version)) == name


def header_of(kv: dict[str, tuple[str, Any]]) -> Any:
    return read_header(io.BytesIO(builders.gguf({**builders.MODEL_KV, **kv}, builders.tensors(3))))


def test_the_facts_of_a_file_are_those_that_ollama_reads() -> None:
    facts = source_of(header_of({"general.file_type": ("u32", 15), "tokenizer.chat_template": ("str", "x")}), "m.gguf")
    assert facts == Source("llama", 96, 15, True)


@pytest.mark.parametrize(
    ("kv", "said"),
    [
        ({"split.count": ("u16", 5)}, "one of 5 shards"),
        ({"general.type": ("str", "adapter")}, "adapter"),
        ({"general.type": ("str", "mmproj")}, "mmproj"),
    ],
)
def test_a_file_that_is_no_whole_model_is_refused(kv: dict[str, tuple[str, Any]], said: str) -> None:
    with pytest.raises(SourceProblem, match=said):
        source_of(header_of(kv), "m.gguf")


def test_a_merged_file_with_a_split_count_of_zero_is_a_whole_model() -> None:
    assert source_of(header_of({"split.count": ("u16", 0)}), "m.gguf").architecture == "llama"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"config":{},"layers":[]}',
        b'{"config":{"mediaType":"x","digest":"../../etc/passwd","size":1},"layers":[]}',
        b'{"config":{"mediaType":"x","digest":"sha256:' + b"0" * 64 + b'","size":"1"},"layers":[]}',
        b"[" * 200000,
        b"\xff\xfe",
    ],
)
def test_a_manifest_that_is_none_is_a_problem_that_names_its_path(data: bytes) -> None:
    with pytest.raises(ManifestProblem) as caught:
        parse_manifest(data, "/models/manifests/x")
    assert caught.value.path == "/models/manifests/x"


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": ' + b"9" * 200 + b"}",
        b'{"a": Infinity}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}",
    ],
    ids=["a number of many digits", "infinity", "not a number", "too large a number", "nested deeply"],
)
def test_a_blob_that_no_server_wrote_is_no_json_object(data: bytes) -> None:
    assert json_object(data) is None


@pytest.mark.parametrize("size", ["-1", "true", "1.5", str(2**53), '"3"', "9" * 5000])
def test_a_layer_whose_size_is_no_number_of_bytes_makes_the_manifest_unreadable(size: str) -> None:
    layer = '{"mediaType": "a", "digest": "sha256:%s", "size": %s}' % ("a" * 64, size)
    with pytest.raises(ManifestProblem):
        parse_manifest(f'{{"config": {layer}, "layers": []}}'.encode(), "manifests/a")
