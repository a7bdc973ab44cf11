# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of every kind are planted, whole plays are run, and everything that others can read is searched for them."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.attacks.conftest import ATTACKER
from ansible_collections.gguf.fleet.tests.attacks.secrets.search import (
    SAMPLER,
    SYSLOG,
    Watch,
    files_with,
    kinds_in,
    lines_with,
)
from ansible_collections.gguf.fleet.tests.builders.archives import tgz
from ansible_collections.gguf.fleet.tests.fixtures_assets import SmolLM2
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import Host, container, docker, sha256

pytestmark = pytest.mark.docker

# Takes its key as llama-server does, tells it in an error when it is broken, and never by itself.
PROGRAM = """#!/usr/bin/python3
import http.server, json, os, sys
if "--version" in sys.argv:
    sys.exit("version: 0.7.0 (build {build}, commit 1a2b3c4)")
keys = [value for name, value in zip(sys.argv, sys.argv[1:]) if name == "--api-key"]
keys += os.environ.get("LLAMA_API_KEY", "").split(",")

class Server(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, told):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def do_GET(self):
        self.answer(200, {{"status": "ok"}})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Authorization"].partition(" ")[2]
        if key not in keys:
            self.answer(401, {{"error": {{"code": 401, "message": "Invalid API Key"}}}})
        elif {serves}:
            self.send_response(200)
            self.end_headers()
            said = json.dumps({{"choices": [{{"text": "yes"}}]}})
            self.wfile.write(f"data: {{said}}\\n\\ndata: [DONE]\\n\\n".encode())
        else:
            told = "cannot serve " + key + " " + os.environ.get("HF_TOKEN", "")
            self.answer(500, {{"error": {{"code": 500, "message": told}}}})

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Server).serve_forever()
"""

KINDS = (
    "llama_cpp_servers: api-key",
    "llama_cpp_servers: api-key, changed",
    "llama_cpp_environment: HF_TOKEN",
    "llama_cpp_environment: HTTPS_PROXY",
    "llama_cpp_environment: of no known name",
    "ollama_environment: HF_TOKEN",
    "ollama_environment: HTTPS_PROXY",
    "models_token",
    "models_serve: api-key",
    "models_serve: endpoint",
    "models_mirrors",
    "mirrors",
    "headers",
    "endpoint",
    "urls",
    "archives",
    "ollama_source_url",
    "adopted: unit",
    "adopted: file",
)


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    return {kind: f"s3cr3t{uuid.uuid4().hex}" for kind in KINDS}


def llama_release(folder: Path, build: int, serves: bool = True) -> tuple[Path, dict[str, Any]]:
    asset = f"llama-b{build}-bin-ubuntu-x64.tar.gz"
    program = PROGRAM.format(build=build, serves=serves).encode()
    path = tgz(folder / asset, {f"llama-b{build}/llama-server": program, f"llama-b{build}/libllama.so": b"library"})
    return path, {
        "llama_cpp_source": "release",
        "llama_cpp_version": f"b{build}",
        "llama_cpp_release_url": "http://127.0.0.1:8099/{asset}",
        "llama_cpp_release_assets": [asset],
        "llama_cpp_checksums": {asset: sha256(path)},
    }


def settings(secrets: dict[str, str], key: str = "llama_cpp_servers: api-key") -> dict[str, Any]:
    server = {"name": "r1", "alias": "r1", "model": "/srv/smollm2.gguf", "port": 8080}
    return {
        "llama_cpp_servers": [{**server, "parameters": {"api-key": secrets[key], "ctx-size": 512}}],
        "llama_cpp_environment": {
            "HF_TOKEN": secrets["llama_cpp_environment: HF_TOKEN"],
            "HTTPS_PROXY": f"http://user:{secrets['llama_cpp_environment: HTTPS_PROXY']}@proxy.example:3128",
            "SOMETHING": secrets["llama_cpp_environment: of no known name"],
        },
        "llama_cpp_answer_seconds": 20,
        "ollama_environment": {"HF_TOKEN": secrets["ollama_environment: HF_TOKEN"], "OLLAMA_NUM_PARALLEL": 1},
    }


def tasks_with_secrets() -> list[dict[str, Any]]:
    """Each module that takes a secret, run on the host so that its syslog is heard; most of them fail."""
    # Ansible prints the lines of a task that fails, so a task names secrets and does not hold them.
    secrets = {kind: f"{{{{ planted['{kind}'] }}}}" for kind in KINDS}
    lock: dict[str, Any] = {"hub": "url", "repo": None, "revision": None, "files": []}
    nowhere = "http://user:{}@127.0.0.1:9"
    environment = settings(secrets)["ollama_environment"]
    parameters = {"api-key": secrets["models_serve: api-key"], "ctx-size": 512}
    host = {"name": "a", "gpus": [], "environment": environment, "parameters": parameters}
    facts = {"architecture": "llama", "block_count": 1}
    modules: list[dict[str, Any]] = [
        {"gguf.fleet.gguf_plan": {"gguf": facts, "gpus": [], "environment": environment, "parameters": parameters}},
        {"gguf.fleet.gguf_plan": {"gguf": facts, "hosts": [host]}},
        {
            "gguf.fleet.host_preflight": {
                "engines": [{"name": "ollama", "version": "0.33.2", "environment": environment}],
                "urls": [nowhere.format(secrets["endpoint"])],
                "models": [{"name": "a", "gguf": facts, "parameters": parameters}],
            }
        },
        {
            "gguf.fleet.gguf_resolve": {
                "sources": [
                    {
                        "name": "a",
                        "source": {
                            "repo": "a/b",
                            "quant": "Q4",
                            "endpoint": nowhere.format(secrets["endpoint"]),
                            "token": secrets["models_token"],
                        },
                    },
                    {"name": "b", "source": {"hub": "url", "urls": [nowhere.format(secrets["urls"]) + "/m.gguf"]}},
                ]
            }
        },
        {
            "gguf.fleet.gguf_download": {
                "downloads": [{"lock": lock, "dest": "/srv/never.gguf", "token": secrets["models_token"]}],
                "mirrors": [nowhere.format(secrets["mirrors"]) + "/{path}"],
                "headers": {"X-Something": secrets["headers"]},
            }
        },
        {
            "gguf.fleet.engine_release": {
                "engine": "ollama",
                "version": "0.5.9",
                "root": "/opt/never",
                "archives": [{"url": nowhere.format(secrets["archives"]) + "/a.tgz", "sha256": "0" * 64}],
            }
        },
        {
            "gguf.fleet.endpoint_check": {
                "url": "http://127.0.0.1:8080",
                "engine": "llama_cpp",
                "api_key": secrets["llama_cpp_servers: api-key"],
            }
        },
        {
            "gguf.fleet.engine_resolve": {
                "engine": "ollama",
                "version": "0.33.2",
                "host": {"architecture": "amd64", "zstd": False, "releases": []},
                "source_url": nowhere.format(secrets["archives"]) + "/{version}/{asset}",
                "checksums": {"ollama-linux-amd64.tar.zst": "0" * 64},
                "cache": "/var/tmp/never",
            }
        },
    ]
    return [{"ignore_errors": True, **module} for module in modules]


def play(host: Host, tasks: list[dict[str, Any]], *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    path = host.folder / "play.yml"
    path.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    return host.play(str(path), "--diff", "-vvv", *options, **variables)


def roles(*names: str) -> list[dict[str, Any]]:
    return [{"ansible.builtin.include_role": {"name": f"gguf.fleet.{name}"}} for name in names]


class Searched:
    """The plays' output, and what was seen on the host meanwhile."""

    def __init__(self, host: Host, engines: list[str], secrets: dict[str, str]) -> None:
        self.host, self.engines, self.secrets = host, engines, secrets
        self.output: dict[str, str] = {}

    def run(self, name: str, done: subprocess.CompletedProcess[str], succeeds: bool = True) -> str:
        text = done.stdout + done.stderr
        assert (done.returncode == 0) == succeeds, text[-6000:]
        self.output[name] = text
        return text

    def findings(self) -> dict[str, list[str]]:
        """The kinds by the output that holds them; where they stood goes to pytest's captured output."""
        found = {name: kinds_in(text, self.secrets) for name, text in self.output.items()}
        for name in found:
            print(f"{name}:\n{lines_with(self.output[name], self.secrets)}")
        return {name: kinds for name, kinds in found.items() if kinds}


@pytest.fixture(scope="module")
def ollama(ollama_archives: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = ollama_archives["0.5.7"]
    return {"ollama_version": "0.5.7", "ollama_archive": str(path), "ollama_archive_sha256": sha256(path)}


# The whole with Ollama and its adoption takes minutes.
HOSTS = [
    pytest.param(("supervisord", ["llama_cpp"]), id="supervisord"),
    pytest.param(("supervisord", ["ollama", "llama_cpp"]), id="supervisord-all", marks=pytest.mark.long),
    pytest.param(("systemd", ["ollama", "llama_cpp"]), id="systemd-all", marks=pytest.mark.long),
]


@pytest.fixture(params=HOSTS)
def searched(
    request: pytest.FixtureRequest, smollm2: SmolLM2, tmp_path: Path, secrets: dict[str, str]
) -> Iterator[Searched]:
    kind, engines = request.param
    shards = smollm2.shards[0].parent
    for host in container(kind, "llama_cpp", smollm2.merged, tmp_path, f"--volume={shards}:{shards}:ro"):
        yield Searched(host, engines, secrets)


def test_no_secret_shows_anywhere(
    searched: Searched, ollama: dict[str, Any], secrets: dict[str, str], smollm2: SmolLM2, tmp_path: Path
) -> None:
    host, engines = searched.host, searched.engines
    systemd = "systemd" in host.sh("cat /proc/1/comm")
    working, broken = llama_release(tmp_path, 11669), llama_release(tmp_path, 11670, serves=False)
    for path, _variables in (working, broken):
        docker("cp", str(path), f"{host.name}:/srv/{path.name}")
    docker(
        "exec", "--detach", host.name, "python3", "-m", "http.server", "--directory=/srv", "--bind=127.0.0.1", "8099"
    )
    if systemd:
        plant_an_installation(host, secrets)
    processes = Watch(host, SAMPLER, ATTACKER)
    syslog = None if systemd else Watch(host, SYSLOG, 0)
    first = {**settings(secrets), **working[1], **ollama}
    changed = {**settings(secrets, "llama_cpp_servers: api-key, changed"), **working[1], **ollama}

    searched.run("first run", play(host, roles(*engines), **first))
    allowed = environment_files(host, secrets)
    assert "/etc/gguf-fleet/llama-cpp-r1.env" in allowed
    readable_at_first = files_with(host, secrets)
    if "ollama" in engines:
        assert "/etc/gguf-fleet/ollama.env" in allowed
        assert "changed=0 " in searched.run("second run", play(host, roles(*engines), **first))
    searched.run("changed key", play(host, roles("llama_cpp"), **changed))
    assert generates(host, secrets["llama_cpp_servers: api-key, changed"])
    assert not generates(host, secrets["llama_cpp_servers: api-key"])
    text = searched.run("failed upgrade", play(host, roles("llama_cpp"), **{**changed, **broken[1]}), succeeds=False)
    assert "gives no answer: cannot serve" in text
    assert "put back" in text
    assert generates(host, secrets["llama_cpp_servers: api-key, changed"])
    searched.run("modules", play(host, tasks_with_secrets(), planted=secrets))
    if "ollama" in engines:
        proxy = f"http://user:{secrets['ollama_environment: HTTPS_PROXY']}@proxy.example:3128"
        refused = play(host, roles("ollama"), **{**first, "ollama_environment": {"HTTPS_PROXY": proxy}})
        assert "HTTPS_PROXY holds a user" in searched.run("refused proxy", refused, succeeds=False)
        source = f"http://user:{secrets['ollama_source_url']}@127.0.0.1:9/{{version}}/{{asset}}"
        mirror = {"ollama_version": "0.5.9", "ollama_source_url": source, "ollama_trust_mirror_checksums": True}
        searched.run("refused mirror", play(host, roles("ollama"), **{**settings(secrets), **mirror}), succeeds=False)
        served = models(smollm2, tmp_path, secrets)
        searched.run("models", play(host, roles("host", "models"), **{**changed, **served}))
        assert generates(host, secrets["models_serve: api-key"], port=8081)
        allowed |= environment_files(host, secrets)
    readable, of_root = files_with(host, secrets), files_with(host, secrets, user=0)
    searched.run("uninstall", host.play("uninstall.yml", "--diff", "-vvv", **first))

    searched.output["process list"] = processes.gathered()
    searched.output["syslog"] = syslog.gathered() if syslog else host.sh("journalctl --no-pager -o cat")
    # What was searched is what there was.
    assert "/opt/llama.cpp/b11669/bin/llama-server" in searched.output["process list"]
    assert "Invoked with" in searched.output["syslog"]
    assert searched.findings() == {}
    assert "HF_TOKEN=********" in searched.output["first run"]
    assert "LLAMA_API_KEY=******** (changed)" in searched.output["changed key"]
    assert readable_at_first == readable == {}
    # install.sh's own unit and file stay as they were.
    theirs = {UNIT, UNIT_FILE} if systemd else set()
    assert set(of_root) <= allowed | theirs, of_root
    assert all((file["mode"], file["uid"]) == ("0600", 0) for file in of_root.values()), of_root
    assert set(files_with(host, secrets, user=0)) <= theirs


def models(smollm2: SmolLM2, folder: Path, secrets: dict[str, str]) -> dict[str, Any]:
    """The shards from a folder, served by llama.cpp with a key of the model's own; the mirror is down."""
    source = {
        "hub": "path",
        "path": str(smollm2.shards[0].parent),
        "endpoint": f"http://user:{secrets['models_serve: endpoint']}@127.0.0.1:9",
    }
    parameters = {"api-key": secrets["models_serve: api-key"], "ctx-size": 512}
    return {
        "models_serve": [
            {"name": "m1", "engine": "llama_cpp", "port": 8081, "source": source, "parameters": parameters}
        ],
        "models_lock_file": str(folder / "models.lock.txt"),
        "models_plan": "off",
        "models_token": secrets["models_token"],
        "models_mirrors": [f"http://user:{secrets['models_mirrors']}@127.0.0.1:9/{{path}}"],
        "host_pynvml": False,
    }


def generates(host: Host, key: str, port: int = 8080) -> bool:
    """Whether the running server takes the key, which goes by stdin: an argument would be seen."""
    command = ["docker", "exec", "--interactive", host.name, "curl", "-sS", "-d", "{}", "--config", "-"]
    given = f'header = "Authorization: Bearer {key}"\nurl = "http://127.0.0.1:{port}/v1/completions"\n'
    done = subprocess.run(command, input=given, text=True, capture_output=True, check=True)
    return "choices" in done.stdout


def environment_files(host: Host, secrets: dict[str, str]) -> set[str]:
    """The one place of each service."""
    found = files_with(host, secrets, user=0)
    return {path for path in found if path.startswith("/etc/gguf-fleet/") and path.endswith((".env", ".adopted.json"))}


UNIT, UNIT_FILE = "/etc/systemd/system/ollama.service", "/etc/default/ollama"


def plant_an_installation(host: Host, secrets: dict[str, str]) -> None:
    """As install.sh leaves it, with the secrets that its user put there; readable by root only, as they should be."""
    host.sh("useradd --system --create-home --home-dir /usr/share/ollama ollama")
    unit = (
        "[Service]\nExecStart=/bin/sleep infinity\nUser=ollama\n"
        f"Environment=HF_TOKEN={secrets['adopted: unit']}\nEnvironmentFile={UNIT_FILE}\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
    for path, content in {UNIT: unit, UNIT_FILE: f"HF_OTHER_TOKEN={secrets['adopted: file']}\n"}.items():
        write = f"umask 077; cat > {path}"
        command = ["docker", "exec", "--interactive", host.name, "sh", "-c", write]
        subprocess.run(command, input=content, text=True, check=True)
    host.sh("systemctl daemon-reload; systemctl start ollama")
