# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models that we write into the store are models to the server: listed, shown, derived from, run and removed."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._engine.connection import Endpoint
from ansible_collections.gguf.fleet.plugins.module_utils._engine.generation import Question
from ansible_collections.gguf.fleet.plugins.module_utils._engine.problem import EngineProblem
from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import model_run as run
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.models_run import run_all
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.problem import OllamaProblem
from ansible_collections.gguf.fleet.plugins.module_utils._verify.check import Wanted, check
from ansible_collections.gguf.fleet.plugins.module_utils._verify.residency import Residency
from ansible_collections.gguf.fleet.tests.builders import gguf as builders
from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_server import Server, digest_of_file, free_port
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2

SETTINGS: dict[str, Any] = {
    "template": "{{ .System }}<｜User｜>{{ .Prompt }}<｜Assistant｜>",
    "system": "全角\u3000空格 & <tags> \u2028",
    "parameters": {"stop": ["<｜User｜>", "a&b"], "num_ctx": 512, "temperature": 0.6, "top_p": 1.0, "use_mmap": True},
    "messages": [{"role": "user", "content": "你好 <b>"}, {"role": "assistant", "content": 'say "hi"\n'}],
    "license": ["MIT", "and another"],
}


def request(server: Server, name: str, **wanted: Any) -> run.Request:
    return run.Request(
        host=server.url,
        models_dir=str(server.models),
        check=wanted.pop("check", False),
        name=name,
        version=".".join(str(part) for part in server.release.version),
        **wanted,
    )


def store_usage(server: Server) -> int:
    """The bytes that the store takes which nothing else takes anyway."""
    files = [path.lstat() for path in server.models.rglob("*")]
    return sum(status.st_blocks * 512 for status in files if status.st_nlink == 1)


def in_memory(server: Server) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = server.call("GET", "/api/ps").last["models"] or []
    return models


def unload(server: Server, name: str) -> None:
    server.call("POST", "/api/generate", {"model": name, "keep_alive": 0, "stream": False})
    eventually(lambda: in_memory(server) == [], "nothing is in memory")


def eventually(is_so: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """A real server takes a moment: what it is told to do is done after its answer."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not so after {seconds:.0f} s: {what}"
        time.sleep(0.05)


def kinds(result: run.Result) -> list[str]:
    return [action["action"] for action in result.actions]


# --- byte for byte


def test_what_we_write_for_a_file_is_what_the_server_writes(
    own_server: Server, smollm2: SmolLM2, ledger: Ledger
) -> None:
    own_server.start()
    own_server.create("made", files={"model.gguf": own_server.upload(smollm2.merged)}, **SETTINGS)
    theirs = own_server.manifest_path("made").read_bytes()
    weights = next(
        layer["digest"] for layer in own_server.manifest("made")["layers"] if "image.model" in layer["mediaType"]
    )
    kept = own_server.blobs / weights.replace(":", "-")
    aside = own_server.home / "kept.gguf"
    shutil.copyfile(kept, aside)
    aside.chmod(0o644)
    own_server.call("DELETE", "/api/delete", {"model": "made"})

    run.present(request(own_server, "made", file=str(aside), **SETTINGS), ledger)

    ours = own_server.manifest_path("made").read_bytes()
    assert json.loads(ours) == json.loads(theirs)
    assert ours == theirs


def test_what_we_write_for_a_derived_model_is_what_the_server_writes(
    own_server: Server, smollm2: SmolLM2, ledger: Ledger
) -> None:
    own_server.start()
    own_server.create(
        "base", files={"model.gguf": own_server.upload(smollm2.merged)}, parameters={"seed": 1, "top_k": 3}
    )
    own_server.create("derived", **{"from": "base"}, **SETTINGS)
    theirs = own_server.manifest_path("derived").read_bytes()
    own_server.call("DELETE", "/api/delete", {"model": "derived"})

    run.present(request(own_server, "derived", base="base", **SETTINGS), ledger)

    assert own_server.manifest_path("derived").read_bytes() == theirs


# --- life of a model


def test_settings_that_do_not_answer_leave_the_model_as_it_was(
    own_server: Server, smollm2: SmolLM2, ledger: Ledger, files: Path
) -> None:
    if not own_server.release.can_generate:
        pytest.skip("the binary has no libraries to load a model with")
    own_server.start()
    file = files / "model.gguf"
    shutil.copyfile(smollm2.merged, file)
    good = {"file": str(file), "parameters": {"num_ctx": 512, "seed": 1}, "prove": True}
    run.present(request(own_server, "kept", template="{{ .Prompt }}", **good), ledger)
    before = own_server.manifest_path("kept").read_bytes()

    with pytest.raises(
        OllamaProblem, match=r"kept:latest does not answer .*The old ones are back, and it answers again"
    ):
        run.present(request(own_server, "kept", template="{{ index .Messages 99 }}", **good), ledger)

    assert own_server.manifest_path("kept").read_bytes() == before
    again = run.present(request(own_server, "kept", template="{{ .Prompt }}", **good), ledger)
    # What the failed settings left goes with it.
    assert set(kinds(again)) <= {"remove_blob"}
    changed = run.present(request(own_server, "kept", template="Answer: {{ .Prompt }}", **good), ledger)
    assert "write_manifest" in kinds(changed)

    worse = {**good, "prove": False}
    run.present(request(own_server, "kept", template="{{ index .Messages 98 }}", **worse), ledger)
    own_server.call("POST", "/api/generate", {"model": "kept", "keep_alive": 0})
    with pytest.raises(OllamaProblem, match=r"does not answer .* Nor does it with the old ones: .* the new ones stay"):
        run.present(request(own_server, "kept", template="{{ index .Messages 99 }}", **good), ledger)
    assert "write_manifest" not in kinds(
        run.present(request(own_server, "kept", template="{{ index .Messages 99 }}", **worse), ledger)
    )


def test_an_imported_model_is_listed_shown_and_takes_no_room(
    server: Server, smollm2: SmolLM2, ledger: Ledger, files: Path
) -> None:
    file = files / "model.gguf"
    shutil.copyfile(smollm2.merged, file)
    before = store_usage(server)
    made = run.present(request(server, "whole:Q4_1", file=str(file), **SETTINGS), ledger)
    assert made.import_used == "store"
    assert "hard_link" in kinds(made)
    assert store_usage(server) - before < 2**20
    assert "whole:Q4_1" in server.names()
    shown = server.call("POST", "/api/show", {"model": "whole:Q4_1"}).last
    assert shown["system"] == SETTINGS["system"]
    assert shown["template"] == SETTINGS["template"]
    assert shown["messages"] == SETTINGS["messages"]
    assert shown["details"]["family"] == "llama"
    assert shown["details"]["parameter_size"] == "134.52M"
    assert shown["details"]["quantization_level"] == "Q4_1"
    gone = run.absent(request(server, "whole:Q4_1"), ledger)
    assert gone.freed_bytes < 2**20
    assert digest_of_file(file) == digest_of_file(smollm2.merged)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_the_weights_stay_roots_and_the_rest_becomes_the_servers(
    server: Server, small_model: Path, ledger: Ledger
) -> None:
    run.present(request(server, "owned", file=str(small_model), **SETTINGS), ledger)
    manifest = server.manifest("owned")
    for layer in (manifest["config"], *manifest["layers"]):
        status = (server.blobs / layer["digest"].replace(":", "-")).stat()
        expected = 0 if layer["mediaType"].endswith("image.model") else server.models.stat().st_uid
        assert status.st_uid == expected
        assert not status.st_mode & 0o022
    assert server.manifest_path("owned").stat().st_uid == server.models.stat().st_uid


def test_the_same_again_changes_nothing_and_check_mode_tells_what_a_run_would_do(
    server: Server, small_model: Path, ledger: Ledger
) -> None:
    wanted = request(server, "again", file=str(small_model), **SETTINGS)
    planned = run.present(replace(wanted, check=True), ledger)
    assert "again:latest" not in server.names()
    made = run.present(wanted, ledger)
    assert made.actions == planned.actions
    assert made.digest == planned.digest
    assert run.present(wanted, ledger).actions == ()
    assert run.present(replace(wanted, check=True), ledger).actions == ()


def test_a_changed_parameter_rewrites_the_small_blobs_only_and_a_removed_setting_goes(
    server: Server, small_model: Path, ledger: Ledger
) -> None:
    run.present(
        request(server, "edit", file=str(small_model), **{**SETTINGS, "system": "of the first edition"}), ledger
    )
    fewer = {"template": SETTINGS["template"], "parameters": {"num_ctx": 256}}
    edited = run.present(request(server, "edit", file=str(small_model), **fewer), ledger)
    assert set(kinds(edited)) == {"write_blob", "write_manifest", "remove_blob"}
    shown = server.call("POST", "/api/show", {"model": "edit"}).last
    assert shown["parameters"].split() == ["num_ctx", "256"]
    assert not shown.get("system")
    assert not shown.get("messages")
    assert not shown.get("license")
    named = {layer["digest"].replace(":", "-") for layer in _all_layers(server)}
    assert {path.name for path in server.blobs.iterdir()} == named


def _all_layers(server: Server) -> list[dict[str, Any]]:
    manifests = [json.loads(path.read_bytes()) for path in server.models.glob("manifests/*/*/*/*")]
    return [layer for manifest in manifests for layer in (manifest["config"], *manifest["layers"])]


def test_a_derived_model_shares_the_weights_and_outlives_its_base(
    server: Server, small_model: Path, ledger: Ledger
) -> None:
    run.present(request(server, "root", file=str(small_model), parameters={"seed": 1}, system="old"), ledger)
    run.present(request(server, "leaf", base="ROOT", parameters={"num_ctx": 64}), ledger)
    shown = server.call("POST", "/api/show", {"model": "leaf"}).last
    assert sorted(shown["parameters"].split()) == ["1", "64", "num_ctx", "seed"]
    assert shown["system"] == "old"
    run.absent(request(server, "root"), ledger)
    assert server.call("POST", "/api/show", {"model": "root"}).status == 404
    assert server.call("POST", "/api/show", {"model": "leaf"}).status == 200
    gone = run.absent(request(server, "leaf"), ledger)
    assert kinds(gone).count("remove_blob") == len(set(_digests(gone)))
    assert "leaf:latest" not in server.names()


def _digests(result: run.Result) -> list[str]:
    return [action["path"] for action in result.actions if action["action"] == "remove_blob"]


def test_a_base_that_is_not_there_is_named_and_never_pulled(server: Server, ledger: Ledger) -> None:
    for way in ("store", "api"):
        with pytest.raises(OllamaProblem, match="no model missing:latest") as caught:
            run.present(request(server, "leaf", base="missing", import_way=way), ledger)
        assert "pulled" in caught.value.remedy


def test_a_name_in_another_case_is_the_same_model(server: Server, small_model: Path, ledger: Ledger) -> None:
    first = run.present(request(server, "Case:V1", file=str(small_model)), ledger)
    second = run.present(request(server, "case:v1", file=str(small_model)), ledger)
    assert (first.model, second.model, second.actions) == ("Case:V1", "Case:V1", ())
    third = run.present(request(server, "other:v1", file=str(small_model)), ledger)
    assert third.model == "other:V1"
    assert server.call("POST", "/api/show", {"model": "other:v1"}).status == 200
    for name in ("CASE:V1", "other:v1"):
        run.absent(request(server, name), ledger)
    assert not [name for name in server.names() if name.endswith("V1")]


def test_absent_says_what_it_freed_and_is_content_when_nothing_is_there(
    server: Server, small_model: Path, ledger: Ledger
) -> None:
    run.present(request(server, "short", file=str(small_model), system="x" * 50000), ledger)
    planned = run.absent(request(server, "short", check=True), ledger)
    gone = run.absent(request(server, "short"), ledger)
    assert gone.actions == planned.actions
    assert 50000 <= gone.freed_bytes < 200000
    assert gone.kept_files == (
        {"path": str(small_model), "size_bytes": small_model.stat().st_size, "made": False, "reason": ""},
    )
    assert small_model.exists()
    assert run.absent(request(server, "short"), ledger).actions == ()
    assert "short:latest" not in server.names()
    assert all(entry.is_current() for entry in ledger.entries(models_dir=str(server.models)))


def test_pruning_takes_our_undeclared_models_and_leaves_those_of_others(
    own_server: Server, small_model: Path, smollm2: SmolLM2, ledger: Ledger
) -> None:
    server = own_server
    server.start()
    server.create("theirs", files={"model.gguf": server.upload(smollm2.merged)})
    for name in ("kept", "dropped"):
        run.present(request(server, name, file=str(small_model), system=name), ledger)
    planned = run.pruned(request(server, "", keep=["KEPT"], check=True), ledger)
    assert server.names() == ["dropped:latest", "kept:latest", "theirs:latest"]
    assert Path(planned.actions[0]["path"]).parent.name == "dropped"
    done = run.pruned(request(server, "", keep=["KEPT"]), ledger)
    assert done.actions == planned.actions
    assert server.names() == ["kept:latest", "theirs:latest"]
    assert run.pruned(request(server, "", keep=["kept"]), ledger).actions == ()
    # What somebody else made anew under our name is not ours any more.
    server.create("kept", **{"from": "theirs"})
    assert run.pruned(request(server, ""), ledger).actions == ()


def test_what_was_fetched_goes_when_nothing_needs_it_whoever_removed_what_needed_it(
    server: Server, files: Path, ledger: Ledger
) -> None:
    """New weights under a name, a model that a client deleted, and one that a client's copy holds for a while."""

    def fetched(name: str) -> str:
        kv = {**builders.MODEL_KV, "general.name": ("str", str(files) + name)}
        path = files / f"{name}.gguf"
        path.write_bytes(builders.gguf(kv, builders.tensors(2)))
        ledger.record(str(path), sha256=digest_of_file(path).partition(":")[2], kind="file", lock="a lock")
        return str(path)

    def pruned(*wanted: run.Request, check: bool = False) -> run.Result:
        keep = [str(one.file) for one in wanted]
        others = replace(request(server, "", check=check), remove_files=True, keep_files=keep)
        answer = run_all("pruned", list(wanted), others, ledger).pruned
        assert isinstance(answer, run.Result)
        return answer

    old, new, dropped, copied = (fetched(name) for name in ("old", "new", "dropped", "copied"))
    for name, path in (("changed", old), ("dropped", dropped), ("copied", copied)):
        run.present(request(server, name, file=path), ledger)
    server.call("DELETE", "/api/delete", {"model": "dropped"})
    server.call("POST", "/api/copy", {"source": "copied", "destination": "of-a-client"})

    wanted = request(server, "changed", file=new)
    pruned(wanted)
    assert [Path(path).exists() for path in (old, new, dropped, copied)] == [False, True, False, True]
    # What stays is said with its bytes and the reason in every run.
    for only_look in (False, True):
        again = pruned(wanted, check=only_look)
        assert again.actions == ()
        (said,) = again.warnings
        assert all(word in said for word in (copied, f"{os.path.getsize(copied):,} bytes", "of-a-client:latest"))

    server.call("DELETE", "/api/delete", {"model": "of-a-client"})
    assert [action["path"] for action in pruned(wanted, check=True).actions] == [copied]
    pruned(wanted)
    assert [Path(path).exists() for path in (new, copied)] == [True, False]
    assert pruned(wanted).actions == ()
    run.absent(wanted, ledger)


def test_an_imported_model_survives_a_restart_of_the_server(
    own_server: Server, small_model: Path, ledger: Ledger
) -> None:
    own_server.start()
    run.present(request(own_server, "stays", file=str(small_model), **SETTINGS), ledger)
    own_server.stop()
    os.utime(small_model, (1, 1))
    own_server.start()
    assert own_server.names() == ["stays:latest"]
    assert own_server.call("POST", "/api/show", {"model": "stays"}).status == 200


def test_the_server_can_delete_and_copy_what_we_wrote(server: Server, small_model: Path, ledger: Ledger) -> None:
    run.present(request(server, "ours", file=str(small_model), **SETTINGS), ledger)
    assert server.call("POST", "/api/copy", {"source": "ours", "destination": "copied"}).status == 200
    assert server.call("DELETE", "/api/delete", {"model": "ours"}).status == 200
    assert server.call("POST", "/api/show", {"model": "copied"}).status == 200
    assert server.call("DELETE", "/api/delete", {"model": "copied"}).status == 200
    assert small_model.exists()


# --- the API way


def test_import_by_the_api_is_idempotent_by_content(own_server: Server, smollm2: SmolLM2, ledger: Ledger) -> None:
    own_server.start()
    wanted = request(own_server, "by-api", file=str(smollm2.merged), import_way="api", **SETTINGS)
    planned = run.present(replace(wanted, check=True), ledger)
    assert kinds(planned) == ["upload", "create"]
    assert own_server.names() == []
    assert run.present(wanted, ledger).actions == planned.actions
    assert run.present(wanted, ledger).actions == ()
    edited = run.present(replace(wanted, parameters={"seed": 2**40}), ledger)
    assert kinds(edited)[-1] == "create"
    assert run.present(replace(wanted, parameters={"seed": 2**40}), ledger).actions == ()
    derived = request(own_server, "child", base="by-api", import_way="api", parameters={"top_k": 5})
    assert kinds(run.present(derived, ledger)) == ["create"]
    assert run.present(derived, ledger).actions == ()
    for name in ("child", "by-api"):
        assert kinds(run.absent(request(own_server, name, import_way="api"), ledger)) == ["delete"]
    assert own_server.names() == []


# --- load


@pytest.fixture
def loadable(server: Server, smollm2: SmolLM2, ledger: Ledger, files: Path) -> run.Request:
    if not server.release.can_generate:
        pytest.skip("the binary has no lib/ollama beside it, so it can load no model")
    file = files / "model.gguf"
    shutil.copyfile(smollm2.merged, file)
    template = (
        "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
    )
    return request(
        server,
        "talks",
        file=str(file),
        template=template,
        parameters={"num_ctx": 256, "stop": ["<|im_end|>"], "temperature": 0, "seed": 1, "num_predict": 8},
        keep_alive="-1",
    )


def test_an_imported_model_loads_stays_pinned_and_answers(
    loadable: run.Request, server: Server, ledger: Ledger
) -> None:
    made = run.present(loadable, ledger)
    assert kinds(made)[-1] == "load"
    assert made.loaded is not None
    assert made.loaded["pinned"] is True
    assert made.loaded["size_bytes"] > 0
    running = in_memory(server)
    assert [model["name"] for model in running] == ["talks:latest"]
    assert running[0]["digest"].rpartition(":")[2] == made.digest
    again = run.present(loadable, ledger)
    assert again.actions == ()
    assert again.loaded == made.loaded

    chat = {"model": "talks", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
    answer = server.call("POST", "/v1/chat/completions", chat)
    assert answer.status == 200, answer
    assert answer.last["choices"][0]["message"]["content"].strip()

    lines = server.call("POST", "/api/generate", {"model": "TALKS", "prompt": "Say hello."}).lines
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert "".join(line["response"] for line in lines).strip()

    unload(server, "talks")
    assert kinds(run.present(loadable, ledger)) == ["load"]
    run.absent(request(server, "talks"), ledger)
    eventually(lambda: in_memory(server) == [], "nothing is in memory")


def test_a_model_is_loaded_on_each_server_that_serves_it(loadable: run.Request, server: Server, ledger: Ledger) -> None:
    second = replace(server, port=free_port(), environment={"OLLAMA_NOPRUNE": "1"}, process=None)
    second.start()
    try:
        both = replace(loadable, name="twice", also_on=(second.url,))
        made = run.present(both, ledger)
        assert kinds(made)[-2:] == ["load", "load"]
        assert second.url in made.actions[-1]["reason"]
        for one in (server, second):
            assert [model["name"] for model in in_memory(one)] == ["twice:latest"]
        assert run.present(both, ledger).actions == ()
        unload(second, "twice")
        assert kinds(run.present(replace(both, check=True), ledger)) == ["load"]
        assert kinds(run.present(both, ledger)) == ["load"]
        assert [model["name"] for model in in_memory(second)] == ["twice:latest"]
        unload(server, "twice")
        run.absent(request(server, "twice"), ledger)
    finally:
        second.stop()
    eventually(lambda: in_memory(server) == [], "nothing is in memory")


def test_names_of_one_file_share_a_runner_that_is_listed_by_the_first_of_them_alone(
    loadable: run.Request, server: Server, ledger: Ledger
) -> None:
    """What the server does, asked without our code; then that it needs no load and no change from us."""
    models, others = [loadable, replace(loadable, name="also")], request(server, "")
    made = run_all("present", models, others, ledger)
    assert [kinds(one)[-1] for one in made.results] == ["load", "load"]
    for name in ("also", "talks"):
        server.call("POST", "/api/generate", {"model": name, "stream": False})
        (listed,) = in_memory(server)
        assert (listed["name"], listed["expires_at"][0]) == ("talks:latest", "2")
        assert int(listed["expires_at"][:4]) > 2100, "a request without keep_alive leaves the time as it is"
    again = run_all("present", models, others, ledger)
    assert [one.actions for one in again.results] == [(), ()]
    assert [one.loaded["pinned"] for one in again.results if one.loaded] == [True, True]
    changed = run_all("present", [replace(models[0], system="Be brief."), models[1]], others, ledger)
    assert [bool(one.actions) for one in changed.results] == [True, False]
    assert [one.problem for one in changed.problems] == []

    # The one that was loaded goes; the other one goes on by the same runner.
    gone = run_all("pruned", [models[1]], others, ledger)
    assert kinds(gone.results[0]) == []
    assert len(in_memory(server)) == 1
    assert [one.actions for one in run_all("pruned", [models[1]], others, ledger).results] == [(), ()]
    run.absent(models[1], ledger)
    eventually(lambda: in_memory(server) == [], "nothing is in memory")


def test_of_two_pinned_names_of_one_file_with_other_options_the_first_stays_and_it_is_said_once(
    loadable: run.Request, server: Server, ledger: Ledger
) -> None:
    models = [loadable, replace(loadable, name="longer", parameters={**loadable.parameters, "num_ctx": 512})]
    made = run_all("present", models, loadable, ledger)
    (said,) = [warning for one in made.results for warning in one.warnings if "same weights" in warning]
    assert "longer and talks" in said and "num_ctx" in said
    again = run_all("present", models, loadable, ledger)
    assert [(one.actions, one.warnings) for one in again.results] == [((), ()), ((), ())]
    assert [model["name"] for model in in_memory(server)] == ["talks:latest"]

    endpoint, residency = Endpoint(server.url, silence_seconds=60), Residency()
    residency.note(endpoint)
    told = check(endpoint, Wanted("ollama", "longer", Question("Say hello.", 8, "ollama")))
    assert told["size_bytes"]
    assert [model["name"] for model in in_memory(server)] == ["longer:latest"]
    assert residency.restore(60) == []
    assert [(model["name"], int(model["expires_at"][:4]) > 2100) for model in in_memory(server)] == [
        ("talks:latest", True)
    ]
    for one in models:
        run.absent(one, ledger)


def test_new_weights_of_a_pinned_name_are_loaded_when_the_old_ones_have_left_the_memory(
    loadable: run.Request, server: Server, ledger: Ledger, files: Path, smollm2: SmolLM2
) -> None:
    run.present(loadable, ledger)
    (before,) = in_memory(server)
    other = files / "other.gguf"
    # Bytes after the tensors are another file of the same model, which 0.5.7 refuses to create and loads.
    other.write_bytes(smollm2.merged.read_bytes() + bytes(32))
    made = run.present(replace(loadable, file=str(other)), ledger)
    assert kinds(made)[-1] == "load"
    (after,) = in_memory(server)
    assert (after["name"], after["digest"] != before["digest"]) == ("talks:latest", True)
    run.absent(loadable, ledger)


def test_a_model_that_cannot_be_loaded_is_a_problem_with_the_servers_reason_and_stays_listed(
    server: Server, small_model: Path, ledger: Ledger
) -> None:
    if not server.release.can_generate:
        pytest.skip("the binary has no lib/ollama beside it, so it can load no model")
    with pytest.raises(EngineProblem, match="broken:latest does not load: ") as caught:
        run.present(request(server, "broken", file=str(small_model), keep_alive="5m"), ledger)
    assert "no reason given" not in caught.value.problem
    # A real server lists what fails to load for a moment.
    eventually(lambda: in_memory(server) == [], "nothing is in memory")
    assert "broken:latest" in server.names()
    run.absent(request(server, "broken"), ledger)


def test_a_model_that_is_not_there_is_404_to_those_who_want_an_answer_and_never_pulled(server: Server) -> None:
    for path in ("/api/generate", "/api/chat", "/v1/chat/completions"):
        answer = server.call("POST", path, {"model": "nobody", "messages": [{"role": "user", "content": "x"}]})
        assert answer.status == 404, answer
