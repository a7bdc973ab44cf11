# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ollama create -f` makes of a Modelfile is what our writer meant, what our parser reads, and what we import."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ledger import Ledger
from ansible_collections.gguf.fleet.plugins.module_utils._ollama import model_run as run
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.modelfile import (
    Modelfile,
    ModelfileProblem,
    parse,
    render,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import BUILT_IN
from ansible_collections.gguf.fleet.tests.conformance.ollama.contract_server import Server
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2

KINDS = ("template", "system", "params", "messages", "license")


@pytest.fixture(scope="module")
def base(server: Server, smollm2: SmolLM2) -> Iterator[str]:
    """A model with nothing but weights."""
    server.create("weights", files={"model.gguf": server.upload(smollm2.merged)})
    # The server takes the template that it recognises in the file.
    manifest = server.manifest("weights")
    assert {layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]} <= {"model", "template", "params"}
    yield "weights"
    server.call("DELETE", "/api/delete", {"model": "weights"})


def create(server: Server, name: str, modelfile: str) -> subprocess.CompletedProcess[str]:
    path = server.home / "Modelfile"
    path.write_bytes(modelfile.encode())
    environment = {"HOME": str(server.home), "OLLAMA_HOST": server.url, "PATH": os.environ["PATH"]}
    command = [str(server.release.binary), "create", name, "-f", str(path)]
    return subprocess.run(command, env=environment, cwd=server.home, text=True, capture_output=True, check=False)


def settings(server: Server, name: str) -> dict[str, list[bytes]]:
    """What the model adds to its weights: the contents of its small blobs."""
    found: dict[str, list[bytes]] = {}
    for layer in server.manifest(name)["layers"]:
        kind = layer["mediaType"].rpartition(".")[2]
        if kind in KINDS:
            found.setdefault(kind, []).append(server.blob(layer["digest"]))
    return found


# --- the articles

ARTICLES: dict[str, tuple[str, dict[str, Any]]] = {
    "8 x H20": (
        "deepseek-r1",
        {"stop": ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]},
    ),
    "2 x RTX 4090": ("deepseek-r1-short", {"num_gpu": 14, "num_ctx": 2048, "temperature": 0.6}),
}


@pytest.mark.parametrize("article", ARTICLES)
def test_an_articles_modelfile_makes_the_model_that_we_import(
    own_server: Server, smollm2: SmolLM2, ledger: Ledger, files: Path, article: str
) -> None:
    template, parameters = ARTICLES[article]
    own_server.start()
    file = files / "model.gguf"
    shutil.copyfile(smollm2.merged, file)
    modelfile = render(Modelfile(str(file), template=BUILT_IN[template], parameters=parameters))
    created = create(own_server, "by-hand", modelfile)
    assert created.returncode == 0, created
    wanted = run.Request(
        host=own_server.url,
        models_dir=str(own_server.models),
        check=False,
        name="ours",
        file=str(file),
        template=template,
        parameters=parameters,
        version=".".join(str(part) for part in own_server.release.version),
    )
    run.present(wanted, ledger)
    ours, theirs = settings(own_server, "ours"), settings(own_server, "by-hand")
    assert ours["template"] == theirs["template"]
    assert json.loads(ours["params"][0]) == parameters
    # The server adds the stop texts of a chat template that it knows, such as this one's; DeepSeek's is none of those.
    assert json.loads(theirs["params"][0]) == {"stop": ["<|im_start|>", "<|im_end|>"], **parameters}


# --- what we write

TEXTS = [
    ' two\nlines, and "quotes" ',
    'last line ends in """',
    'a """ b',
    "back\\slash 'single' # no comment",
    "crlf\r\ninside",
    "你是一个助手。",
    "FROM nothing\nPARAMETER stop x",
    "tab\tand trailing blank ",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_we_write_arrives_as_it_was_meant(base: str, server: Server, text: str) -> None:
    modelfile = Modelfile(
        base,
        template="{{ .Prompt }}" + text.replace("{", ""),
        system=text,
        license=[text, "another"],
        messages=[{"role": "user", "content": text}],
        parameters={"stop": [text, "<b>"], "temperature": 0.25, "num_ctx": 64, "use_mmap": False},
    )
    created = create(server, "arrives", render(modelfile))
    assert created.returncode == 0, created
    found = settings(server, "arrives")
    assert found["template"] == [str(modelfile.template).encode()]
    assert found["system"] == [text.encode()]
    assert found["license"] == [text.encode(), b"another"]
    assert json.loads(found["messages"][0]) == list(modelfile.messages)
    assert json.loads(found["params"][0]) == modelfile.parameters


# --- what we read

# Traps of the grammar: what the server gets is what our parser says.
TRAPS = [
    "SYSTEM 全\u3000角\u200b",
    "SYSTEM x # no comment",
    "system 'single'",
    "SYSTEM a\\nb",
    'SYSTEM """say "hi""""',
    'SYSTEM """a """ b"""',
    'SYSTEM """\nmulti\nline\n"""',
    '# comment\n  # indented comment\n\tSYSTEM "indented"',
    "SYSTEM first\r\nPARAMETER stop x\r\n",
    'SYSTEM "abc" def\nPARAMETER stop "',
    'PARAMETER stop "  "\nSYSTEM kept',
    "SYSTEM once\nSYSTEM twice",
]


@pytest.mark.parametrize("trap", TRAPS)
def test_our_parser_reads_what_the_server_gets(base: str, server: Server, trap: str) -> None:
    text = f"FROM {base}\n{trap}"
    created = create(server, "trapped", text)
    assert created.returncode == 0, created
    read = parse(text)
    systems = [command.args for command in read if command.name == "system"]
    stops = [command.args for command in read if command.name == "stop"]
    found = settings(server, "trapped")
    assert found["system"] == [systems[-1].encode()]
    if stops:
        assert json.loads(found["params"][0])["stop"] == stops


@pytest.mark.parametrize(
    "refused",
    ["WHATEVER y", "MESSAGE User hi", 'SYSTEM "abc', 'SYSTEM "abc" def', "PARAMETER num-ctx 1", "PARAMETER stop"],
)
def test_what_our_parser_refuses_is_refused_there_too(base: str, server: Server, refused: str) -> None:
    text = f"FROM {base}\n{refused}"
    with pytest.raises(ModelfileProblem):
        parse(text)
    assert create(server, "refused", text).returncode != 0
    assert "refused:latest" not in server.names()


def test_a_character_that_the_server_would_drop_is_not_written(base: str) -> None:
    with pytest.raises(ModelfileProblem, match=r"U\+3000"):
        render(Modelfile(base, system="全\u3000角"))
