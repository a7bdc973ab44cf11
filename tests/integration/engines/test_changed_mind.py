# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A declaration that is changed: old state, new inventory, run, second run unchanged, nothing of the old one unsaid.

The real llama-server and the Ollama stand-in on one host. The rows are in an order in which each begins where the one
before it ended.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.bare_host import release
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, changed, docker

pytestmark = pytest.mark.docker
OLLAMA, LLAMA_CPP = "11434/api/version", "8080/health"
# Of a host that is as declared: each costs CPU seconds of the controller, for every host.
TASKS_AT_MOST = 25
CTX = {"llama_cpp": {"ctx-size": 512}, "ollama": {"num_ctx": 512}}


def declared(name: str, engine: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "engine": engine, "parameters": CTX[engine], **more}


@dataclass(frozen=True)
class Row:
    """A transition. serves: who answers after it; said: words of the run; fails: whether it is refused or undone."""

    title: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    serves: set[str]
    said: tuple[str, ...] = ()
    fails: bool = False
    unsaid: tuple[str, ...] = ()
    always: bool = False


A, B = declared("a", "llama_cpp"), declared("b", "llama_cpp")
FIRST, SECOND = declared("o", "ollama", template="chatml"), declared("p", "ollama", template="chatml")
BROKEN = {**B, "parameters": {"ctx-size": 512, "no-such-option": "1"}}

ROWS = [
    Row(
        "llama.cpp: a model is renamed and takes the port of the old one",
        {"models_serve": [A]},
        {"models_serve": [B]},
        {LLAMA_CPP},
        ("stop llama-cpp-a: llama-cpp-b takes its place",),
        unsaid=("is in use", "Left over"),
        always=True,
    ),
    Row(
        "llama.cpp: a renamed model does not start, and the old one serves again",
        {"models_serve": [B]},
        {"models_serve": [{**BROKEN, "name": "c"}]},
        {LLAMA_CPP},
        ("llama-cpp-c is stopped", "llama-cpp-b, which ran before, serves again", "FAILED: "),
        fails=True,
    ),
    Row(
        "llama.cpp to Ollama",
        {"models_serve": [B]},
        {"models_serve": [FIRST]},
        {OLLAMA},
        ("stop llama-cpp-b",),
        always=True,
    ),
    Row(
        "Ollama: a model is renamed, and the old name is left and said",
        {"models_serve": [FIRST]},
        {"models_serve": [SECOND]},
        {OLLAMA},
        ("o:latest in Ollama's store (models_prune: true removes it)",),
    ),
    Row(
        "Ollama: what is left is pruned",
        {"models_serve": [FIRST, SECOND]},
        {"models_serve": [SECOND], "models_prune": True},
        {OLLAMA},
        ("remove manifest ",),
        unsaid=("o:latest in Ollama's store",),
    ),
    Row(
        "Ollama: a template that is no template is refused before anything is changed",
        {"models_serve": [SECOND]},
        {"models_serve": [{**SECOND, "template": "chatmll"}]},
        {OLLAMA},
        ("Did you mean chatml?",),
        fails=True,
    ),
    Row(
        "a misspelt variable is refused before anything is changed",
        {"models_serve": [SECOND]},
        {"models_serve": [SECOND], "ollama_verison": "0.5.7"},
        {OLLAMA},
        ("there is no variable ollama_verison. Did you mean ollama_version?",),
        fails=True,
    ),
    Row(
        "Ollama: the directory of the files is moved, nothing is fetched again, and the old file is said",
        {"models_serve": [SECOND]},
        {"models_serve": [SECOND], "host_models_dir": "/srv/elsewhere"},
        {OLLAMA},
        ("Left over: ", "/srv/gguf-fleet/models/"),
        unsaid=("MiB from ",),
    ),
    Row(
        "Ollama to llama.cpp",
        {"models_serve": [SECOND]},
        {"models_serve": [A]},
        {LLAMA_CPP},
        ("Ollama is stopped, since llama_cpp serves this host now",),
        always=True,
    ),
    Row(
        "llama.cpp beside an Ollama that is declared to stay",
        {"models_serve": [A]},
        {"models_serve": [A], "fleet_engines": ["ollama"]},
        {LLAMA_CPP, OLLAMA},
    ),
]


class World:
    """The host and the inventory that it was last brought to."""

    def __init__(self, host: Host, settings: Mapping[str, Any], shards: Path) -> None:
        self.host = host
        self.settings = dict(settings)
        self.source = {"hub": "path", "path": str(shards)}
        self.state: Mapping[str, Any] = {}

    def play(self, lists: Mapping[str, Any], *options: str) -> Any:
        models = [{**one, "source": self.source} for one in lists.get("models_serve", ())]
        return self.host.play("site.yml", *options, **{**self.settings, **lists, "models_serve": models})

    def reach(self, lists: Mapping[str, Any]) -> None:
        if self.state != lists:
            done = self.play(lists)
            assert done.returncode == 0, done.stdout + done.stderr
            self.state = lists

    def serving(self) -> set[str]:
        places = f"{OLLAMA} {LLAMA_CPP}"
        script = f"for place in {places}; do curl -fsS -m 5 http://127.0.0.1:$place >&2 && echo $place; done; true"
        return set(self.host.sh(script).split())


@pytest.fixture(scope="module")
def world(
    smollm2: SmolLM2, ollama_archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    shards = smollm2.shards[0].parent
    name = f"gguf-fleet-mind-{uuid.uuid4().hex[:8]}"
    options = [
        "--init",
        "--network=none",
        f"--volume={shards}:{shards}:ro",
        f"--volume={smollm2.whole}:/srv/other.gguf:ro",
    ]
    docker("run", "--detach", "--name", name, *options, "gguf-fleet-forky", "sleep", "infinity")
    settings = {
        **release(ollama_archives, "0.33.2"),
        "llama_cpp_source": "path",
        "llama_cpp_path": "/usr/bin/llama-server",
        "llama_cpp_answer_seconds": 20,
        "verify_max_tokens": 4,
    }
    try:
        yield World(Host(name, folder, "models"), settings, shards)
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


def end_of(output: str) -> list[str]:
    """The table that the run ends with."""
    begun = re.split(r"^host +model +state", output, flags=re.MULTILINE)
    return re.split(r"^(?:TASK \[|PLAY RECAP)", begun[-1], flags=re.MULTILINE)[0].strip().splitlines()


def tasks(output: str) -> int:
    """How many tasks a host took that were not skipped."""
    return int(output.rsplit(" ok=", 1)[1].split(maxsplit=1)[0])


def marked(row: Row) -> Any:
    """Those that tell most in one run are always tried."""
    return pytest.param(row, id=row.title, marks=[] if row.always else [pytest.mark.long])


@pytest.mark.parametrize("row", [marked(row) for row in ROWS])
def test_a_changed_declaration(world: World, row: Row) -> None:
    world.reach(row.old)
    done = world.play(row.new)
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == row.fails, output
    assert [words for words in row.said if words not in output] == [], output
    assert [words for words in row.unsaid if words in output] == [], output
    assert world.serving() == row.serves, output
    if row.fails:
        # The old declaration holds, and nothing of the failed one has to be undone by hand.
        again = world.play(row.old)
        assert again.returncode == 0, again.stdout + again.stderr
    else:
        world.state = row.new
        again = world.play(row.new)
        assert again.returncode == 0, again.stdout + again.stderr
        assert changed(again) == 0, again.stdout
        assert tasks(again.stdout) <= TASKS_AT_MOST, again.stdout
    # A table also where nothing is to do; with what is wrong in a declaration nothing begins.
    assert 2 <= len(end_of(again.stdout)) <= 25, again.stdout
    assert world.serving() == row.serves


@pytest.mark.long
def test_weights_that_the_server_cannot_unload_go_with_one_restart(world: World) -> None:
    pinned = {"models_serve": [{**FIRST, "keep_alive": "-1"}]}
    world.reach(pinned)
    # What its name meant stays in memory, and nobody can name it any more.
    world.host.sh("printf 'FROM /srv/other.gguf\\nPARAMETER num_ctx 512\\n' > /root/m && ollama create o -f /root/m")
    world.host.api("/api/generate", {"model": "o", "stream": False})
    assert len(world.host.api("/api/ps")["models"]) == 2
    done = world.play(pinned)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it holds weights in memory that no request can unload" in done.stdout, done.stdout
    (left,) = world.host.api("/api/ps")["models"]
    (listed,) = [one for one in world.host.api("/api/tags")["models"] if one["name"] == "o:latest"]
    assert (left["name"], left["digest"]) == ("o:latest", listed["digest"])
    again = world.play(pinned)
    assert again.returncode == 0, again.stdout + again.stderr
    assert changed(again) == 0, again.stdout
    assert tasks(again.stdout) <= TASKS_AT_MOST, again.stdout


def test_the_status_of_a_fleet_as_declared_and_of_one_that_drifted(world: World, tmp_path: Path) -> None:
    world.reach({"models_serve": [A]})
    file = tmp_path / "status.json"

    def status(**source: str) -> tuple[list[str], dict[str, Any]]:
        models = [{**A, "source": {**world.source, **source}}]
        settings = {**world.settings, "models_serve": models, "status_file": str(file)}
        done = world.host.play("status.yml", **settings)
        assert done.returncode == 0, done.stdout + done.stderr
        begun = re.split(r"^host +engine +health", done.stdout, flags=re.MULTILINE)[-1]
        told = json.loads(file.read_text())
        return begun.splitlines(), told["hosts"][world.host.name]

    lines, told = status()
    assert "ok" in lines[1].split()
    assert (told["servers"][0]["health"], told["models"][0]["resident"], told["drift"]) == ("ok", True, [])
    assert told["models"][0]["drift"] == []
    _lines, told = status(path="/srv/other")
    (other,) = told["models"][0]["drift"]
    assert other.startswith("its source is not the one of the lock: path /srv/other instead of file://")
    world.host.sh("/usr/local/lib/gguf-fleet/supervisorctl stop llama-cpp-a")
    lines, told = status()
    assert "silent" in lines[1].split()
    assert [line for line in lines if line.startswith(f"{world.host.name}: llama-cpp-a does not serve: ")]
    assert told["models"][0]["present"] is False
