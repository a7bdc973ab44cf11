# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Coverage-guided fuzzing of what is written into units, settings and environment files: any text is refused, or read
back as it was given and on its own line. The judges are run-service, which reads settings and
environments where there is no systemd, and a small reader of units that an earlier version had; systemd itself judges
in tests/integration/engines/test_unit_values.py.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".collections"))
FOLDER = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
os.environ["GGUF_FLEET_UNITS"] = str(FOLDER)

with atheris.instrument_imports(include=["ansible_collections.gguf.fleet", "gguf_fleet_old_script"]):
    from ansible_collections.gguf.fleet.plugins.module_utils._service import environment, run_service, supervisord, unit
    from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
    from ansible_collections.gguf.fleet.plugins.module_utils._service.values import Service
    from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control

    loader = importlib.machinery.SourceFileLoader(
        "gguf_fleet_old_script", str(ROOT / "tests/integration/engines/old_script/service")
    )
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)

VARIABLES = FOLDER / "demo.env"
run_service.PROGRAMS = str(FOLDER)


def one_input(data: bytes) -> None:
    given = atheris.FuzzedDataProvider(data)
    argument = given.ConsumeUnicode(given.ConsumeIntInRange(0, 60))
    description = given.ConsumeUnicode(given.ConsumeIntInRange(0, 60))
    path = "/" + given.ConsumeUnicode(given.ConsumeIntInRange(0, 60))
    value = given.ConsumeUnicode(given.ConsumeIntInRange(0, 60))
    check_unit(argument, description, path)
    check_settings(argument, description, path)
    check_environment(value)
    check_raw(given.ConsumeBytes(given.remaining_bytes()))


def check_unit(argument: str, description: str, path: str) -> None:
    try:
        lines = [
            "[Unit]",
            f"Description={unit.value(description)}",
            f"RequiresMountsFor={unit.paths([path, '/srv'])}",
            "[Service]",
            f"ExecStart={unit.command(['/bin/x', argument, 'last'])}",
            "User=nobody",
        ]
    except ServiceProblem as problem:
        assert not has_control(str(problem))
        return
    (FOLDER / "demo.service").write_bytes(("\n".join(lines) + "\n").encode())
    read = script.Unit("demo")
    assert read.command() == ["/bin/x", argument, "last"]
    assert read.get("Description", section="Unit") == unit.value(description)
    assert read.words(read.get("RequiresMountsFor", section="Unit")) == [path.replace("$$", "$"), "/srv"]
    assert set(read.values) <= {
        ("Unit", "Description"),
        ("Unit", "RequiresMountsFor"),
        ("Service", "ExecStart"),
        ("Service", "User"),
    }
    assert read.all("ExecStart") == [lines[4].partition("=")[2]] and read.all("User") == ["nobody"]


def check_settings(argument: str, description: str, path: str) -> None:
    service = Service("demo", description, ("/bin/x", argument, "last"), "nobody", "nogroup", path)
    try:
        text = supervisord.settings(service)
    except ServiceProblem as problem:
        assert not has_control(str(problem))
        return
    (FOLDER / "demo.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    read = run_service.read_settings("demo")
    assert (read["command"], read["description"], read["home"]) == (list(service.command), description, path)
    assert read["user"] == "nobody"


def check_environment(value: str) -> None:
    try:
        text = environment.render({"KEY": value, "LAST": "1"})
    except ServiceProblem as problem:
        assert not has_control(str(problem))
        return
    VARIABLES.write_bytes(text.encode())
    assert run_service.environment_file(str(VARIABLES)) == {"KEY": value, "LAST": "1"}
    assert environment.parse(text) == {"KEY": value, "LAST": "1"}


def check_raw(data: bytes) -> None:
    """Any bytes as settings and as an environment file are read, or refused in one sentence."""
    (FOLDER / "demo.json").write_bytes(data)
    VARIABLES.write_bytes(data)
    for read in (lambda: run_service.read_settings("demo"), lambda: run_service.environment_file(str(VARIABLES))):
        try:
            read()
        except run_service.StartProblem as problem:
            assert str(problem)


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
