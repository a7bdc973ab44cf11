# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile values in a unit and its environment file, judged by systemd: what its service is really started with."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._service import environment, unit
from ansible_collections.gguf.fleet.tests.integration.engines.hosts import container, docker

pytestmark = pytest.mark.docker

TELL = """import json, os, sys
told = {"argv": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd(), "user": os.getuid()}
json.dump(told, open("/srv/told.json", "w"))
"""
WORDS = [
    "",
    " ",
    ";",
    "; touch /srv/forged",
    "\\;",
    "&& touch /srv/forged",
    "$HOME ${HOME} $$ $(id) `id`",
    "%n %% %u %",
    "a\\nUser=root",
    "a\\x0aUser=root",
    "a\\u2028b",
    "trailing \\",
    '"',
    '\\"',
    "it's",
    "'quoted'",
    "\"both\" and 'both'",
    "#comment",
    "  blanks  ",
    "@-:+!",
    "[Service]",
    "User=root",
    "ümlaut 千问 ✓ \U0001f600",
    "--override-tensor=\\.ffn_.*_exps\\.=CPU",
    "x" * 3000,
]
ALPHABET = "\"'\\$%{}();|&<>*?[]#~!@^=+-,.:/ üé千✓nxuU0129abt"


def random_words(count: int) -> list[str]:
    choice = random.Random(671)
    return ["".join(choice.choices(ALPHABET, k=choice.randint(1, 14))) for _word in range(count)]


def test_every_value_reaches_the_service_as_it_is_and_none_makes_a_setting(tmp_path: Path) -> None:
    words = WORDS + random_words(300)
    variables = {f"V{number}": word for number, word in enumerate(words)}
    directory = "/srv/100% of two words"
    description = "100% local; $HOME \\n [Service] User=root"
    text = f"""[Unit]
Description={unit.value(description)}
RequiresMountsFor={unit.paths([directory, "/srv/50%"])}

[Service]
Type=oneshot
User=daemon
WorkingDirectory={unit.value(directory)}
ReadWritePaths={unit.paths(["/srv", directory])}
EnvironmentFile=/srv/told.env
ExecStart={unit.command(["/usr/bin/python3", "/srv/tell.py", *words])}
"""
    for name, content in (
        ("told.service", text),
        ("told.env", environment.render(variables)),
        ("tell.py", TELL),
    ):
        (tmp_path / name).write_text(content)
    for host in container("systemd", "engine", Path("/dev/null"), tmp_path, "--network=none"):
        host.sh(f"mkdir -p '{directory}' && chmod 777 /srv")
        for name in ("told.env", "tell.py"):
            docker("cp", str(tmp_path / name), f"{host.name}:/srv/{name}")
        docker("cp", str(tmp_path / "told.service"), f"{host.name}:/etc/systemd/system/told.service")
        host.sh("systemctl daemon-reload && systemctl start told || { journalctl -u told -n 20 --no-pager; exit 1; }")
        told = json.loads(host.sh("cat /srv/told.json"))
        assert told["argv"] == words
        assert {name: told["environment"].get(name) for name in variables} == variables
        assert told["directory"] == directory
        assert told["user"] == 1
        shown = host.sh("systemctl show told -p Description,RequiresMountsFor,ReadWritePaths").split("\n")
        assert f"Description={description}" in shown
        assert host.sh("journalctl -b --no-pager | grep 'told.service:[0-9]' || true") == ""
        assert host.sh("ls /srv/forged 2>/dev/null || true") == ""
