# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's own ways with its store, as far as we build on them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_server import Server
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2

NO_DIGEST = "sha256:" + "0" * 64

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="another user's server can only be started as root")


@pytest.fixture(scope="module")
def base(server: Server, smollm2: SmolLM2) -> Iterator[str]:
    """A model that the server made from a file that it was sent."""
    server.create(
        "base", files={"model.gguf": server.upload(smollm2.merged)}, template="{{ .Prompt }}", system="Be brief."
    )
    yield "base"
    server.call("DELETE", "/api/delete", {"model": "base"})


# --- blobs


def test_a_blob_is_there_when_its_file_is_and_nobody_looks_into_it(server: Server) -> None:
    assert server.call("HEAD", f"/api/blobs/{NO_DIGEST}").status == 404
    assert server.call("HEAD", "/api/blobs/sha256:short").status == 400
    placed = server.blobs / NO_DIGEST.replace(":", "-")
    placed.write_bytes(b"anything")
    try:
        assert server.call("HEAD", f"/api/blobs/{NO_DIGEST}").status == 200
    finally:
        placed.unlink()


def test_a_blob_that_is_sent_is_kept_under_its_digest_and_a_wrong_one_refused(server: Server) -> None:
    data = b"some bytes"
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert server.call("POST", f"/api/blobs/{digest}", data).status == 201
    assert server.blob(digest) == data
    assert server.call("POST", f"/api/blobs/{digest}", data).status == 200
    assert server.call("POST", f"/api/blobs/{NO_DIGEST}", b"not that").status == 400


# --- create, manifests, show, tags


def test_a_model_made_from_a_file_has_the_manifest_and_the_blobs_that_we_write(base: str, server: Server) -> None:
    manifest = server.manifest(base)
    assert (manifest["schemaVersion"], manifest["mediaType"]) == (
        2,
        "application/vnd.docker.distribution.manifest.v2+json",
    )
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    for layer in (manifest["config"], *manifest["layers"]):
        assert len(server.blob(layer["digest"])) == layer["size"]
    assert server.layer(manifest, "template") == b"{{ .Prompt }}"
    assert server.layer(manifest, "system") == b"Be brief."
    config = json.loads(server.blob(manifest["config"]["digest"]))
    assert (config["model_format"], config["model_family"], config["file_type"]) == ("gguf", "llama", "Q4_1")
    assert ("rootfs" in config) == (server.release.version < (0, 32, 7))


def test_the_digest_that_tags_tells_is_that_of_the_manifest(base: str, server: Server) -> None:
    model = next(model for model in server.call("GET", "/api/tags").last["models"] if model["name"] == "base:latest")
    assert model["digest"].rpartition(":")[2] == hashlib.sha256(server.manifest_path(base).read_bytes()).hexdigest()
    assert model["size"] == sum(
        layer["size"] for layer in (server.manifest(base)["config"], *server.manifest(base)["layers"])
    )


def test_a_model_made_twice_from_the_same_request_has_the_same_manifest(base: str, server: Server) -> None:
    contents = []
    for _round in range(2):
        server.create("twice", **{"from": base}, parameters={"seed": 7, "stop": ["<a>", "b&c"]})
        contents.append(server.manifest_path("twice").read_bytes())
    assert contents[0] == contents[1]


def test_from_keeps_what_the_new_model_does_not_set_and_does_not_copy_the_weights(base: str, server: Server) -> None:
    server.create("derived", **{"from": base}, parameters={"num_ctx": 512})
    manifest, origin = server.manifest("derived"), server.manifest(base)
    assert server.layer(manifest, "system") == b"Be brief."
    weights = [layer["digest"] for layer in manifest["layers"] if layer["mediaType"].endswith("image.model")]
    assert weights == [layer["digest"] for layer in origin["layers"] if layer["mediaType"].endswith("image.model")]
    assert {layer.get("from") for layer in manifest["layers"] if layer["digest"] in weights} == {"base:latest"}


def test_parameters_of_the_base_survive_and_cannot_be_removed_by_create(base: str, server: Server) -> None:
    server.create("two", **{"from": base}, parameters={"num_ctx": 512, "seed": 1})
    server.create("three", **{"from": "two"}, parameters={"seed": 2})
    params = json.loads(server.layer(server.manifest("three"), "params"))
    assert (params["num_ctx"], params["seed"]) == (512, 2)


def test_parameters_are_stored_unseen_which_is_why_we_check_them(base: str, server: Server) -> None:
    server.create("odd", **{"from": base}, parameters={"num_ctxx": 1})
    assert json.loads(server.layer(server.manifest("odd"), "params"))["num_ctxx"] == 1


def test_show_tells_the_settings_in_fields_and_404_for_a_model_that_is_not_there(base: str, server: Server) -> None:
    server.create(
        "shown",
        **{"from": base},
        template="{{ .System }} {{ .Prompt }}",
        parameters={"num_ctx": 1000000, "temperature": 0.6, "stop": ['"q"', "<b>"]},
        messages=[{"role": "user", "content": "hi"}],
        license=["one", "two"],
    )
    shown = server.call("POST", "/api/show", {"model": "shown"}).last
    assert (shown["template"], shown["system"], shown["license"]) == (
        "{{ .System }} {{ .Prompt }}",
        "Be brief.",
        "one\ntwo",
    )
    assert shown["messages"] == [{"role": "user", "content": "hi"}]
    lines = sorted(line.split(None, 1)[1] for line in shown["parameters"].splitlines())
    assert lines == ['"<b>"', '"\\"q\\""', "0.6", "1e+06"]
    assert shown["details"]["quantization_level"] == "Q4_1"
    assert server.call("POST", "/api/show", {"model": "nobody"}).status == 404


def test_lists_and_shows_have_the_details_of_their_version(base: str, server: Server) -> None:
    listed = next(model for model in server.call("GET", "/api/tags").last["models"] if model["name"] == "base:latest")
    lengths = {key: listed["details"].get(key) for key in ("context_length", "embedding_length")}
    known = server.release.version >= (0, 30, 0)
    assert lengths == {"context_length": 8192 if known else None, "embedding_length": 576 if known else None}
    info = server.call("POST", "/api/show", {"model": base}).last["model_info"]
    assert info["llama.attention.layer_norm_rms_epsilon"] == 1e-05


def test_what_is_not_there_is_said_in_the_words_of_its_version(server: Server) -> None:
    new = server.release.version >= (0, 18, 0)
    shown = "model 'nobody:latest' not found" if new else "model 'nobody' not found"
    assert server.call("POST", "/api/show", {"model": "nobody"}).error == shown
    kind = "not_found_error" if new else "api_error"
    assert (server.call("GET", "/v1/models/nobody").last["error"]["type"]) == kind


def test_the_command_lists_and_shows_models(base: str, server: Server) -> None:
    listed = command(server, "list")
    assert listed[0].split() == ["NAME", "ID", "SIZE", "MODIFIED"]
    digest = hashlib.sha256(server.manifest_path(base).read_bytes()).hexdigest()
    row = next(line for line in listed if line.startswith("base:latest "))
    assert row.split()[1:4] == [digest[:12], "98", "MB"]
    assert command(server, "show", base, "--system") == ["Be brief."]
    shown = command(server, "show", base)
    assert shown[0] == "  Model"
    assert [line.split() for line in shown if "quantization" in line] == [["quantization", "Q4_1"]]
    assert shown[shown.index("  System") + 1].strip() == "Be brief."


def command(server: Server, *arguments: str) -> list[str]:
    environment = {"HOME": str(server.home), "OLLAMA_HOST": server.url, "PATH": os.environ["PATH"]}
    program = [str(server.release.binary), *arguments]
    return subprocess.run(program, env=environment, text=True, capture_output=True, check=True).stdout.splitlines()


# --- error streams


@pytest.mark.parametrize(
    ("request_body", "said"),
    [
        ({"model": "bad name!", "from": "base"}, "invalid model name"),
        ({"model": "x"}, "neither 'from' or 'files' was specified"),
        ({"model": "x", "from": "base", "template": "{{ .Prompt"}, "template"),
        ({"model": "x", "files": {"m.gguf": NO_DIGEST}}, "no such file"),
        ({"model": "x", "files": {"m.gguf": "sha256:short"}}, "digest"),
    ],
)  # fmt: skip
def test_an_error_of_create_is_an_error_line_whatever_the_status(
    base: str, server: Server, request_body: dict[str, object], said: str
) -> None:
    answer = server.call("POST", "/api/create", request_body)
    assert said in (answer.error or "")
    assert answer.last != {"status": "success"}


def test_a_first_line_that_is_an_error_has_a_status_of_its_own_from_0_12_6(server: Server) -> None:
    answer = server.call("POST", "/api/create", {"model": "x"})
    assert answer.status == (200 if server.release.version < (0, 12, 6) else 400)
    unstreamed = server.call("POST", "/api/create", {"model": "x", "stream": False})
    assert unstreamed.status == 400


def test_a_file_that_is_no_gguf_file_is_refused(server: Server) -> None:
    digest = f"sha256:{hashlib.sha256(b'no model').hexdigest()}"
    server.call("POST", f"/api/blobs/{digest}", b"no model")
    assert server.call("POST", "/api/create", {"model": "x", "files": {"m.gguf": digest}}).error


# --- delete


def test_delete_removes_the_blobs_that_no_other_model_needs(base: str, server: Server) -> None:
    server.create("goes", **{"from": base}, system="only mine")
    manifest = server.manifest("goes")
    own = f"sha256-{hashlib.sha256(b'only mine').hexdigest()}"
    assert (server.blobs / own).exists()
    assert server.call("DELETE", "/api/delete", {"model": "goes"}).status == 200
    assert not (server.blobs / own).exists()
    assert not server.manifest_path("goes").exists()
    weights = next(layer["digest"] for layer in manifest["layers"] if layer["mediaType"].endswith("image.model"))
    assert (server.blobs / weights.replace(":", "-")).exists()
    assert server.call("DELETE", "/api/delete", {"model": "goes"}).status == 404


# --- name case


def test_a_name_that_differs_in_case_is_the_same_model(base: str, server: Server) -> None:
    server.create("Det:V1", **{"from": base})
    server.create("det:v1", **{"from": base}, system="changed")
    assert [name for name in server.names() if name.lower() == "det:v1"] == ["Det:V1"]
    assert server.layer(server.manifest("Det", "V1"), "system") == b"changed"
    assert server.call("POST", "/api/show", {"model": "DET:v1"}).status == 200
    # A part is spelled as in any model, not only in one that has all the others.
    server.create("another:v1", **{"from": base})
    assert "another:V1" in server.names()
    for name in ("Det:V1", "another:V1"):
        server.call("DELETE", "/api/delete", {"model": name})


# --- prune at start


def _old(path: Path) -> None:
    past = time.time() - 2 * 3600
    os.utime(path, (past, past), follow_symlinks=False)


def test_the_start_prunes_what_no_manifest_names_and_spares_young_files_from_0_21(own_server: Server) -> None:
    own_server.blobs.mkdir()
    young = own_server.blobs / ("sha256-" + "1" * 64)
    old = own_server.blobs / ("sha256-" + "2" * 64)
    junk = own_server.blobs / "partial"
    for path in (young, old, junk):
        path.write_bytes(b"x")
    for path in (old, junk):
        _old(path)
    if os.geteuid() == 0:
        os.chown(own_server.blobs, *_owner(own_server.models))
    own_server.start()
    _wait_until(lambda: not old.exists() and not junk.exists())
    assert young.exists() == (own_server.release.version >= (0, 21, 0))


def test_noprune_and_a_manifest_that_cannot_be_read_both_stop_the_prune(own_server: Server) -> None:
    own_server.blobs.mkdir()
    old = own_server.blobs / ("sha256-" + "2" * 64)
    old.write_bytes(b"x")
    _old(old)
    broken = own_server.manifest_path("broken")
    broken.parent.mkdir(parents=True)
    broken.write_text("{", encoding="utf-8")
    if os.geteuid() == 0:
        for path in (own_server.blobs, *broken.parents[:4]):
            os.chown(path, *_owner(own_server.models))
    own_server.start()
    time.sleep(1)
    assert old.exists()
    own_server.stop()
    broken.unlink()
    own_server.environment = {"OLLAMA_NOPRUNE": "1"}
    own_server.start()
    time.sleep(1)
    assert old.exists()


def _owner(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert reached()


# --- ownership


@needs_root
def test_roots_blobs_are_served_and_removed_and_only_create_wants_to_own_them_from_0_21(
    own_server: Server, smollm2: SmolLM2
) -> None:
    """The contract behind writing derived models ourselves."""
    own_server.start()
    own_server.create("rooted", files={"model.gguf": own_server.upload(smollm2.merged)})
    layers = own_server.manifest("rooted")["layers"]
    digest = next(layer["digest"] for layer in layers if layer["mediaType"].endswith("image.model"))
    blob = own_server.blobs / digest.replace(":", "-")
    os.chown(blob, 0, 0)
    blob.chmod(0o444)
    assert own_server.call("POST", "/api/show", {"model": "rooted"}).status == 200
    answer = own_server.call("POST", "/api/create", {"model": "rooted-too", "from": "rooted"})
    if own_server.release.version < (0, 21, 0):
        assert answer.error is None
    else:
        assert "operation not permitted" in (answer.error or "")
    for name in ("rooted-too", "rooted"):
        own_server.call("DELETE", "/api/delete", {"model": name})
    assert own_server.names() == []
    assert not blob.exists()
