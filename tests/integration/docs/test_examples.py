# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of README.md, docs/ and the roles' pages: what can be run is run, the rest is read by its reader.

yaml    an inventory or a group: Ansible reads it, and the fleet value is made of it
        a playbook: ansible-playbook --syntax-check, and RUN_BY where it runs over the lab
        variables of a host: the fleet value is made of them, and the roles' argument specs read them
        requirements: ansible-galaxy installs from them (tests/package.sh)
ini     settings of Ansible that it knows
sh      each command by PARSED, which says how; those that tests run for good are in RUN_BY
text    what a run prints, or a template, which is parsed with the entry that names it
"""

from __future__ import annotations

import configparser
import functools
import importlib.metadata
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.cli.galaxy import GalaxyCLI
from ansible.cli.playbook import PlaybookCLI
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.plugin_utils.fleet import catalog, public_variables
from ansible_collections.gguf.fleet.tests.ansible_runs import ansible, environment
from ansible_collections.gguf.fleet.tests.integration.docs.pages import (
    PAGES,
    ROOT,
    Block,
    Command,
    blocks,
    commands,
    load,
)

# What tests run as it stands there (or with a list of hosts of their own), and by which words one finds it.
RUN_BY: Mapping[str, tuple[str, str]] = {
    "make lab": ("tests/lab/test.sh", '"$here/up.sh"'),
    "make lab-down": ("tests/lab/test.sh", '"$here/down.sh"'),
    "make test": (".ci/run", "make test"),
    "ansible-playbook site.yml -i lab": ("tests/lab/up.sh", "ansible-playbook site.yml -i lab"),
    "ansible-galaxy collection install gguf-fleet-0.2.0.tar.gz --force -p ~/.ansible/collections": (
        "tests/package.sh",
        "gguf-fleet-*.tar.gz --force",
    ),
    "ansible-galaxy collection install -r requirements.yml --force -p ~/.ansible/collections": (
        "tests/package.sh",
        "-r requirements.yml --force",
    ),
}
# The playbooks of the examples, which name machines that are not there, run over other ones.
PLAYBOOKS_RUN_BY: Mapping[str, tuple[str, str]] = {
    "site": ("tests/lab/test_installed.py", '"gguf.fleet.site"'),
    "plan": ("tests/lab/test_playbooks.py", 'play("plan"'),
    "preflight": ("tests/lab/test_playbooks.py", 'play("preflight"'),
    "status": ("tests/lab/test_playbooks.py", 'play("status"'),
    "verify": ("tests/lab/test_playbooks.py", 'play("verify"'),
    "seal": ("tests/integration/hub/test_seal_playbook.py", '"seal.yml"'),
    "rehearse": ("tests/integration/engines/test_rehearse_playbook.py", '"rehearse.yml"'),
    "min_gpus": ("tests/integration/engines/test_min_gpus_playbook.py", '"min_gpus.yml"'),
    "upgrade": ("tests/integration/engines/test_versions_told.py", '"upgrade.yml"'),
    "rollback": ("tests/integration/engines/test_versions_told.py", '"rollback.yml"'),
    "drain": ("tests/integration/gateway/test_drain.py", '"drain.yml"'),
    "undrain": ("tests/integration/gateway/test_drain.py", '"undrain.yml"'),
    "uninstall": ("tests/integration/engines/test_blank_host.py", '"uninstall.yml"'),
}
COLLECTION = "gguf.fleet."
# The name of an inventory in the examples that stands for the reader's own.
OWN_INVENTORY = "fleet.yml"
# Ansible's own variables that examples set.
OF_ANSIBLE = re.compile(r"ansible_\w+\Z")


def shown_files() -> dict[str, Block]:
    """The files that blocks show, by their names."""
    return {block.file: block for block in blocks("yaml") if block.file}


def kind(block: Block) -> str:
    content = load(block.text)
    if isinstance(content, list):
        return (
            "playbook"
            if all(isinstance(one, dict) and {"hosts", "ansible.builtin.import_playbook"} & set(one) for one in content)
            else "tasks"
        )
    if "collections" in content:
        return "requirements"
    if "all" in content:
        return "inventory"
    if all(isinstance(value, dict) and {"hosts", "children"} & set(value) for value in content.values()):
        return "groups"
    return "variables"


def of_kind(*kinds: str) -> list[Block]:
    return [block for block in blocks("yaml") if kind(block) in kinds]


def uncommented(text: str) -> str:
    """With those lines that are a variable of ours behind a # ."""
    names = "|".join(sorted(public_variables()))
    return re.sub(rf"^( *)# (?=(?:{names}):)", r"\1", text, flags=re.MULTILINE)


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_every_block_has_a_language_that_is_tested(block: Block) -> None:
    assert block.language in {"yaml", "ini", "sh", "text"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_example_is_hidden_in_an_indented_block(page: Path) -> None:
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^\n {4,}(?![-*\d]).*$", text, flags=re.MULTILINE) == []


# --- yaml ---


def test_every_yaml_block_is_of_a_kind_that_is_tested() -> None:
    kinds = {str(block): kind(block) for block in blocks("yaml")}
    assert set(kinds.values()) <= {"playbook", "requirements", "inventory", "groups", "variables"}, kinds


def plain(value: Any) -> Any:
    """Without the values that only a run has, such as those of a vault."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return "x" * 40 if isinstance(value, str) and value.startswith("{{") else value


def spec_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """An argument spec as validators take it, of the options of a role."""
    kept = ("type", "elements", "choices", "required", "no_log")
    return {
        name: {
            **{key: option[key] for key in kept if key in option},
            **({"options": spec_of(option["options"])} if "options" in option else {}),
        }
        for name, option in options.items()
    }


def refused(variables: Mapping[str, Any]) -> list[str]:
    """What the roles' argument specs say of these variables."""
    found = []
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        options = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
        mine = {name: value for name, value in variables.items() if name in options}
        result = ArgumentSpecValidator(spec_of(options)).validate(mine)
        found += [message for message in result.error_messages if "required" not in message or mine]
    return found


@pytest.mark.parametrize("way", [str, uncommented], ids=["as-it-stands", "uncommented"])
@pytest.mark.parametrize("block", of_kind("variables"), ids=str)
def test_variables_are_taken_by_the_fleet_value_and_by_the_roles(
    block: Block, way: Callable[[str], str], tmp_path: Path
) -> None:
    variables = plain(load(way(block.text)))
    strange = [name for name in variables if name not in public_variables() and not OF_ANSIBLE.match(name)]
    assert strange == []
    assert refused(variables) == []
    for text in blocks("text"):
        if text.template_file:
            (tmp_path / text.template_file).parent.mkdir(exist_ok=True)
            (tmp_path / text.template_file).write_text(text.text, encoding="utf-8")
    describe_fleet({"gpu-a": {**variables, "inventory_dir": str(tmp_path)}}, catalog(), {}, public=public_variables())


@pytest.mark.parametrize("block", of_kind("inventory", "groups"), ids=str)
def test_an_inventory_is_read_and_described(block: Block, tmp_path: Path) -> None:
    content = load(uncommented(block.text))
    whole = (
        content
        if "all" in content
        else {
            "all": {
                "children": {
                    "gpus": {"hosts": {"gpu-a": {"models_serve": [{"catalog": "deepseek-r1", "quant": "2.51bit"}]}}},
                    **content,
                }
            }
        }
    )
    inventory, playbook = tmp_path / "hosts.yml", tmp_path / "play.yml"
    inventory.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    tasks = [
        {"ansible.builtin.import_tasks": str(ROOT / "playbooks/tasks/describe.yml")},
        {"ansible.builtin.debug": {"msg": "described {{ gguf_fleet.hosts | length }}"}, "run_once": True},
    ]
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    done = ansible("ansible-playbook", str(playbook), "-i", str(inventory))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "described 0" not in done.stdout


def test_all_playbooks_pass_the_syntax_check(tmp_path: Path) -> None:
    for name, block in shown_files().items():
        (tmp_path / name).write_text(block.text, encoding="utf-8")
    inventory = tmp_path / OWN_INVENTORY
    whole = load(inventory.read_text(encoding="utf-8"))
    for block in of_kind("groups"):
        whole["all"]["children"].update(load(block.text))
    inventory.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    shown = [block.file for block in of_kind("playbook")]
    assert "" not in shown, "a playbook needs its name as a comment on its first line"
    named = [command.words for command in commands() if command.words[0] == "ansible-playbook"]
    ours = sorted({word for words in named for word in words if word.startswith(COLLECTION)})
    done = ansible(
        "ansible-playbook",
        "--syntax-check",
        "-i",
        str(inventory),
        *(str(tmp_path / name) for name in shown),
        *ours,
        cwd=tmp_path,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- ini ---


@functools.cache
def settings() -> set[tuple[str, str]]:
    """The settings of ansible.cfg, by section and name."""
    known = {
        (entry["section"], entry["key"])
        for setting in yaml.safe_load(
            ansible("ansible-config", "list", "--format", "yaml", "--type", "base").stdout
        ).values()
        for entry in setting.get("ini") or ()
    }
    # Of plugins that read them.
    known |= {
        ("defaults", "callback_result_format"),
        ("defaults", "display_skipped_hosts"),
        ("inventory", "ignore_patterns"),
    }
    return known


@pytest.mark.parametrize("block", blocks("ini"), ids=str)
def test_every_setting_is_one_of_ansible(block: Block) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.text)
    given = {(section, key) for section in parser.sections() for key in parser[section]}
    assert given
    assert given - settings() == set()


# --- sh ---


def ansible_playbook(words: tuple[str, ...]) -> None:
    """Its options by Ansible's own parser; playbook, inventory and variables exist."""
    cli = PlaybookCLI(list(words))
    cli.init_parser()
    options = cli.parser.parse_args(list(words[1:]))
    for playbook in options.args:
        name = playbook.removeprefix(COLLECTION)
        file = ROOT / (f"playbooks/{name}.yml" if playbook.startswith(COLLECTION) else playbook)
        assert playbook in shown_files() or file.is_file(), f"there is no playbook {playbook}"
    assert options.inventory, "it names no inventory"
    for inventory in options.inventory:
        assert inventory in shown_files() or (ROOT / inventory).exists(), f"there is no inventory {inventory}"
    given: set[str] = set()
    for extra in options.extra_vars:
        given |= set(load(extra)) if extra.startswith("{") else {word.partition("=")[0] for word in extra.split()}
    assert given <= public_variables(), f"there is no variable {given - public_variables()}"


def ansible_galaxy(words: tuple[str, ...]) -> None:
    """By its own parser."""
    cli = GalaxyCLI(list(words))
    cli.init_parser()
    cli.parser.parse_args(list(words[1:]))


def pip(words: tuple[str, ...]) -> None:
    """Each package is one that the tests run with."""
    if words[1:3] == ("config", "set"):
        return
    assert words[1] == "install"
    for word in words[2:]:
        if not word.startswith(("-", "https://")):
            importlib.metadata.distribution(re.split(r"[<>=]", word)[0])


def make(words: tuple[str, ...]) -> None:
    """The target is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in words[1:]:
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"there is no target {target}"


def by_eye(words: tuple[str, ...]) -> None:
    """Needs machines, a network or a client that are not there: only its words are read."""
    assert len(words) > 1


# How a command is read, by its program.
PARSED: Mapping[str, Callable[[tuple[str, ...]], None]] = {
    "ansible-playbook": ansible_playbook,
    "ansible-galaxy": ansible_galaxy,
    "pip": pip,
    "make": make,
    "curl": by_eye,
    "git": by_eye,
    "python3": by_eye,
    "export": by_eye,
    "jq": by_eye,
    # Run by tests/integration/engines/test_supervised.py in a container.
    "/usr/local/lib/gguf-fleet/supervisorctl": by_eye,
    "/usr/local/lib/gguf-fleet/supervisord": by_eye,
    ".": by_eye,
}


@pytest.mark.parametrize("command", list(commands()), ids=str)
def test_a_command_is_understood_by_its_program(command: Command) -> None:
    assert command.words[0] in PARSED, f"nothing reads {command.words[0]}: add it to PARSED or RUN_BY"
    PARSED[command.words[0]](command.words)


def test_what_is_said_to_be_run_is_in_the_pages_and_in_its_test() -> None:
    shown = {" ".join(command.words) for command in commands()}
    assert set(RUN_BY) <= shown
    for command, (file, words) in RUN_BY.items():
        assert words in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not run {command}"


def test_every_playbook_of_an_example_runs_in_some_test() -> None:
    words = {word for command in commands() if command.words[0] == "ansible-playbook" for word in command.words}
    named = {
        re.sub(r"\Agguf\.fleet\.|\Aplaybooks/|\.yml\Z", "", word)
        for word in words
        if re.search(r"\Agguf\.fleet\.|\.yml\Z", word)
    }
    assert named - {block.file.removesuffix(".yml") for block in blocks("yaml")} == set(PLAYBOOKS_RUN_BY)
    for playbook, (file, words_there) in PLAYBOOKS_RUN_BY.items():
        assert words_there in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not run {playbook}"
