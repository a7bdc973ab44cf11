# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run needs of the controller: packages for the hubs of models without a lock, and the ways there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar, Optional

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import declare
from ansible_collections.gguf.fleet.plugins.module_utils._preflight.controller import Found, look, unresolved


class Refusing(BaseHTTPRequestHandler):
    """A hub that shows nothing to strangers, and keeps what it was asked."""

    asked: ClassVar[list[tuple[str, Any]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # pylint: disable=redefined-builtin
        pass


@pytest.fixture(name="hub")
def a_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Refusing, "asked", [])
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(name="dead")
def a_port_that_nobody_serves() -> Iterator[str]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def model(name: str, **source: Any) -> dict[str, Any]:
    return declare([{"name": name, "source": {"repo": "lab/Tiny", "quant": name, **source}}], {})[0]


def wrong(
    models: Mapping[str, Any],
    locked: tuple[str, ...] = (),
    missing: str = "",
    environment: Optional[Mapping[str, str]] = None,
) -> list[str]:
    return found(models, {}, locked, missing, environment).problems


def found(
    models: Mapping[str, Any],
    mirrors: Mapping[str, Sequence[str]],
    locked: tuple[str, ...] = (),
    missing: str = "",
    environment: Optional[Mapping[str, str]] = None,
) -> Found:
    return look(
        unresolved(models, locked),
        mirrors,
        has=lambda module: module != missing,
        program="/usr/bin/python3",
        environment=environment or {},
    )


def test_a_missing_sdk_is_said_once_with_all_models_that_need_it(hub: str) -> None:
    models = {host: [model(name, endpoint=f"http://{hub}") for name in ("a", "b")] for host in ("one", "two")}
    assert wrong(models, missing="modelscope_hub") == [
        "controller: /usr/bin/python3 has no package modelscope, which resolves a on one, a on two, b on one and "
        "1 more. Install it beside ansible-core: python -m pip install 'modelscope>=1.38'."
    ]
    assert wrong(models, missing="huggingface_hub") == []


def test_what_has_a_lock_needs_neither_package_nor_hub_unless_it_is_to_be_resolved_again(dead: str) -> None:
    models = {"one": [model("a", endpoint=f"http://{dead}")]}
    assert wrong(models, locked=("lab/Tiny:a",), missing="modelscope_hub") == []
    (again,) = unresolved(models, ("lab/Tiny:a",), update=("one",))
    assert again.models == ("a on one",)


def test_a_folder_needs_nothing_of_the_controller() -> None:
    assert wrong({"one": [model("a", hub="path", path="/srv/a")]}) == []


def test_a_folder_of_the_controller_has_to_be_there(tmp_path: Path) -> None:
    there, away = str(tmp_path), str(tmp_path / "away")
    assert wrong({"one": [model("a", hub="path", repo=None, controller=there)]}) == []
    (told,) = wrong({"one": [model("b", hub="path", repo=None, controller=away)]})
    assert told.startswith(f"controller: b on one cannot be resolved: {away} is not a folder here.")


def test_any_answer_proves_the_way_and_each_origin_is_asked_once_without_a_secret(hub: str) -> None:
    models = {
        "one": [model("a", endpoint=f"http://user:secret@{hub}"), model("b", endpoint=f"http://{hub}/")],
        "two": [model("c", hub="url", repo=None, urls=[f"http://{hub}/files/c.gguf?key=secret"])],
    }
    assert wrong(models) == []
    assert Refusing.asked == [("/", None)]


def test_a_hub_that_is_not_reached_is_named_with_its_models_and_what_to_do(hub: str, dead: str) -> None:
    models = {
        "one": [model("a", endpoint=f"http://user:secret@{dead}"), model("b", endpoint=f"http://{hub}")],
        "two": [model("c", hub="url", repo=None, urls=[f"http://{dead}/c.gguf"])],
    }
    (told,) = wrong(models)
    assert told.startswith(f"controller: a on one, c on two cannot be resolved: http://{dead}: No connection")
    assert told.endswith("Check the route, the proxy (HTTPS_PROXY, NO_PROXY) and the certificates.")
    assert "secret" not in told


@pytest.mark.parametrize(
    ("source", "name"),
    [({"hub": "modelscope"}, "MODELSCOPE_DOMAIN"), ({"hub": "huggingface"}, "HF_ENDPOINT")],
)
def test_the_hub_is_the_one_that_the_environment_names(hub: str, source: Mapping[str, str], name: str) -> None:
    assert wrong({"one": [model("a", **source)]}, environment={name: f"http://{hub}"}) == []
    assert Refusing.asked == [("/", None)]


def test_a_mirror_that_is_not_reached_is_worth_knowing_and_stops_nothing(hub: str, dead: str) -> None:
    models = {"one": [model("a", endpoint=f"http://{hub}")]}
    mirrors = {
        f"http://user:secret@{dead}/{{repo}}/{{path}}": ["one", "two"],
        f"http://{hub}/mirror": ["one"],
        "/srv/mirror": ["one"],
    }
    told = found(models, mirrors)
    assert told.problems == []
    (warning,) = told.warnings
    assert warning.startswith(f"one, two: models_mirrors: asked from the controller, http://{dead}: No connection")
    assert warning.endswith("they take the files from the hub.") and "secret" not in warning
    assert found(models, mirrors, locked=("lab/Tiny:a",)) == Found([], []), (
        "nothing is to be fetched for the first time"
    )
