# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from datetime import datetime, timezone
from typing import Any, Callable, Dict, List, Optional

from . import modelfile
from .client import Client, ClientProblem, Json, Refused
from .environment import Environment, Panic
from .epochs import epochs
from .gofmt import duration, human_bytes, human_time, os_error
from .release import VERSION
from .server import serve
from .store import StoreProblem


def _key_pair(env: Environment) -> None:
    """~/.ollama/id_ed25519 appears at the first serve. Here it holds no key: nothing signs anything in a stand-in."""
    directory = os.path.join(env.home, ".ollama")
    private = os.path.join(directory, "id_ed25519")
    if os.path.exists(private):
        return
    print("Couldn't find '%s'. Generating new private key." % private)
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
    except OSError as problem:
        raise ClientProblem("could not create directory %s" % os_error("mkdir", directory, problem)) from problem
    for path, mode in ((private, 0o600), (private + ".pub", 0o644)):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        except OSError as problem:
            raise ClientProblem(os_error("open", path, problem)) from problem
        with os.fdopen(handle, "w") as stream:
            stream.write("no key: written by the Ollama stand-in\n")


def _serve(env: Environment, _options: argparse.Namespace) -> int:
    try:
        _key_pair(env)
        return serve(env, dict(os.environ))
    except LookupError as problem:
        raise ClientProblem(str(problem)) from problem
    except StoreProblem as problem:
        raise ClientProblem(str(problem)) from problem
    except OSError as problem:
        _scheme, address, port = env.host()
        text = "listen tcp %s:%d: bind: %s" % (address, port, os.strerror(problem.errno or 0).lower())
        raise ClientProblem(text) from problem


def _version(env: Environment) -> int:
    try:
        running = str(Client(env).call("GET", "/api/version").get("version", ""))
    except ClientProblem:
        running = ""
        print("Warning: could not connect to a running Ollama instance")
    if running:
        print("ollama version is %s" % running)
    if running != VERSION:
        print("Warning: client version is %s" % VERSION)
    return 0


def _table(header: List[str], rows: List[List[str]]) -> None:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    print("    ".join(cell.ljust(width) for cell, width in zip(header, widths)) + " ")
    _rows(rows, widths)


def _rows(rows: List[List[str]], widths: List[int]) -> None:
    for row in rows:
        print("".join(cell.ljust(width) + "    " for cell, width in zip(row, widths)))


def _section(title: str, rows: List[List[str]]) -> None:
    print("  " + title)
    _rows([["", *row] for row in rows], [0, *(max(len(cell) for cell in column) for column in zip(*rows))])
    print()


def _since(stamp: str) -> float:
    moment = datetime.strptime(stamp.split(".", maxsplit=1)[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S").replace(
        tzinfo=timezone.utc
    )
    return moment.timestamp() - time.time()


def _list(client: Client, options: argparse.Namespace) -> int:
    rows = []
    for entry in client.call("GET", "/api/tags")["models"]:
        if not options.prefix or entry["name"].lower().startswith(options.prefix.lower()):
            size = human_bytes(entry["size"])
            rows.append([entry["name"], entry["digest"][:12], size, human_time(_since(entry["modified_at"]))])
    _table(["NAME", "ID", "SIZE", "MODIFIED"], rows)
    return 0


def _processor(size: int, vram: int) -> str:
    if not vram:
        return "100% CPU"
    if vram == size:
        return "100% GPU"
    if vram > size or not size:
        return "Unknown"
    cpu = round((size - vram) / size * 100)
    return "%d%%/%d%% CPU/GPU" % (cpu, 100 - cpu)


def _ps(client: Client, _options: argparse.Namespace) -> int:
    rows, header = [], ["NAME", "ID", "SIZE", "PROCESSOR", "UNTIL"]
    context = False
    for entry in client.call("GET", "/api/ps")["models"]:
        left = _since(entry["expires_at"])
        until = "Stopping..." if left < 0 else "Forever" if left > 100 * 365 * 86400 else human_time(left)
        processor = _processor(entry["size"], entry["size_vram"])
        row = [entry["name"], entry["digest"][:12], human_bytes(entry["size"]), processor, until]
        context = "context_length" in entry
        if context:
            row.insert(4, str(entry["context_length"]))
        rows.append(row)
    if context:
        header.insert(4, "CONTEXT")
    _table(header, rows)
    return 0


def _file_digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            digest.update(chunk)
    return "sha256:" + digest.hexdigest()


def _local_files(argument: str, base: str) -> List[str]:
    """The files that a FROM names, none when it names a model."""
    path = os.path.expanduser(argument)
    path = path if os.path.isabs(path) else os.path.join(base, path)
    if os.path.isdir(path):
        found = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".gguf"))
        if not found:
            raise ClientProblem("no Modelfile or safetensors files found")
        return found
    return [path] if os.path.exists(path) else []


def _create(client: Client, options: argparse.Namespace) -> int:
    rules = epochs(VERSION)
    path = os.path.abspath(options.file or "Modelfile")
    data = b"FROM .\n"
    if os.path.exists(path):
        with open(path, "rb") as stream:
            data = stream.read()
    try:
        request, sources, adapters = modelfile.create_request(modelfile.parse(data, rules), rules)
    except modelfile.ModelfileProblem as problem:
        raise ClientProblem(str(problem)) from problem
    sys.stderr.write("gathering model components\n")
    files: Dict[str, str] = {}
    for source in sources:
        found = _local_files(source, os.path.dirname(path))
        if not found:
            request["from"] = source
        for name in found:
            files[name] = _file_digest(name)
    if adapters:
        raise ClientProblem("the stand-in does not take adapters")
    for name, digest in files.items():
        with open(os.path.realpath(name), "rb") as stream:
            client.upload(digest, stream)
        sys.stderr.write("copying file %s 100%%\n" % digest)
    if files:
        request["files"] = {os.path.basename(name): digest for name, digest in files.items()}
    request["model" if rules.file_names_checked else "name"] = options.model
    last = ""
    for line in client.stream("POST", "/api/create", request):
        if line["status"] != last:
            last = line["status"]
            sys.stderr.write(last + "\n")
    return 0


def _show(client: Client, options: argparse.Namespace) -> int:
    answer = client.call("POST", "/api/show", {"model": options.model})
    asked = [name for name in ("license", "modelfile", "parameters", "system", "template") if getattr(options, name)]
    if len(asked) > 1:
        raise ClientProblem(
            "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified"
        )
    if asked:
        end = "" if asked[0] in ("system", "template") else "\n"
        print(answer.get(asked[0], ""), end=end)
        return 0
    details, info = answer["details"], answer.get("model_info", {})
    architecture = info.get("general.architecture", "")
    rows = [["architecture", architecture], ["parameters", details["parameter_size"]]]
    for key in ("context_length", "embedding_length"):
        if "%s.%s" % (architecture, key) in info:
            rows.append([key.replace("_", " "), "%d" % info["%s.%s" % (architecture, key)]])
    rows.append(["quantization", details["quantization_level"]])
    _section("Model", rows)
    if answer.get("parameters"):
        _section("Parameters", [line.split(None, 1) for line in answer["parameters"].splitlines()])
    for title in ("System", "License"):
        lines = [line.strip() for line in answer.get(title.lower(), "").splitlines() if line.strip()]
        if lines:
            _section(title, [[line] for line in lines[:2]])
    return 0


def _run(client: Client, options: argparse.Namespace) -> int:
    try:
        client.call("POST", "/api/show", {"model": options.model})
    except ClientProblem as problem:
        if problem.status != 404:
            raise
        raise ClientProblem("pull model manifest: file does not exist") from problem
    prompt = " ".join(options.prompt)
    if not sys.stdin.isatty():
        prompt = "\n\n".join(part for part in (sys.stdin.read().strip(), prompt) if part)
    request: Json = {"model": options.model, "prompt": prompt}
    if options.keepalive:
        request["keep_alive"] = options.keepalive
    last: Json = {}
    for last in client.stream("POST", "/api/generate", request):
        sys.stdout.write(last["response"])
        sys.stdout.flush()
    if prompt:
        print("\n")
    if options.verbose:
        rate = last.get("eval_count", 0) / (last.get("eval_duration", 0) / 1e9 or 1)
        sys.stderr.write("total duration:       %s\n" % duration(last.get("total_duration", 0)))
        sys.stderr.write("load duration:        %s\n" % duration(last.get("load_duration", 0)))
        sys.stderr.write("prompt eval count:    %d token(s)\n" % last.get("prompt_eval_count", 0))
        sys.stderr.write("eval count:           %d token(s)\n" % last.get("eval_count", 0))
        sys.stderr.write("eval rate:            %.2f tokens/s\n" % rate)
    return 0


def _remove(client: Client, options: argparse.Namespace) -> int:
    for name in options.models:
        try:
            client.call("POST", "/api/generate", {"model": name, "keep_alive": 0})
        except ClientProblem as problem:
            if problem.status != 404:
                text = 'unable to stop existing running model "%s": %s' % (name, problem)
                raise ClientProblem(text) from problem
        client.call("DELETE", "/api/delete", {"model": name})
        print("deleted '%s'" % name)
    return 0


def _stop(client: Client, options: argparse.Namespace) -> int:
    try:
        client.call("POST", "/api/generate", {"model": options.model, "keep_alive": 0})
    except ClientProblem as problem:
        if problem.status == 404:
            raise ClientProblem('couldn\'t find model "%s" to stop' % options.model) from problem
        raise
    return 0


def _copy(client: Client, options: argparse.Namespace) -> int:
    client.call("POST", "/api/copy", {"source": options.source, "destination": options.destination})
    print("copied '%s' to '%s'" % (options.source, options.destination))
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ClientProblem(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ollama", description="Stand-in for Ollama %s: see tests/doubles/ollama in gguf.fleet" % VERSION
    )
    parser.add_argument("-v", "--version", action="store_true", help="Show version information")
    commands = parser.add_subparsers(dest="command", parser_class=_Parser)

    def command(names: List[str], action: Optional[Callable[..., int]]) -> argparse.ArgumentParser:
        added = commands.add_parser(names[0], aliases=names[1:])
        added.set_defaults(action=action)
        return added

    command(["serve", "start"], None)
    command(["list", "ls"], _list).add_argument("prefix", nargs="?", default="")
    command(["ps"], _ps)
    create = command(["create"], _create)
    create.add_argument("model")
    create.add_argument("-f", "--file", default="")
    show = command(["show"], _show)
    show.add_argument("model")
    for name in ("license", "modelfile", "parameters", "system", "template"):
        show.add_argument("--" + name, action="store_true")
    run = command(["run"], _run)
    run.add_argument("model")
    run.add_argument("prompt", nargs="*")
    run.add_argument("--verbose", action="store_true")
    run.add_argument("--keepalive", default="")
    command(["rm"], _remove).add_argument("models", nargs="+")
    command(["stop"], _stop).add_argument("model")
    copy = command(["cp"], _copy)
    copy.add_argument("source")
    copy.add_argument("destination")
    return parser


def main(arguments: List[str]) -> int:
    """The program; panics and errors end it as they end the real one."""
    env = Environment(os.environ, epochs(VERSION))
    try:
        # Every command reads the path of the store first, and panics without HOME.
        _models = env.models
        options = _parser().parse_args(arguments)
        if options.version:
            return _version(env)
        if options.command is None:
            _parser().print_help()
            return 0
        if options.action is None:
            return _serve(env, options)
        client = Client(env)
        try:
            client.call("HEAD", "/")
        except Refused as problem:
            raise ClientProblem("could not connect to ollama app, is it running?") from problem
        return int(options.action(client, options))
    except Panic as panic:
        sys.stderr.write("panic: %s\n\ngoroutine 1 [running]:\n" % panic)
        return 2
    except ClientProblem as problem:
        sys.stderr.write("Error: %s\n" % problem)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the output has gone; the real program dies of SIGPIPE.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
