# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`quant: auto` by ansible-playbook itself: chosen once for all hosts, said, pinned, chosen again only when asked."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

import pytest
import yaml

from ansible_collections.gguf.fleet.tests.ansible_runs import ansible
from ansible_collections.gguf.fleet.tests.builders.gguf import Tensor
from ansible_collections.gguf.fleet.tests.builders.inventory import LOCAL, inventory
from ansible_collections.gguf.fleet.tests.builders.models import Model
from ansible_collections.gguf.fleet.tests.doubles.hub.server import HubDouble

ROOT = Path(__file__).resolve().parents[3]
REPO = "lab/Tiny-GGUF"
PLAYBOOK = """
- name: Resolve and plan
  hosts: all
  gather_facts: false
  serial: "{{ batch | default('100%') }}"
  tasks:
    - name: Reach the host
      ansible.builtin.raw: "true"
      changed_when: false
    - name: Report the GPUs
      ansible.builtin.set_fact: {__host_info: {gpus: "{{ cards_in_there }}", memory_bytes: 68719476736}}
    - name: Keep what the hosts reported
      gguf.fleet.fleet_record:
      run_once: true
    - name: Resolve
      ansible.builtin.include_role: {name: gguf.fleet.models, tasks_from: resolve, public: true}
    - name: Plan
      ansible.builtin.include_role: {name: gguf.fleet.models, tasks_from: plan, public: true}
      when: planned | default(false)
"""
# Of 1,420 MiB a card has room for Q4_0 beside llama.cpp's own, and not for Q8_0.
LARGE, SMALL = 24564, 1420


def tiny(kind: str) -> Model:
    """Four blocks of 71 MiB in Q8_0, of 38 MiB in Q4_0."""
    kv: Dict[str, Any] = {
        "general.architecture": ("str", "llama"),
        "general.name": ("str", "Tiny"),
        "llama.block_count": ("u32", 4),
        "llama.context_length": ("u32", 8192),
        "llama.embedding_length": ("u32", 1024),
        "llama.feed_forward_length": ("u32", 4096),
        "llama.attention.head_count": ("u32", 8),
        "llama.attention.head_count_kv": ("u32", 8),
        "llama.vocab_size": ("u32", 32000),
        "tokenizer.ggml.model": ("str", "no_vocab"),
    }
    shapes = {**dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (1024, 1024)), "ffn_up": (1024, 61440)}
    blocks = [
        Tensor(f"blk.{number}.{part}.weight", shape, kind) for number in range(4) for part, shape in shapes.items()
    ]
    embedding = Tensor("token_embd.weight", (1024, 32000), "Q4_0")
    return Model("Tiny", kv, (embedding, *blocks, Tensor("output.weight", (1024, 32000), "Q4_0")))


@pytest.fixture(name="tiny_hub")
def a_hub_with_two_quants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    folder = tmp_path / "hub" / REPO
    folder.mkdir(parents=True)
    for kind in ("Q8_0", "Q4_0"):
        tiny(kind).write(folder / f"Tiny-{kind}.gguf")
    with HubDouble(tmp_path / "hub") as hub:
        yield hub


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(name="run")
def a_run(tmp_path: Path, tiny_hub: HubDouble) -> Run:
    quants = {quant: {"pattern": f"Tiny-{quant}.gguf"} for quant in ("Q8_0", "Q6_K", "Q4_0")}
    catalog = {"tiny": {"hub": "modelscope", "repo": REPO, "endpoint": tiny_hub.url, "quants": quants}}

    def run(*arguments: str, cards: Optional[Dict[str, int]] = None, **more: Any) -> subprocess.CompletedProcess[str]:
        def card(mib: int) -> Dict[str, Any]:
            return {"cards_in_there": [{"index": 0, "memory_total_mib": mib, "memory_reserved_bytes": 0}]}

        only_little = more.pop("only_little", {})
        hosts = {name: card(mib) for name, mib in (cards or {"big": LARGE, "little": SMALL}).items()}
        if only_little:
            hosts["little"].update(only_little)
        variables = {
            **LOCAL,
            "ansible_become": False,
            "models_engine": "llama_cpp",
            "models_catalog": catalog,
            "models_serve": [{"catalog": "tiny", "quant": "auto", "parameters": {"ctx-size": 4096}}],
            **more,
        }
        file, playbook = inventory(tmp_path, hosts, **variables), tmp_path / "play.yml"
        playbook.write_text(PLAYBOOK)
        return ansible("ansible-playbook", "--diff", "-i", str(file), str(playbook), *arguments)

    return run


def locks(tmp_path: Path) -> Dict[str, Any]:
    found: Dict[str, Any] = yaml.safe_load((tmp_path / "models.lock.txt").read_text())["locks"]
    return {name: lock["quant"] for name, lock in found.items()}


def told(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


def test_the_best_quant_that_every_host_holds_is_said_pinned_and_kept_until_somebody_asks_again(
    run: Run, tmp_path: Path, tiny_hub: HubDouble
) -> None:
    first = told(run("--check", "-vvv", models_token="planted-token"))
    assert "planted-token" not in first
    assert "tiny: Q4_0 is the best quant that big, little hold wholly on the GPUs." in first
    assert not (tmp_path / "models.lock.txt").exists()
    assert sum(tiny_hub.bytes_sent(f"Tiny-{kind}.gguf") for kind in ("Q8_0", "Q4_0")) < 1 << 20, (
        "headers by ranges only"
    )

    assert "models.lock.txt pins it" in told(run())
    assert locks(tmp_path) == {"tiny:auto": "Q4_0"}

    grown = {"big": LARGE, "little": LARGE}
    asked = len(tiny_hub.requests)
    again = told(run(cards=grown))
    assert locks(tmp_path) == {"tiny:auto": "Q4_0"}, "more memory alone changes nothing"
    assert (len(tiny_hub.requests), "pins it" in again) == (asked, False), "what is pinned is asked of nobody"

    updated = told(run(cards=grown, models_lock_update=True))
    assert "tiny: Q8_0 is the best quant that big, little hold wholly on the GPUs. It was Q4_0 before." in updated
    assert "- quant: Q4_0 + quant: Q8_0" in updated
    assert locks(tmp_path) == {"tiny:auto": "Q8_0"}


AWAY: Dict[str, Any] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
# How a host is not asked in a run, and how that run ends.
WAYS: Dict[str, Tuple[Tuple[str, ...], Dict[str, Any], int]] = {
    "limit": (("--limit", "big"), {}, 0),
    "batches": (("-e", "batch=1"), {}, 0),
    "unreachable": ((), {"only_little": AWAY}, 4),
}


def test_a_group_is_chosen_for_as_a_whole_and_who_is_not_asked_counts_with_what_it_reported_before(
    run: Run, tmp_path: Path
) -> None:
    part = run(*WAYS["limit"][0])
    assert part.returncode != 0
    refusal = "little may serve a model whose quant is chosen now, and was never asked for its GPUs"
    assert refusal in " ".join(part.stdout.split()), part.stdout
    lock_file = tmp_path / "models.lock.txt"
    assert not lock_file.exists()

    told(run())
    lock_file.unlink()
    before = (tmp_path / ".gguf-fleet" / "record.json").read_text()
    assert "Q4_0 is the best quant that big, little hold" in told(run("--check", *WAYS["limit"][0]))
    assert (tmp_path / ".gguf-fleet" / "record.json").read_text() == before, "check mode writes nothing"
    for way, (options, more, ends) in WAYS.items():
        done = run(*options, **more)
        assert done.returncode == ends, way + done.stdout + done.stderr
        assert "Q4_0 is the best quant that big, little hold" in " ".join(done.stdout.split()), way
        assert locks(tmp_path) == {"tiny:auto": "Q4_0"}
        lock_file.unlink()


@pytest.mark.long
@pytest.mark.parametrize("way", ["batches", "unreachable"])
def test_nobody_is_chosen_for_who_was_never_asked_in_whatever_way(run: Run, tmp_path: Path, way: str) -> None:
    options, more, _ends = WAYS[way]
    part = run(*options, **more)
    assert part.returncode != 0
    assert "never asked for its GPUs" in " ".join(part.stdout.split()), part.stdout
    assert not (tmp_path / "models.lock.txt").exists()


def test_where_none_fits_wholly_the_smallest_is_taken_and_said_to_be_that(run: Run, tmp_path: Path) -> None:
    done = told(run(cards={"tight": 1200}))
    assert "tiny: Q4_0 is the smallest quant, since none is held wholly on the GPUs by tight." in done
    assert locks(tmp_path) == {"tiny:auto": "Q4_0"}


def test_two_models_that_only_fit_alone_are_refused_before_a_byte_of_them_moves(run: Run, tiny_hub: HubDouble) -> None:
    # Each takes 1,400 MiB and somewhat more of it.
    both = [{"name": name, "catalog": "tiny", "quant": "Q4_0", "parameters": {"ctx-size": 4096}} for name in ("a", "b")]
    done = run(cards={"card": 2000}, models_serve=both, planned=True)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0, said
    assert "card: a and b do not fit together: llama.cpp keeps all of them in memory, and on GPU 0 they need " in said
    assert tiny_hub.bytes_sent("Tiny-Q4_0.gguf") < 1 << 20
    warned = run(cards={"card": 2000}, models_serve=both, models_plan="warn", planned=True)
    assert "a and b do not fit together" in told(warned)
