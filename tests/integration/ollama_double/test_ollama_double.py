# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in behaves as the Ollama of its version: what an operator and a client see of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.doubles.ollama import build
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.ollama_double.conftest import Running, Start

CHATML = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def model(server: Running, smollm2: SmolLM2) -> str:
    digest = server.upload(smollm2.whole)
    request = {
        "model": "smol",
        "files": {"model.gguf": digest},
        "template": CHATML,
        "parameters": {"temperature": 0, "num_ctx": 1024, "stop": ["<|im_end|>"]},
    }
    assert server.ask("POST", "/api/create", {**request, "stream": False}).json == {"status": "success"}
    return "smol:latest"


def manifest(server: Running, name: str = "smol") -> dict[str, Any]:
    path = server.models / "manifests" / "registry.ollama.ai" / "library" / name / "latest"
    return dict(json.loads(path.read_text()))


def layer(server: Running, name: str, kind: str) -> str:
    digests = [entry["digest"] for entry in manifest(server, name)["layers"] if entry["mediaType"].endswith(f".{kind}")]
    assert len(digests) == 1
    return str(digests[0])


# ------------------------------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize("version", ["0.5.7", "0.33.2"])
def test_two_builds_of_an_archive_are_the_same_bytes(version: str, cache_dir: Path, tmp_path: Path) -> None:
    suffix = "tgz" if version == "0.5.7" else "tar.zst"
    small = tmp_path / "llama-server-dir"
    small.mkdir()
    (small / "llama-server").write_text("#!/bin/sh\n")
    digests = []
    for turn in ("one", "two"):
        out = tmp_path / turn / f"ollama-linux-amd64.{suffix}"
        digests.append(build.build(version, small, out))
        assert (out.parent / "sha256sum.txt").read_text() == f"{digests[-1]}  ./{out.name}\n"
        assert hashlib.sha256(out.read_bytes()).hexdigest() == digests[-1]
    assert digests[0] == digests[1]


def test_an_archive_of_0_5_7_has_members_with_a_leading_dot(ollama_archives: dict[str, Path]) -> None:
    with tarfile.open(ollama_archives["0.5.7"]) as archive:
        names = archive.getnames()
    assert "./bin/ollama" in names
    assert "./lib/ollama/llama-server" in names


def test_an_archive_of_0_33_has_plain_members(ollama_archives: dict[str, Path]) -> None:
    listed = subprocess.run(["tar", "-tf", str(ollama_archives["0.33.2"])], text=True, capture_output=True, check=True)
    assert "bin/ollama" in listed.stdout.split()


# ---------------------------------------------------------------------------------------------------------- the command


def test_version_without_a_server_says_so_and_names_the_client(programs: dict[str, Path]) -> None:
    for version, program in programs.items():
        environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "OLLAMA_HOST": "127.0.0.1:1"}
        shown = subprocess.run([str(program), "--version"], env=environ, text=True, capture_output=True, check=True)
        assert shown.stdout.splitlines() == [
            "Warning: could not connect to a running Ollama instance",
            f"Warning: client version is {version}",
        ]


def test_version_with_a_server_names_it(server: Running) -> None:
    assert server.run("--version").stdout == f"ollama version is {server.version}\n"


def test_without_home_serve_ends_with_an_error(start: Start) -> None:
    dead = start("0.5.7", wait=False, HOME="-")
    assert dead.process.wait(10) == 1
    assert "Error: $HOME is not defined" in dead.log.read_text()


def test_without_home_and_models_it_panics(start: Start) -> None:
    dead = start("0.5.7", wait=False, HOME="-", OLLAMA_MODELS="-")
    assert dead.process.wait(10) == 2
    assert "panic: $HOME is not defined" in dead.log.read_text()


def test_an_origin_without_scheme_is_a_panic_at_start(start: Start) -> None:
    dead = start("0.33.2", wait=False, OLLAMA_ORIGINS="example.com")
    assert dead.process.wait(10) == 2
    assert "panic: bad origin: origins must contain '*' or include http://" in dead.log.read_text()


def test_a_taken_port_is_an_error_that_names_it(server: Running, start: Start) -> None:
    dead = start("0.5.7", wait=False, OLLAMA_HOST=f"127.0.0.1:{server.port}")
    assert dead.process.wait(10) == 1
    assert f"Error: listen tcp 127.0.0.1:{server.port}: bind: address already in use" in dead.log.read_text()


def test_the_first_log_line_shows_the_effective_settings(start: Start) -> None:
    running = start("0.5.7", OLLAMA_FLASH_ATTENTION="maybe", OLLAMA_KEEP_ALIVE="garbage", OLLAMA_MAX_QUEUE="-1")
    log = running.log.read_text()
    assert "OLLAMA_FLASH_ATTENTION:true" in log
    assert "OLLAMA_KEEP_ALIVE:5m0s" in log
    assert "OLLAMA_MAX_QUEUE:512" in log


def test_a_modelfile_is_created_listed_shown_run_stopped_and_removed(server: Running, smollm2: SmolLM2) -> None:
    modelfile = server.home / "Modelfile"
    modelfile.write_text(
        f'FROM {smollm2.merged}\nTEMPLATE """{CHATML}"""\nPARAMETER num_ctx 512\nPARAMETER temperature 0\n'
        "PARAMETER stop <|im_end|>\nPARAMETER num_predict 12\n"
    )
    created = server.run("create", "by-cli", "-f", str(modelfile))
    assert created.returncode == 0, created.stderr
    assert created.stderr.splitlines()[-1] == "success"
    assert "by-cli:latest" in server.run("list").stdout
    assert server.run("show", "--template", "by-cli").stdout.strip() == CHATML.strip()
    answer = server.run("run", "by-cli", "What is the capital of France?", "--verbose")
    assert "Paris" in answer.stdout, answer
    assert "eval rate:" in answer.stderr
    assert "100% CPU" in server.run("ps").stdout
    assert server.run("stop", "by-cli").returncode == 0
    assert "by-cli" not in server.run("ps").stdout
    assert server.run("rm", "by-cli").stdout == "deleted 'by-cli'\n"
    assert "by-cli" not in server.run("list").stdout


def test_the_command_line_checks_parameters_before_the_server_sees_them(server: Running, smollm2: SmolLM2) -> None:
    modelfile = server.home / "Bad"
    for line, problem in (
        ("PARAMETER NUM_CTX 5", "Error: unknown parameter 'NUM_CTX'"),
        ("PARAMETER num_ctx 1e+06", "Error: invalid int value [1e+06]"),
        ("BOGUS x", "Error: (line 3): command must be one of"),
    ):
        modelfile.write_text(f"FROM {smollm2.merged}\n{line}\n\n" if line != "BOGUS x" else f"FROM x\n\n{line}\n")
        refused = server.run("create", "bad", "-f", str(modelfile))
        assert refused.returncode == 1
        assert problem in refused.stderr


# -------------------------------------------------------------------------------------------------------------- streams


def test_create_streams_the_lines_of_its_version(server: Running, smollm2: SmolLM2) -> None:
    digest = server.upload(smollm2.merged)
    answer = server.ask("POST", "/api/create", {"model": "lines", "files": {"m.gguf": digest}, "system": "Be brief."})
    states = [line["status"] for line in answer.lines]
    assert states[0] == "parsing GGUF"
    assert states[-2:] == ["writing manifest", "success"]
    assert any(state.startswith("creating new layer sha256:") for state in states)
    rewritten = "validating GGUF model" in states
    assert rewritten == ("verifying conversion" in states) == (server.version == "0.33.2")
    assert (layer(server, "lines", "model") == digest) == (server.version == "0.5.7")


def test_an_error_of_create_has_the_status_of_its_version(server: Running) -> None:
    answer = server.ask("POST", "/api/create", {"model": "x"})
    if server.version == "0.5.7":
        assert answer.status == 200
        assert answer.lines == [{"error": "neither 'from' or 'files' was specified", "status": 400}]
    else:
        assert answer.status == 400
        assert answer.json == {"error": "neither 'from' or 'files' was specified"}


def test_without_stream_an_error_has_its_status_in_every_version(server: Running) -> None:
    answer = server.ask("POST", "/api/create", {"model": "x", "stream": False})
    assert (answer.status, answer.json) == (400, {"error": "neither 'from' or 'files' was specified"})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/create", b"", 400),
        ("POST", "/api/create", {"model": "a b", "from": "x"}, 400),
        ("POST", "/api/show", {"model": "nobody"}, 404),
        ("DELETE", "/api/delete", {"model": "nobody"}, 404),
        ("POST", "/api/copy", {"source": "nobody", "destination": "x"}, 404),
        ("POST", "/api/generate", {"model": "nobody", "prompt": "x"}, 404),
        ("POST", "/api/chat", {"model": "nobody", "messages": [{"role": "user", "content": "x"}]}, 404),
        ("POST", "/v1/chat/completions", {"model": "nobody", "messages": [{"role": "user", "content": "x"}]}, 404),
        ("HEAD", "/api/blobs/sha256:12", None, 400),
        ("HEAD", f"/api/blobs/sha256:{'0' * 64}", None, 404),
        ("POST", f"/api/blobs/sha256:{'0' * 64}", b"not it", 400),
        ("GET", "/api/nothing", None, 404),
    ],
)
def test_bad_requests_have_the_status_of_the_real_server(
    server: Running, method: str, path: str, body: Any, status: int
) -> None:
    assert server.ask(method, path, body).status == status


def test_a_wrong_method_is_404_first_and_405_later(server: Running) -> None:
    assert server.ask("PUT", "/api/tags").status == (404 if server.version == "0.5.7" else 405)


def test_a_file_that_is_no_gguf_is_refused(server: Running, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello, world" * 100)
    digest = server.upload(tmp_path / "x")
    answer = server.ask("POST", "/api/create", {"model": "x", "files": {"x.gguf": digest}})
    assert answer.lines[-1]["error"] == "supplied file was not in GGUF format"


def test_bytes_after_the_tensors_are_an_error_in_0_5_7_only(server: Running, smollm2: SmolLM2, tmp_path: Path) -> None:
    longer = tmp_path / "longer.gguf"
    longer.write_bytes(smollm2.merged.read_bytes() + bytes(4096))
    digest = server.upload(longer)
    answer = server.ask("POST", "/api/create", {"model": "longer", "files": {"x.gguf": digest}})
    if server.version == "0.5.7":
        assert answer.lines[-1]["error"] == "invalid file magic"
    else:
        assert answer.lines[-1] == {"status": "success"}


def test_a_truncated_file_is_found_out_by_0_33_only(server: Running, smollm2: SmolLM2, tmp_path: Path) -> None:
    shorter = tmp_path / "shorter.gguf"
    shorter.write_bytes(smollm2.merged.read_bytes()[:-100])
    digest = server.upload(shorter)
    answer = server.ask("POST", "/api/create", {"model": "shorter", "files": {"x.gguf": digest}})
    if server.version == "0.5.7":
        assert answer.lines[-1] == {"status": "success"}
    else:
        assert "exceeds file size" in answer.lines[-1]["error"]


def test_a_lone_shard_fails_at_load_in_0_5_7_and_at_create_in_0_33(server: Running, smollm2: SmolLM2) -> None:
    digest = server.upload(smollm2.shards[0])
    answer = server.ask("POST", "/api/create", {"model": "shard", "files": {"x.gguf": digest}})
    if server.version == "0.5.7":
        assert answer.lines[-1] == {"status": "success"}
        loaded = server.ask("POST", "/api/generate", {"model": "shard"})
        assert loaded.status == 500
        assert "llama runner process has terminated: error loading model: invalid split file" in loaded.json["error"]
    else:
        assert answer.status == 200
        assert answer.lines[-1] == {"error": 'split GGUF "x.gguf" must use llama.cpp split filename pattern'}


def test_a_whole_set_of_shards_is_merged_by_0_33(start: Start, smollm2: SmolLM2) -> None:
    server = start("0.33.2")
    files = {path.name: server.upload(path) for path in smollm2.shards}
    answer = server.ask("POST", "/api/create", {"model": "set", "files": files})
    assert answer.lines[-1] == {"status": "success"}
    said = server.ask(
        "POST", "/api/generate", {"model": "set", "prompt": "Hi", "stream": False, "options": {"num_predict": 4}}
    )
    assert said.status == 200
    assert said.json["response"]


# ---------------------------------------------------------------------------------------------------------------- store


def test_the_same_request_twice_gives_the_same_manifest(server: Running, model: str) -> None:
    before = server.ask("GET", "/api/tags").json["models"]
    digest = {entry["name"]: entry["digest"] for entry in before}[model]
    path = server.models / "manifests" / "registry.ollama.ai" / "library" / "smol" / "latest"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_the_config_blob_has_the_fields_of_its_version(server: Running, model: str) -> None:
    config = json.loads((server.models / "blobs" / manifest(server)["config"]["digest"].replace(":", "-")).read_text())
    assert config["model_format"] == "gguf"
    assert config["model_family"] == "llama"
    assert config["model_type"] == "134.52M"
    assert config["file_type"] == "Q4_1"
    assert ("rootfs" in config) == (server.version == "0.5.7")


def test_from_merges_parameters_and_never_drops_any(server: Running, model: str) -> None:
    request = {"model": "derived", "from": "smol", "parameters": {"num_ctx": 256}, "stream": False}
    assert server.ask("POST", "/api/create", request).json == {"status": "success"}
    path = server.models / "blobs" / layer(server, "derived", "params").replace(":", "-")
    assert path.read_text() == '{"num_ctx":256,"stop":["\\u003c|im_end|\\u003e"],"temperature":0}\n'
    assert layer(server, "derived", "model") == layer(server, "smol", "model")


def test_names_match_without_case_and_keep_the_first_spelling(server: Running, model: str) -> None:
    server.ask("POST", "/api/create", {"model": "Det:V1", "from": "smol", "stream": False})
    server.ask("POST", "/api/create", {"model": "det:v1", "from": "smol", "system": "x", "stream": False})
    names = [entry["name"] for entry in server.ask("GET", "/api/tags").json["models"]]
    assert "Det:V1" in names
    assert "det:v1" not in names
    assert server.ask("DELETE", "/api/delete", {"model": "DET:v1"}).status == 200


def test_delete_removes_blobs_that_nobody_else_names(server: Running, model: str) -> None:
    server.ask("POST", "/api/create", {"model": "gone", "from": "smol", "system": "only here", "stream": False})
    own = server.models / "blobs" / layer(server, "gone", "system").replace(":", "-")
    shared = server.models / "blobs" / layer(server, "gone", "model").replace(":", "-")
    assert own.exists()
    assert server.ask("DELETE", "/api/delete", {"model": "gone"}).body == b""
    assert not own.exists()
    assert shared.exists()


def test_large_numbers_print_with_an_exponent_in_show(server: Running, model: str) -> None:
    request = {"model": "big", "from": "smol", "parameters": {"seed": 1000000, "num_ctx": 2048}, "stream": False}
    server.ask("POST", "/api/create", request)
    shown = server.ask("POST", "/api/show", {"model": "big"}).json["parameters"].splitlines()
    assert f"{'seed':30} 1e+06" in shown
    assert f"{'num_ctx':30} 2048" in shown
    assert f'{"stop":30} "<|im_end|>"' in shown


@pytest.mark.parametrize("version", ["0.5.7", "0.33.2"])
def test_prune_at_start_spares_young_files_from_0_21_on(version: str, start: Start, tmp_path: Path) -> None:
    blobs = tmp_path / "models" / "blobs"
    blobs.mkdir(parents=True)
    for name, age in (("sha256-" + "a" * 64, 0), ("sha256-" + "b" * 64, 7200), ("partial", 0), ("junk", 7200)):
        (blobs / name).write_text("x")
        stamp = (blobs / name).stat().st_mtime - age
        os.utime(blobs / name, (stamp, stamp))
    start(version, home=tmp_path)
    left = sorted(path.name for path in blobs.iterdir())
    assert left == ([] if version == "0.5.7" else ["partial", "sha256-" + "a" * 64])


@pytest.mark.parametrize("how", ["corrupt manifest", "NOPRUNE"])
def test_nothing_is_pruned_beside_a_corrupt_manifest_or_when_told_so(how: str, start: Start, tmp_path: Path) -> None:
    orphan = tmp_path / "models" / "blobs" / ("sha256-" + "a" * 64)
    orphan.parent.mkdir(parents=True)
    orphan.write_text("x")
    if how == "NOPRUNE":
        start("0.5.7", home=tmp_path, OLLAMA_NOPRUNE="1")
    else:
        bad = tmp_path / "models" / "manifests" / "registry.ollama.ai" / "library" / "bad" / "latest"
        bad.parent.mkdir(parents=True)
        bad.write_text("{")
        running = start("0.5.7", home=tmp_path)
        assert "corrupt manifests detected, skipping prune" in running.log.read_text()
    assert orphan.exists()


def test_a_linked_blob_and_a_written_manifest_make_a_model_of_a_running_server(
    server: Running, model: str, smollm2: SmolLM2
) -> None:
    source = manifest(server)
    digest = hashlib.sha256(smollm2.merged.read_bytes()).hexdigest()
    blob = server.models / "blobs" / f"sha256-{digest}"
    if not blob.exists():
        blob.symlink_to(smollm2.merged)
    for entry in source["layers"]:
        if entry["mediaType"].endswith(".model"):
            entry.update(digest=f"sha256:{digest}", size=smollm2.merged.stat().st_size)
            entry.pop("from", None)
    path = server.models / "manifests" / "registry.ollama.ai" / "library" / "hand-written" / "latest"
    path.parent.mkdir()
    path.write_text(json.dumps(source))
    listed = [entry["name"] for entry in server.ask("GET", "/api/tags").json["models"]]
    assert "hand-written:latest" in listed
    request = {"model": "hand-written", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    answer = server.ask("POST", "/v1/chat/completions", {**request, "temperature": 0, "max_tokens": 20})
    assert "Paris" in answer.json["choices"][0]["message"]["content"]


# ----------------------------------------------------------------------------------------------------------- generation


def test_a_question_gets_a_real_answer_in_pieces_with_counts(server: Running, model: str) -> None:
    request = {"model": "smol", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    lines = server.ask("POST", "/api/chat", request).lines
    assert "Paris" in "".join(line["message"]["content"] for line in lines)
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1]["done_reason"] == "stop"
    assert lines[-1]["eval_count"] > 0
    assert lines[-1]["eval_duration"] > 0


def test_without_a_template_0_33_uses_the_one_in_the_gguf(server: Running, smollm2: SmolLM2) -> None:
    digest = server.upload(smollm2.whole)
    blob = f"{server.models}/blobs/{digest.replace(':', '-')}"
    config = manifest(server, "smol")["config"]
    path = server.models / "manifests" / "registry.ollama.ai" / "library" / "bare" / "latest"
    path.parent.mkdir(exist_ok=True)
    entry = {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": os.stat(blob).st_size}
    path.write_text(json.dumps({"schemaVersion": 2, "mediaType": "x", "config": config, "layers": [entry]}))
    shown = server.ask("POST", "/api/show", {"model": "bare"}).json["template"]
    assert ("<|im_start|>" in shown) == (server.version == "0.33.2")
    assert (shown == "{{ .Prompt }}") == (server.version == "0.5.7")
    request = {"model": "bare", "messages": [{"role": "user", "content": "Hi"}], "options": {"num_predict": 1}}
    counted = server.ask("POST", "/api/chat", {**request, "stream": False}).json["prompt_eval_count"]
    # The GGUF's template puts a system message of some twenty tokens before it.
    assert (counted > 20) == (server.version == "0.33.2")


def test_events_of_a_chat_completion_end_with_done(server: Running, model: str) -> None:
    request = {"model": "smol", "messages": [{"role": "user", "content": "Hi"}], "stream": True, "max_tokens": 3}
    answer = server.ask("POST", "/v1/chat/completions", {**request, "temperature": 0})
    events = [line for line in answer.body.decode().split("\n\n") if line]
    assert events[-1] == "data: [DONE]"
    assert json.loads(events[-2][6:])["choices"][0]["finish_reason"] == "length"
    assert server.ask("GET", "/v1/models").json["data"][0]["object"] == "model"


def test_keep_alive_zero_unloads_and_ps_tells_the_context_from_0_10_on(server: Running, model: str) -> None:
    assert server.ask("POST", "/api/generate", {"model": "smol"}).json["done_reason"] == "load"
    row = next(entry for entry in server.ask("GET", "/api/ps").json["models"] if entry["name"] == "smol:latest")
    assert row["size_vram"] == 0
    assert row.get("context_length") == (1024 if server.version == "0.33.2" else None)
    assert server.ask("POST", "/api/generate", {"model": "smol", "keep_alive": 0}).json["done_reason"] == "unload"
    assert "smol:latest" not in [entry["name"] for entry in server.ask("GET", "/api/ps").json["models"]]


def test_an_option_of_the_wrong_type_is_an_error_of_the_request(server: Running, model: str) -> None:
    answer = server.ask("POST", "/api/generate", {"model": "smol", "prompt": "x", "options": {"num_ctx": "many"}})
    assert answer.status == 500
    assert answer.json == {"error": 'option "num_ctx" must be of type integer'}


# ----------------------------------------------------------------------------------------------------------- GPUs, CORS


def test_size_vram_follows_num_gpu_and_the_simulated_gpus(start: Start, smollm2: SmolLM2, nvml_library: Path) -> None:
    config = Path(build.__file__).parent.parent / "nvml" / "configs" / "rtx4090x2.conf"
    server = start("0.5.7", LD_LIBRARY_PATH=str(nvml_library.parent), NVML_DOUBLE_CONFIG=str(config))
    request = {"model": "base", "files": {"m.gguf": server.upload(smollm2.whole)}, "parameters": {"num_ctx": 512}}
    server.ask("POST", "/api/create", request)
    shares = {}
    for num_gpu in (-1, 14, 0):
        server.ask("POST", "/api/generate", {"model": "base", "options": {"num_gpu": num_gpu}})
        (row,) = server.ask("GET", "/api/ps").json["models"]
        shares[num_gpu] = row["size_vram"] / row["size"]
    assert shares[-1] == 1.0
    assert 0.2 < shares[14] < 0.8
    assert shares[0] == 0.0
    assert server.log.read_text().count("inference compute") == 2


def test_a_preflight_gets_the_headers_that_browsers_want(start: Start) -> None:
    server = start("0.5.7", OLLAMA_ORIGINS="*")
    headers = {"Origin": "http://10.1.2.3", "Access-Control-Request-Method": "POST"}
    answer = server.ask("OPTIONS", "/api/chat", headers=headers)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    ("listen", "host", "status"),
    [
        ("127.0.0.1", "evil.example", 403),
        ("127.0.0.1", "localhost", 200),
        ("127.0.0.1", "192.168.1.5:11434", 200),
        ("127.0.0.1", "box.internal", 200),
        ("0.0.0.0", "evil.example", 200),
    ],
)
def test_the_host_header_is_checked_on_loopback_only(listen: str, host: str, status: int, start: Start) -> None:
    port = os.getpid() % 10000 + 20000
    running = start("0.33.2", wait=False, OLLAMA_HOST=f"{listen}:{port}")
    running.port = port
    for _attempt in range(100):
        try:
            answer = running.ask("GET", "/api/version", headers={"Host": host})
            break
        except OSError:
            assert running.process.poll() is None, running.log.read_text()
            subprocess.run(["sleep", "0.05"], check=True)
    assert answer.status == status
    running.stop()
