# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All models of a host planned together: known hosts, and properties over random ones beside brute force."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache
from typing import Any, Optional

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.gguf.fleet.plugins.module_utils._gpu.cards import Need, share_out
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.demand import first_server_of
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import Device, devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.host_plan import Demand, HostPlan, plan_host
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import Model, model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest, mode_of
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.report import GpuError
from ansible_collections.gguf.fleet.tests.builders import models

MIB, GIB = 2**20, 2**30


@cache
def r1(quant: str) -> Model:
    return model_from_facts(models.deepseek_r1(quant, mla=True).facts())


def h20(count: int) -> list[Device]:
    return devices_from_facts([{"name": "NVIDIA H20", "memory_total_mib": 97871, "count": count}])


def demand(name: str, quant: str, engine: str = "llama_cpp", **more: Any) -> Demand:
    return Demand(name, r1(quant), PlanRequest(engine=engine, num_ctx=4096), **more)


def cards_of(plan: HostPlan) -> dict[str, list[int]]:
    return {one.name: [card.index for card in one.cards or ()] for one in plan.instances}


def test_two_models_that_fit_alone_and_not_together_are_refused_with_the_card_and_the_sum() -> None:
    both = [demand("best", "Q2_K_XL"), demand("good", "IQ2_XXS")]
    for one in both:
        assert plan_host(h20(4), 1024 * GIB, [one]).refusals == ()
    (reason,) = plan_host(h20(4), 1024 * GIB, both).as_facts()["refusals"]
    assert reason.startswith("best and good do not fit together: llama.cpp keeps all of them in memory, and on GPU ")
    assert " of 97,231 MiB (best " in reason and "n-cpu-moe" in reason
    assert plan_host(h20(8), 1024 * GIB, both).as_facts()["refusals"] == []


def test_what_two_models_keep_in_ram_is_added_up() -> None:
    both = [demand("a", "IQ1_S"), demand("b", "IQ1_M")]
    assert plan_host([], 400 * GIB, both).refusals == ()
    (reason,) = plan_host([], 256 * GIB, both).refusals
    assert "of 262,144 MiB of RAM (a " in reason


@pytest.mark.parametrize(("quant", "replicas", "each"), [("Q2_K_XL", 2, 3), ("IQ1_S", 4, 2), ("Q2_K_XL", "max", 3)])
@pytest.mark.parametrize("engine", ["llama_cpp", "ollama"])
def test_eight_h20_hold_several_instances_of_one_model(quant: str, replicas: Any, each: int, engine: str) -> None:
    plan = plan_host(h20(8), 1024 * GIB, [demand("r1", quant, engine, replicas=replicas)])
    assert plan.refusals == ()
    taken = cards_of(plan)
    assert list(taken) == ["r1", "r1-2", "r1-3", "r1-4"][: 8 // each if replicas == "max" else replicas]
    assert {len(cards) for cards in taken.values()} == {each}
    assert all(one.plan.mode == "full" for one in plan.instances)


def test_gpus_given_for_an_instance_are_the_ones_it_gets_and_nobody_elses() -> None:
    plan = plan_host(h20(8), 1024 * GIB, [demand("b", "IQ1_S"), demand("a", "Q2_K_XL", gpus=("0", "1", "2", "3"))])
    assert cards_of(plan)["a"] == [0, 1, 2, 3]
    beside = {share.device.index for share in plan.instances[0].plan.layout.shares if share.layers and share.device}
    assert beside == {4, 5, 6, 7}
    with pytest.raises(GpuError, match="GPU 1 is among the gpus of a and of b"):
        plan_host(h20(8), None, [demand("a", "IQ1_S", gpus=("0", "1")), demand("b", "IQ1_S", gpus=("1", "2"))])


def test_more_replicas_than_there_is_room_for_are_refused_with_what_one_takes() -> None:
    (reason,) = plan_host(h20(8), 1024 * GIB, [demand("r1", "Q2_K_XL", replicas=3)]).refusals
    assert reason.startswith("The cards are not enough for 3 × r1, each instance on cards of its own: r1 takes 3 of 8")
    with pytest.raises(GpuError, match="replicas is max, and the host has no GPUs"):
        plan_host([], None, [demand("r1", "IQ1_S", replicas="max")])


def test_as_many_as_possible_leave_room_for_the_other_models() -> None:
    plan = plan_host(h20(8), 1024 * GIB, [demand("r1", "IQ1_S", replicas="max"), demand("other", "IQ1_M")])
    assert plan.refusals == () and [one.name for one in plan.instances] == ["r1", "r1-2", "r1-3", "other"]


def test_an_instance_stays_within_one_numa_node_and_one_island_where_it_can() -> None:
    facts = [
        {"index": index, "memory_total_mib": 97871, "numa_node": index % 2, "nvlink_peers": [f"0000:{peer:02}:00.0"],
         "pci_bus_id": f"0000:{index:02}:00.0"}
        for index, peer in enumerate([2, 3, 0, 1])
    ]  # fmt: skip
    plan = plan_host(devices_from_facts(facts), 1024 * GIB, [demand("r1", "IQ1_S", replicas=2)])
    assert sorted(cards_of(plan).values()) == [[0, 2], [1, 3]]


def test_an_nvswitch_joins_all_that_it_has_links_to() -> None:
    linked = [{"index": i, "memory_total_mib": 1, "nvlink_peers": ["nvswitch"] if i < 2 else []} for i in range(3)]
    assert [device.island for device in devices_from_facts(linked)] == [0, 0, None]


def test_models_of_ollama_that_take_turns_are_named_with_what_is_read_again() -> None:
    three = [demand(name, quant, "ollama") for name, quant in (("a", "IQ1_S"), ("b", "IQ1_M"), ("c", "Q2_K_XL"))]
    plan = plan_host(h20(4), 1024 * GIB, three)
    assert plan.as_facts()["refusals"] == []
    (warning,) = plan.warnings
    assert warning.startswith("Ollama cannot keep a, b and c in memory together. At the same time it holds a and b; a ")
    assert "c 226." in warning
    assert plan_host(h20(8), 1024 * GIB, three).warnings == ()
    (limited,) = plan_host(h20(8), 1024 * GIB, [Demand(d.name, d.model, d.request, at_once=1) for d in three]).warnings
    assert "It holds one at a time" in limited


def test_names_of_one_file_share_its_load_and_those_with_other_settings_take_turns() -> None:
    one, same, bigger = (demand(name, "IQ1_S", "ollama", file="r1:IQ1_S") for name in ("a", "b", "c"))
    bigger = replace(bigger, request=replace(bigger.request, num_ctx=8192))
    assert plan_host(h20(2), 1024 * GIB, [one, same]).warnings == (), "one load for both"
    (warning,) = plan_host(h20(8), 1024 * GIB, [one, same, bigger]).warnings
    assert "At the same time it holds a and b; a request" in warning
    assert "a and c are one file with other settings, which Ollama loads only once." in warning


def cards_under(plan: HostPlan, name: str) -> set[int]:
    (one,) = [one for one in plan.instances if one.name == name]
    return {share.device.index for share in one.plan.layout.shares if share.layers and share.device}


def test_models_without_replicas_get_the_first_instances_cards_and_those_that_nobody_owns() -> None:
    plan = plan_host(h20(8), 1024 * GIB, [demand("r1", "IQ1_S", "ollama", replicas=2), demand("b", "IQ1_M", "ollama")])
    taken = cards_of(plan)
    assert plan.as_facts()["first_server"] == ["0", "1", "4", "5", "6", "7"] and taken["r1-2"] == [2, 3]
    assert not cards_under(plan, "b") & set(taken["r1-2"]) and plan.warnings == ()

    full = plan_host(h20(4), 1024 * GIB, [demand("b", "IQ1_M", "ollama"), demand("r1", "IQ1_S", "ollama", replicas=2)])
    assert full.refusals == () and cards_under(full, "b") == set(cards_of(full)["r1"])
    assert full.warnings[0].startswith("Ollama cannot keep r1 and b in memory together.")


def test_cards_of_a_model_alone_are_not_the_first_servers() -> None:
    both = [demand("a", "IQ1_S", "ollama", gpus=("0", "1")), demand("b", "IQ1_S", "ollama")]
    plan = plan_host(h20(4), 1024 * GIB, both)
    assert (cards_of(plan)["a"], plan.as_facts()["first_server"]) == ([0, 1], ["2", "3"])
    assert cards_under(plan, "b") == {2, 3}
    alone = plan_host(h20(4), 1024 * GIB, both[:1])
    assert alone.as_facts()["first_server"] == ["0", "1"]
    (reason,) = plan_host(h20(2), 1024 * GIB, both).refusals
    assert reason.startswith("No card is left for b: all belong to instances that have cards of their own.")


def test_cards_of_an_instance_of_llama_cpp_are_not_ollamas() -> None:
    plan = plan_host(h20(4), 1024 * GIB, [demand("l", "IQ1_S", replicas=1), demand("o", "IQ1_S", "ollama")])
    assert cards_of(plan)["l"] == [0, 1] and plan.as_facts()["first_server"] == ["2", "3"]
    assert cards_under(plan, "o") == {2, 3}


def test_what_llama_cpp_keeps_in_memory_is_not_there_for_ollama() -> None:
    mixed = [demand("o", "Q2_K_XL", "ollama"), demand("l", "IQ2_XXS")]
    (reason,) = plan_host(h20(4), 1024 * GIB, mixed).refusals
    assert reason.startswith("o does not fit beside what is always in memory on this host.")


# Random hosts and models.


@cache
def small(blocks: int, gib: int) -> Model:
    return model_from_facts(
        {
            "architecture": "llama",
            "name": f"m{blocks}-{gib}",
            "size_bytes": gib * GIB,
            "block_count": blocks,
            "context_length": 8192,
            "embedding_length": 2048,
            "feed_forward_length": 8192,
            "head_count": 16,
            "head_count_kv": 4,
            "vocab_size": 32000,
        }
    )


CARDS = st.lists(
    st.tuples(st.sampled_from([8, 12, 24, 48]), st.sampled_from([None, 0, 1])).map(
        lambda card: {"memory_total_mib": card[0] * 1024, "memory_reserved_bytes": 0, "numa_node": card[1]}
    ),
    min_size=0,
    max_size=5,
).map(lambda cards: devices_from_facts([{**card, "index": index} for index, card in enumerate(cards)]))
DEMANDS = st.lists(
    st.tuples(
        st.integers(2, 60),
        st.sampled_from([8, 16, 24]),
        st.sampled_from(["ollama", "llama_cpp"]),
        st.sampled_from([None, None, 1, 2, "max"]),
    ),
    min_size=1,
    max_size=3,
).map(
    lambda all_of: [
        Demand(f"m{number}", small(blocks, size), PlanRequest(engine=engine, num_ctx=2048), replicas=replicas)
        for number, (size, blocks, engine, replicas) in enumerate(all_of)
    ]
)


@settings(max_examples=150, deadline=None)
@given(CARDS, st.sampled_from([None, 16, 64, 256]), DEMANDS)
def test_no_card_and_no_ram_has_more_on_it_than_it_has(
    devices: list[Device], ram_gib: Optional[int], demands: list[Demand]
) -> None:
    assume(devices or all(demand.replicas != "max" for demand in demands))
    ram_bytes = None if ram_gib is None else ram_gib * GIB
    plan = plan_host(devices, ram_bytes, demands)
    if plan.refusals or not all(one.plan.fits for one in plan.instances):
        return
    owned = [card.index for one in plan.instances for card in one.cards or ()]
    assert len(owned) == len(set(owned)), "no card is in two instances"
    lead = first_server_of([demand for demand in demands if not demand.resident])
    lead_name = lead.name if lead else ""
    resident = [
        one
        for one in plan.instances
        if one.demand.resident or one.number or (one.demand.own_cards and one.demand.name != lead_name)
    ]
    in_turns = [one for one in plan.instances if one not in resident]
    owned_by_others = {card.index for one in resident for card in one.cards or ()}
    assert not owned_by_others & {card.index for card in plan.first_server or ()}, "nor in one and the first server"
    for more in [[one] for one in in_turns] or [[]]:
        used = {device.index: 0 for device in devices}
        for one in [*resident, *more]:
            for share in one.plan.layout.shares:
                if share.layers and share.device:
                    used[share.device.index] += share.total_bytes
        assert all(used[device.index] <= device.usable_bytes for device in devices)
        held = sum(one.plan.layout.host.total_bytes for one in [*resident, *more])
        assert ram_bytes is None or held <= ram_bytes
    for demand in demands:
        there = [one for one in plan.instances if one.demand.name == demand.name]
        assert len(there) == (demand.replicas or 1) or demand.replicas == "max"


def test_which_of_two_cards_that_are_alike_is_taken_matters_where_another_lies_between_them() -> None:
    sizes = [8192, 24576, 24576, 49152, 8192]
    devices = devices_from_facts([{"memory_total_mib": mib, "index": index} for index, mib in enumerate(sizes)])
    model, request = small(8, 37), PlanRequest(engine="ollama", num_ctx=2048)
    found = share_out([Need(tuple(devices), lambda cards: mode_of(model, cards, request) == "full")] * 2)
    assert found is not None and sum(map(len, found)) == 4


@settings(max_examples=100, deadline=None)
@given(CARDS, st.integers(4, 60), st.sampled_from([8, 16]), st.integers(1, 3), st.sampled_from(["ollama", "llama_cpp"]))
def test_instances_take_as_few_cards_as_any_way_to_place_them(
    devices: list[Device], size: int, blocks: int, replicas: int, engine: str
) -> None:
    assume(devices)
    model, request = small(blocks, size), PlanRequest(engine=engine, num_ctx=2048)

    def fits(cards: tuple[Device, ...]) -> bool:
        return mode_of(model, cards, request) == "full"

    found = share_out([Need(tuple(devices), fits)] * replicas)
    groups = [
        cards for count in range(1, len(devices) + 1) for cards in itertools.combinations(devices, count) if fits(cards)
    ]
    ways = [
        sum(map(len, way))
        for way in itertools.combinations(groups, replicas)
        if sum(map(len, way)) == len({card.index for cards in way for card in cards})
    ]
    assert (None if found is None else sum(map(len, found))) == min(ways, default=None)
