# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""gguf_resolve with the real SDKs against the hub double."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
import yaml

from ansible_collections.gguf.fleet.plugins.module_utils._gguf.header import parse_header
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.layout import merge_layout
from ansible_collections.gguf.fleet.plugins.module_utils._lock import lock_file
from ansible_collections.gguf.fleet.plugins.module_utils._lock.lock import check_lock
from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.seal import make_seal, sum_blocks
from ansible_collections.gguf.fleet.tests.builders.ranges import read_range
from ansible_collections.gguf.fleet.tests.doubles.hub.faults import Fault
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble
from ansible_collections.gguf.fleet.tests.integration.hub.conftest import one_source

REPO = "lab/Tiny-GGUF"
Quants = Dict[str, Dict[str, bytes]]
Run = Callable[..., Dict[str, Any]]
SDK_HUBS = ["modelscope", "huggingface"]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def options(hub: HubDouble, name: str = "modelscope", **more: Any) -> Dict[str, Any]:
    if name == "url":
        first = "Tiny-UD-IQ1_S/Tiny-UD-IQ1_S-00001-of-00003.gguf"
        return {"hub": "url", "urls": [hub.file_url(REPO, first)], **more}
    if name == "path":
        return {"hub": "path", "path": str(hub.catalog.root / REPO), "quant": "UD-IQ1_S", **more}
    return {"hub": name, "repo": REPO, "endpoint": hub.url, "quant": "UD-IQ1_S", **more}


@pytest.mark.parametrize("name", [*SDK_HUBS, "url", "path"])
def test_every_hub_gives_the_same_files_sizes_and_facts(
    hub: HubDouble, quants: Quants, resolve: Run, name: str
) -> None:
    lock = check_lock(resolve(**options(hub, name))["lock"])
    contents = quants["UD-IQ1_S"]
    assert [file["path"] for file in lock["files"]] == list(contents)
    assert [file["size_bytes"] for file in lock["files"]] == [len(content) for content in contents.values()]
    headers = [parse_header(content) for content in contents.values()]
    assert [file["header_bytes"] for file in lock["files"]] == [header.header_bytes for header in headers]
    assert lock["merged"] == {"size_bytes": merge_layout(headers).size_bytes, "sha256": None}
    assert lock["gguf"]["architecture"] == "llama"
    assert lock["gguf"]["complete"] is True
    assert lock["quant"] == "UD-IQ1_S"
    known = [sha(content) if name != "path" else None for content in contents.values()]
    assert [file["sha256"] for file in lock["files"]] == known


@pytest.mark.parametrize("name", [*SDK_HUBS, "url"])
def test_the_addresses_in_the_lock_lead_to_the_files(hub: HubDouble, quants: Quants, resolve: Run, name: str) -> None:
    lock = resolve(**options(hub, name))["lock"]
    for file, content in zip(lock["files"], quants["UD-IQ1_S"].values()):
        assert read_range(file["url"], 0, file["size_bytes"]) == content


@pytest.mark.parametrize("name", SDK_HUBS)
def test_a_branch_is_pinned_to_its_commit(hub: HubDouble, resolve: Run, name: str) -> None:
    lock = resolve(**options(hub, name))["lock"]
    revision = hub.catalog.revision(REPO, "master")
    assert revision is not None
    assert lock["commit"] == revision.commit
    assert all(revision.commit in file["url"] for file in lock["files"])


def test_only_a_few_bytes_of_each_shard_are_read(hub: HubDouble, resolve: Run) -> None:
    big = hub.catalog.root / REPO / "big-F16.gguf"
    first = next(iter((hub.catalog.root / REPO / "Tiny-UD-IQ1_S").iterdir())).read_bytes()
    big.write_bytes(first + bytes(20_000_000))
    hub.inject(Fault("no_digests"))
    result = resolve(**options(hub, "url", urls=[hub.file_url(REPO, "big-F16.gguf")]))
    assert "one of 3 shards" in result["msg"]
    assert hub.bytes_sent("big-F16.gguf") <= 256 << 10


def test_the_lock_is_written_once_and_then_used_without_any_request(
    tmp_path: Path, hub: HubDouble, resolve: Run
) -> None:
    lock_file = tmp_path / "models.lock.txt"
    given = options(hub, name="modelscope", lock_file=str(lock_file), token="s3cret-token")
    first = resolve(**{**given, "name": "tiny"})
    assert (first["changed"], first["asked"]) == (True, ["tiny"])
    text = lock_file.read_text()
    assert yaml.safe_load(text)["locks"]["tiny"] == first["lock"]
    assert "s3cret-token" not in text

    hub.stop()
    requests = len(hub.requests)
    second = resolve(**{**given, "name": "tiny"})
    assert (second["changed"], second["asked"], second["lock"]) == (False, [], first["lock"])
    assert lock_file.read_text() == text
    assert len(hub.requests) == requests


def test_check_mode_resolves_and_shows_and_writes_nothing(tmp_path: Path, hub: HubDouble, resolve: Run) -> None:
    lock_file = tmp_path / "models.lock.txt"
    given = {**options(hub), "name": "tiny", "lock_file": str(lock_file)}
    told = resolve(**given, check=True)
    assert told["changed"]
    assert "UD-IQ1_S" in told["diff"]["after"]
    assert not lock_file.exists()
    real = resolve(**given)
    assert real["lock"] == told["lock"]
    assert lock_file.read_text() == told["diff"]["after"]
    assert resolve(**given, check=True)["changed"] is False


def test_all_sources_of_a_fleet_are_resolved_in_one_run_and_a_repository_is_listed_once(
    tmp_path: Path, hub: HubDouble, resolve: Run, resolve_all: Run
) -> None:
    lock_file = str(tmp_path / "models.lock.txt")
    resolve(**options(hub, quant="UD-IQ1_S"), name="small", lock_file=lock_file)
    listed = sum("/files" in request.path for request in hub.requests)
    hub.reset_counters()
    wanted = {"small": options(hub), "large": options(hub, quant="Q8_0"), "plain": options(hub, "url")}
    sources = [{"name": name, "source": source} for name, source in wanted.items()]
    more = {"name": "again", "source": options(hub)}
    found = resolve_all(sources=[*sources, more], lock_file=lock_file)
    assert sum("/files" in request.path for request in hub.requests) == listed
    assert found["asked"] == ["large", "plain", "again"]
    locks = yaml.safe_load(Path(lock_file).read_text())["locks"]
    assert locks == found["locks"]
    quants = {name: lock["quant"] for name, lock in locks.items()}
    assert quants == {"small": "UD-IQ1_S", "large": "Q8_0", "plain": "UD-IQ1_S", "again": "UD-IQ1_S"}


def test_every_source_that_fails_is_named_and_then_nothing_is_written(
    tmp_path: Path, hub: HubDouble, resolve_all: Run
) -> None:
    lock_file = tmp_path / "models.lock.txt"
    wrong = {"gone": options(hub, quant="Q2_K"), "link": {"repo": "https://x.example/a/b/c"}}
    sources = [{"name": name, "source": source} for name, source in {**wrong, "fine": options(hub)}.items()]
    refused = resolve_all(sources=sources, lock_file=str(lock_file))
    assert refused["failed"]
    assert set(refused["problems"]) == set(wrong)
    assert "gone: lab/Tiny-GGUF has no Q2_K" in refused["msg"]
    assert "link: repo is the link" in refused["msg"]
    assert not lock_file.exists()

    some = resolve_all(sources=[{**source, "optional": True} for source in sources], lock_file=str(lock_file))
    assert (set(some["locks"]), set(some["problems"])) == ({"fine"}, set(wrong))
    assert list(yaml.safe_load(lock_file.read_text())["locks"]) == ["fine"]


def test_two_sources_of_one_name_are_refused(hub: HubDouble, resolve_all: Run) -> None:
    refused = resolve_all(sources=[{"name": "a", "source": options(hub)}, {"name": "a", "source": options(hub)}])
    assert "two sources of the name a" in refused["msg"]


def test_a_source_that_is_no_entry_of_sources_is_refused_with_that_word(hub: HubDouble, resolve_all: Run) -> None:
    assert "missing required arguments: sources" in resolve_all(**options(hub))["msg"]
    both = resolve_all(**options(hub), sources=[{"name": "a", "source": options(hub)}])
    assert "Unsupported parameters" in both["msg"] and "Supported parameters include: ca_file" in both["msg"]


def test_a_lock_of_something_else_is_not_used_for_a_request(tmp_path: Path, hub: HubDouble, resolve: Run) -> None:
    lock_file = str(tmp_path / "models.lock.txt")
    resolve(**options(hub), name="tiny", lock_file=lock_file)
    before = Path(lock_file).read_text()
    other = options(hub, quant="Q8_0")
    refused = resolve(**other, name="tiny", lock_file=lock_file)
    assert refused["failed"]
    assert "Q8_0 instead of UD-IQ1_S" in refused["problem"]
    assert "update: true" in refused["remedy"]
    assert Path(lock_file).read_text() == before
    assert resolve(**other, name="tiny", lock_file=lock_file, update=True)["lock"]["quant"] == "Q8_0"


def test_an_update_shows_what_changed_on_the_hub(tmp_path: Path, hub: HubDouble, quants: Quants, resolve: Run) -> None:
    given = {**options(hub), "name": "tiny", "lock_file": str(tmp_path / "models.lock.txt")}
    old = resolve(**given)["lock"]
    path, content = list(quants["UD-IQ1_S"].items())[2]
    changed = content[:-1] + bytes([content[-1] ^ 1])
    (hub.catalog.root / REPO / path).write_bytes(changed)

    assert resolve(**given)["lock"] == old, "a lock that is there stays as it is"
    update = resolve(**given, update=True)
    assert update["changed"]
    assert sha(content) in update["diff"]["before"]
    assert sha(changed) in update["diff"]["after"]
    assert update["lock"]["files"][2]["sha256"] == sha(changed)
    assert update["lock"]["files"][:2] != old["files"][:2], "the addresses name the new commit"
    assert resolve(**given, update=True)["changed"] is False


def a_seal(lock: Dict[str, Any], contents: List[bytes], piece_bytes: int = 4096) -> Dict[str, Any]:
    digests = {file["path"]: sum_blocks([content], piece_bytes) for file, content in zip(lock["files"], contents)}
    return make_seal(lock, digests, "d" * 64, piece_bytes)


def test_a_seal_is_added_with_a_diff_and_survives_an_update(
    tmp_path: Path, hub: HubDouble, quants: Quants, resolve: Run
) -> None:
    given = {**options(hub), "name": "tiny", "lock_file": str(tmp_path / "models.lock.txt")}
    seal = a_seal(resolve(**given)["lock"], list(quants["UD-IQ1_S"].values()))
    told = resolve(**given, seal=seal, check=True)
    assert told["changed"]
    assert "seal" in told["diff"]["after"]
    assert "seal" not in told["diff"]["before"]
    sealed = resolve(**given, seal=seal)
    assert sealed["lock"] == told["lock"]
    assert sealed["lock"]["merged"]["sha256"] == "d" * 64
    assert resolve(**given, seal=seal)["changed"] is False
    assert resolve(**given)["lock"] == sealed["lock"]
    assert resolve(**given, update=True)["lock"]["seal"] == sealed["lock"]["seal"]


def test_an_update_from_a_hub_that_tells_no_sums_any_more_drops_none(
    tmp_path: Path, hub: HubDouble, quants: Quants, resolve: Run
) -> None:
    given = {**options(hub), "name": "tiny", "lock_file": str(tmp_path / "models.lock.txt")}
    seal = a_seal(resolve(**given)["lock"], list(quants["UD-IQ1_S"].values()))
    sealed = resolve(**given, seal=seal)["lock"]
    hub.inject(Fault("no_digests"))
    updated = resolve(**given, update=True)
    assert updated["asked"] == ["tiny"]
    assert updated["changed"] is False
    assert updated["lock"] == sealed

    first = hub.catalog.root / REPO / next(iter(quants["UD-IQ1_S"]))
    first.write_bytes(first.read_bytes()[:-1] + b"!")
    fresh = resolve(**given, update=True)["lock"]
    assert "seal" not in fresh, "another commit may hold other bytes"
    assert [file["sha256"] for file in fresh["files"]] == [None] * 3


def test_a_seal_of_other_bytes_is_refused(tmp_path: Path, hub: HubDouble, quants: Quants, resolve: Run) -> None:
    given = {**options(hub), "name": "tiny", "lock_file": str(tmp_path / "models.lock.txt")}
    seal = a_seal(resolve(**given)["lock"], list(quants["UD-IQ1_S"].values()))
    seal["files"][next(iter(seal["files"]))] = "0" * 64
    refused = resolve(**given, seal=seal)
    assert refused["failed"]
    assert "verified against this lock" in refused["remedy"]


@pytest.mark.parametrize("name", SDK_HUBS)
def test_an_unknown_quant_is_answered_with_all_there_are(hub: HubDouble, resolve: Run, name: str) -> None:
    refused = resolve(**options(hub, name, quant="IQ3_XXS"))
    assert refused["failed"]
    assert "lab/Tiny-GGUF has no IQ3_XXS" in refused["msg"]
    assert "UD-IQ1_S (" in refused["msg"]
    assert "Q8_0 (" in refused["msg"]


@pytest.mark.parametrize("name", SDK_HUBS)
def test_an_unknown_repository_is_named_with_the_hub(hub: HubDouble, resolve: Run, name: str) -> None:
    refused = resolve(**options(hub, name, repo="lab/Nothing-GGUF"))
    assert f"{hub.url} has no repository lab/Nothing-GGUF" in refused["problem"]


@pytest.mark.parametrize("name", SDK_HUBS)
def test_an_unknown_revision_is_named(hub: HubDouble, resolve: Run, name: str) -> None:
    refused = resolve(**options(hub, name, revision="v9"))
    assert "has no revision v9" in refused["problem"]


def test_the_revisions_that_there_are_are_listed(hub: HubDouble, resolve: Run) -> None:
    (hub.catalog.root / "lab" / "Tiny-GGUF@v1.0").mkdir()
    assert "v1.0" in resolve(**options(hub, revision="v9"))["remedy"]


@pytest.mark.parametrize("name", SDK_HUBS)
def test_a_repository_that_wants_a_token_says_so_and_the_token_is_never_shown(
    tmp_path: Path, hub: HubDouble, resolve: Run, name: str
) -> None:
    hub.token = "s3cret-token"
    refused = resolve(**options(hub, name, token="wr0ng-token"))
    assert "token" in refused["remedy"]
    assert "wr0ng-token" not in json.dumps(refused)
    lock_file = tmp_path / "models.lock.txt"
    allowed = resolve(**options(hub, name, token="s3cret-token"), name="tiny", lock_file=str(lock_file))
    assert not allowed["failed"]
    assert "s3cret-token" not in json.dumps(allowed) + lock_file.read_text()


def test_passwords_in_addresses_are_used_and_shown_nowhere(tmp_path: Path, hub: HubDouble, resolve: Run) -> None:
    hub.basic_auth = "me:p%ss"
    url = hub.file_url(REPO, "Tiny-Q8_0/Tiny-Q8_0-00001-of-00002.gguf")
    with_password = url.replace("http://", "http://me:p%25ss@")
    lock_file = tmp_path / "models.lock.txt"
    result = resolve(hub="url", urls=[with_password], name="tiny", lock_file=str(lock_file))
    assert not result["failed"]
    assert "p%25ss" not in json.dumps(result) + lock_file.read_text()
    assert "me:p" not in lock_file.read_text()
    assert resolve(hub="url", urls=[url])["failed"], "the password is really demanded"


@pytest.mark.parametrize("name", SDK_HUBS)
def test_a_hub_that_cannot_be_reached_is_named_with_what_to_look_at(hub: HubDouble, resolve: Run, name: str) -> None:
    hub.stop()
    refused = resolve(**options(hub, name))
    assert f"{hub.url} cannot be reached: " in refused["problem"]
    assert "proxy" in refused["remedy"]


@pytest.mark.parametrize("name", SDK_HUBS)
def test_a_listing_with_a_path_out_of_the_folder_is_refused(
    tmp_path: Path, hub: HubDouble, resolve: Run, name: str
) -> None:
    hub.inject(Fault("listing", "*00002-of-00003*", rename="../../x"))
    lock_file = tmp_path / "models.lock.txt"
    refused = resolve(**options(hub, name), name="tiny", lock_file=str(lock_file))
    assert "'../../x'" in refused["problem"]
    assert not lock_file.exists()


@pytest.mark.parametrize("name", SDK_HUBS)
@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ({"size_bytes": 12}, "gives Tiny-UD-IQ1_S/Tiny-UD-IQ1_S-00002-of-00003.gguf 12 bytes, but the server has"),
        ({"sha256": "0" * 64}, "but the server says"),
        ({"omit": True}, "2 of 3 shards are listed (missing: 2)"),
    ],
)
def test_a_listing_that_lies_about_a_shard_is_found_out(
    hub: HubDouble, resolve: Run, name: str, lie: Dict[str, Any], message: str
) -> None:
    hub.inject(Fault("listing", "*00002-of-00003*", **lie))
    refused = resolve(**options(hub, name))
    assert refused["failed"]
    assert message in refused["msg"]


def test_sums_that_nobody_tells_stay_unknown_until_they_are_given(hub: HubDouble, quants: Quants, resolve: Run) -> None:
    hub.inject(Fault("no_digests"))
    assert [file["sha256"] for file in resolve(**options(hub))["lock"]["files"]] == [None] * 3
    digests = {path.rpartition("/")[2]: sha(content) for path, content in quants["UD-IQ1_S"].items()}
    given = resolve(**options(hub), sha256=digests)["lock"]
    assert [file["sha256"] for file in given["files"]] == list(digests.values())


def test_a_given_sum_that_contradicts_the_hub_is_refused(hub: HubDouble, resolve: Run) -> None:
    refused = resolve(**options(hub), sha256={"Tiny-UD-IQ1_S-00001-of-00003.gguf": "0" * 64})
    assert "the hub lists" in refused["problem"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", "*.gguf", times=2, code=503),
        Fault("status", "*.gguf", times=1, code=429, retry_after="0"),
        Fault("reset", "*.gguf", times=2, after_bytes=1),
        Fault("truncate", "*.gguf", times=2),
        Fault("no_range", "*.gguf"),
        Fault("redirect", "*.gguf"),
        Fault("latency", seconds=0.05),
    ],
    ids=lambda fault: fault.kind + str(fault.code),
)
def test_a_hub_with_a_bad_day_gives_the_same_lock(hub: HubDouble, resolve: Run, fault: Fault) -> None:
    expected = resolve(**options(hub))["lock"]
    hub.inject(fault)
    assert resolve(**options(hub)).get("lock") == expected


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("html", "*.gguf"), "HTML page"),
        (Fault("gzip", "*.gguf"), "compressed"),
        (Fault("content_range", "*.gguf"), "answered with range"),
        (Fault("flip", "*.gguf", offset=0), "not a GGUF file"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_something_else_than_the_header_is_recognised_by_name(
    hub: HubDouble, resolve: Run, fault: Fault, message: str
) -> None:
    hub.inject(fault)
    refused = resolve(**options(hub))
    assert refused["failed"]
    assert message in refused["problem"]


def test_shards_of_two_models_under_one_name_are_refused(hub: HubDouble, quants: Quants, resolve: Run) -> None:
    paths = [hub.catalog.root / REPO / path for path in quants["UD-IQ1_S"]]
    paths[1].write_bytes(paths[2].read_bytes())
    refused = resolve(**options(hub))
    assert "in the place of shard 2 is shard 3" in refused["problem"]


def test_a_file_that_was_never_split_is_its_own_merge(hub: HubDouble, smollm2: Any, resolve: Run) -> None:
    (hub.catalog.root / REPO / "whole-Q4_1.gguf").symlink_to(smollm2.whole)
    lock = resolve(**options(hub, quant="Q4_1"))["lock"]
    size_bytes = smollm2.whole.stat().st_size
    assert lock["merged"] == {"size_bytes": size_bytes, "sha256": lock["files"][0]["sha256"]}


def test_the_real_shards_lock_promises_the_size_of_the_real_merge(hub: HubDouble, smollm2: Any, resolve: Run) -> None:
    result = resolve(hub="path", path=str(Path(smollm2.shards[0]).parent), quant="Q4_1")
    assert result["lock"]["merged"]["size_bytes"] == Path(smollm2.merged).stat().st_size


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, resolve: Run) -> None:
    assert f"{tmp_path}/none is not a folder" in resolve(hub="path", path=str(tmp_path / "none"))["problem"]


def test_what_a_host_read_of_its_own_files_is_pinned_without_a_look_from_here(
    tmp_path: Path, smollm2: Any, resolve: Run
) -> None:
    folder = tmp_path / "on-the-host"
    folder.symlink_to(Path(smollm2.shards[0]).parent)
    asked = {"hub": "path", "path": str(folder), "quant": "Q4_1"}
    read = resolve(**asked)["lock"]
    folder.unlink()
    given = {**asked, "name": "m", "lock_file": str(tmp_path / "models.lock.txt")}
    assert resolve(**given, lock=read)["lock"] == read
    assert resolve(**given)["changed"] is False, "it is in the lock file, and nobody looks again"


def test_of_what_a_host_read_only_what_was_asked_for_is_taken(tmp_path: Path, smollm2: Any, resolve: Run) -> None:
    folder = Path(smollm2.shards[0]).parent
    asked = {"hub": "path", "path": str(folder), "quant": "Q4_1"}
    read = resolve(**asked)["lock"]
    other = resolve(**{**asked, "path": str(tmp_path)}, lock=read)
    assert f"path {tmp_path} instead of" in other["problem"]
    files = [{**file, "url": "file:///etc/shadow"} for file in read["files"]]
    assert f"a file outside of {folder}" in resolve(**asked, lock={**read, "files": files})["problem"]
    assert "lists no files" in resolve(**asked, lock={**read, "files": []})["problem"]


def test_a_lock_file_from_the_future_is_refused_and_an_update_replaces_nothing_else(
    tmp_path: Path, hub: HubDouble, resolve: Run
) -> None:
    lock_file = tmp_path / "models.lock.txt"
    lock_file.write_text("locks: {tiny: {lock_version: 7}, other: {lock_version: 7}}\n")
    given = {**options(hub), "name": "tiny", "lock_file": str(lock_file)}
    refused = resolve(**given)
    assert f"tiny in {lock_file}: The lock has the version 7" in refused["problem"]
    assert resolve(**given, update=True)["changed"]
    assert yaml.safe_load(lock_file.read_text())["locks"]["other"] == {"lock_version": 7}


def test_the_sum_that_a_hub_tells_in_its_redirect_is_in_the_lock(hub: HubDouble, quants: Quants, resolve: Run) -> None:
    hub.inject(Fault("redirect", "*.gguf"))
    lock = resolve(**options(hub, "url"))["lock"]
    assert [file["sha256"] for file in lock["files"]] == [sha(content) for content in quants["UD-IQ1_S"].values()]
    assert all(file["url"].startswith(hub.url) for file in lock["files"]), "a signed address would be void tomorrow"


@pytest.mark.parametrize("old", ["null", "3", "{files: 3}", "{lock_version: 1, hub: path}"])
def test_an_update_replaces_a_lock_that_is_damaged(tmp_path: Path, hub: HubDouble, resolve: Run, old: str) -> None:
    lock_file = tmp_path / "models.lock.txt"
    lock_file.write_text(f"locks: {{tiny: {old}}}\n")
    given = {**options(hub), "name": "tiny", "lock_file": str(lock_file)}
    assert "update: true" in resolve(**given)["remedy"]
    assert check_lock(resolve(**given, update=True)["lock"])
    assert resolve(**given)["asked"] == []


PROGRAM = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.gguf.fleet.plugins.modules import gguf_resolve
with patch_module_args(json.loads(sys.argv[2])):
    gguf_resolve.main()
"""


def in_its_own_process(environment: Dict[str, str], **given: Any) -> Dict[str, Any]:
    """Run the module as Ansible does: SDKs read their settings once, when they are imported."""
    tests = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tests), json.dumps(one_source(**given))],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    result: Dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(("name", "setting"), [("modelscope", "MODELSCOPE_ENDPOINT"), ("huggingface", "HF_ENDPOINT")])
def test_the_sdks_own_settings_name_the_endpoint(hub: HubDouble, name: str, setting: str) -> None:
    lock = in_its_own_process({setting: hub.url}, hub=name, repo=REPO, quant="Q8_0")["locks"]["tiny"]
    assert lock["endpoint"] == hub.url
    assert lock["files"][0]["url"].startswith(hub.url)


@pytest.mark.parametrize("name", [*SDK_HUBS, "url"])
def test_a_hub_with_a_certificate_of_its_own_is_trusted_by_ca_file(
    hub: HubDouble, certificate: Tuple[Path, Path], name: str
) -> None:
    with HubDouble(hub.catalog.root, certificate=certificate[0]) as tls:
        tls.url = tls.url.replace("127.0.0.1", "localhost")
        given = options(tls, name)
        assert not in_its_own_process({}, **given, ca_file=str(certificate[1])).get("failed")
        assert "certificate" in in_its_own_process({}, **given)["problem"].lower()


def test_a_lock_that_is_there_needs_no_sdk_either(tmp_path: Path, hub: HubDouble, resolve: Run) -> None:
    given = {**options(hub), "name": "tiny", "lock_file": str(tmp_path / "models.lock.txt")}
    resolve(**given)
    for package in ("modelscope_hub", "huggingface_hub"):
        (tmp_path / "broken" / package).mkdir(parents=True)
        (tmp_path / "broken" / package / "__init__.py").write_text("raise ImportError('not on this controller')\n")
    without_sdks = {"PYTHONPATH": str(tmp_path / "broken")}
    assert in_its_own_process(without_sdks, **given)["asked"] == []
    refused = in_its_own_process(without_sdks, **given, update=True)
    assert "has no usable package modelscope" in refused["problem"]
    assert "pip install 'modelscope>=1.38'" in refused["remedy"]
    refused = in_its_own_process(without_sdks, hub="huggingface", repo=REPO)
    assert "pip install huggingface_hub" in refused["remedy"]


def test_an_interpreter_without_yaml_is_named_with_the_one_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise ImportError('not here')\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        patch.delitem(sys.modules, "yaml")
        with pytest.raises(HubProblem, match=r"has no PyYAML.*ansible_playbook_python"):
            lock_file.load(str(tmp_path / "models.lock.txt"))
