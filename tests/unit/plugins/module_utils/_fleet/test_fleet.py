# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet value: what an inventory means, and everything that is wrong in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet, describe_host
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.declaration import DeclarationProblem
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.listen import Listen, ollama_listen
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.record import Reported
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.value import Host
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.variables import DEFAULTS, RENAMED, RENAMED_VALUES
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import BUILT_IN
from ansible_collections.gguf.fleet.plugins.module_utils._problem import Problem

ROOT = Path(__file__).resolve().parents[5]
CATALOG = yaml.safe_load((ROOT / "roles" / "models" / "vars" / "catalog.yml").read_text())["_models_catalog"]


def model(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "source": {"repo": "org/repo", "quant": more.pop("quant", "Q4")}, **more}


def host(**variables: Any) -> Host:
    return describe_fleet({"h1": variables}, CATALOG, {}).hosts["h1"]


def problems(**variables: Any) -> list[str]:
    with pytest.raises(DeclarationProblem) as caught:
        describe_fleet({"h1": variables}, CATALOG, {})
    return caught.value.problem.split("\n")


def test_the_defaults_are_those_of_the_roles() -> None:
    roles: dict[str, Any] = {}
    for role in ("gateway", "host", "llama_cpp", "models", "ollama"):
        roles.update(yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text()))
    own = {"fleet_engines", "fleet_fabric_manager", "fleet_gpus", "fleet_ram_gib"}
    assert {name: value for name, value in DEFAULTS.items() if name not in own} == {
        name: roles[name] for name in DEFAULTS if name not in own
    }


def test_a_host_that_serves_nothing_has_no_engine() -> None:
    empty = host(fleet_ram_gib=64)
    assert (empty.engines, empty.models, empty.endpoints, empty.ram_bytes) == ({}, (), (), 64 * 2**30)


def test_an_engine_without_models_is_there_where_it_is_asked_for() -> None:
    alone = host(fleet_engines=["ollama", "llama_cpp"])
    assert list(alone.engines) == ["ollama", "llama_cpp"]
    assert (alone.endpoints, alone.as_dict()["engines"]["llama_cpp"]["url"]) == ((), None)


def test_models_get_their_engine_and_everybody_learns_where_they_are_asked() -> None:
    both = host(
        ansible_host="10.0.0.7",
        ollama_host="0.0.0.0:11434",
        models_llama_cpp_host="::1",
        models_serve=[
            model("a"),
            model("b", engine="llama_cpp"),
            model("c", engine="llama_cpp", port=8080, quant="Q8"),
        ],
        llama_cpp_servers=[{"name": "own", "model": "/m.gguf", "alias": "mine", "host": "10.0.0.7", "port": 9000}],
    )
    assert both.address == "10.0.0.7"
    assert [(entry["model"], entry["url"], entry["open"]) for entry in both.endpoints] == [
        ("a", "http://127.0.0.1:11434", True),
        ("b", "http://[::1]:8081", False),
        ("c", "http://[::1]:8080", False),
        ("mine", "http://10.0.0.7:9000", True),
    ]
    assert both.as_dict()["ports"] == [8080, 8081, 9000, 11434]
    assert [server.name for server in both.servers] == ["ollama", "llama-cpp-b", "llama-cpp-c", "llama-cpp-own"]


def test_the_instances_of_a_model_are_servers_of_their_own() -> None:
    several = host(models_engine="llama_cpp", models_serve=[model("a", replicas=2), model("b", quant="Q8")])
    assert [(server.name, server.listen.port, server.models, server.instance) for server in several.servers] == [
        ("llama-cpp-a", 8080, ("a",), "a"),
        ("llama-cpp-a-2", 8082, ("a",), "a-2"),
        ("llama-cpp-b", 8081, ("b",), "b"),
    ]
    assert [(entry["model"], entry["port"]) for entry in several.endpoints] == [("a", 8080), ("a", 8082), ("b", 8081)]


def test_max_is_what_the_cards_of_the_host_hold_and_one_where_that_is_not_known() -> None:
    serve = [{"name": "r1", "catalog": "deepseek-r1", "quant": "1.58bit", "replicas": "max"}]
    cards = [{"name": "NVIDIA H20", "memory_total_mib": 97871, "count": 8}]
    full = host(models_engine="llama_cpp", models_serve=serve, fleet_gpus=cards, fleet_ram_gib=1024)
    assert [server.listen.port for server in full.servers] == [8080, 8081, 8082, 8083]
    assert len(host(models_engine="llama_cpp", models_serve=serve).servers) == 1


H20X8 = [{"name": "NVIDIA H20", "memory_total_mib": 97871, "count": 8}]
R1 = {"catalog": "deepseek-r1", "quant": "1.58bit", "parameters": {"num_ctx": 4096}}


def ollama_servers(models_serve: list[dict[str, Any]], **more: Any) -> list[tuple[Any, ...]]:
    found = host(models_serve=models_serve, fleet_gpus=H20X8, fleet_ram_gib=1024, **more).as_dict()
    return [
        (server["name"], server["listen"]["port"], server["models"], ",".join(server["gpus"] or ["-"]))
        for server in found["ollama"]["servers"]
    ]


def test_each_instance_of_ollama_has_a_server_with_its_own_port_and_cards() -> None:
    assert ollama_servers([{"name": "r1", "replicas": 3, **R1}], ollama_host="0.0.0.0:4000") == [
        ("ollama", 4000, ["r1"], "0,1"),
        ("ollama-2", 4001, ["r1"], "2,3"),
        ("ollama-3", 4002, ["r1"], "4,5"),
    ]
    assert len(ollama_servers([{"name": "r1", "replicas": "max", **R1}])) == 4
    two = host(models_serve=[{"name": "r1", "replicas": 2, **R1}], fleet_gpus=H20X8, fleet_ram_gib=1024)
    first, second = (server.environment for server in two.ollama.servers)
    assert "OLLAMA_NOPRUNE" not in first and second["OLLAMA_NOPRUNE"] == "1"
    assert (first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]) == ("0,1", "2,3")
    assert "OLLAMA_HOST" not in first and second["OLLAMA_HOST"] == "127.0.0.1:11435"
    assert [(one["model"], one["port"]) for one in two.endpoints] == [("r1", 11434), ("r1", 11435)]


def test_models_without_replicas_are_on_the_first_server_which_keeps_the_cards_that_nobody_owns() -> None:
    b: dict[str, Any] = {"name": "b", **R1}
    serve = [b, {"name": "r1", "replicas": 2, **R1}, {"name": "c", "gpus": [7, 6], **R1}]
    assert ollama_servers(serve) == [
        ("ollama", 11434, ["b", "r1"], "0,1,4,5"),
        ("ollama-2", 11435, ["c"], "6,7"),
        ("ollama-3", 11436, ["r1"], "2,3"),
    ]
    assert ollama_servers([b, {"name": "c", "gpus": ["7", "6"], **R1}]) == [
        ("ollama", 11434, ["b"], "0,1,2,3,4,5"),
        ("ollama-2", 11435, ["c"], "6,7"),
    ]
    assert ollama_servers([{"name": "c", "gpus": ["7", "6"], **R1}]) == [("ollama", 11434, ["c"], "6,7")]
    assert ollama_servers([b]) == [("ollama", 11434, ["b"], "-")]


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ollama", "llama_cpp"]), st.sampled_from([None, 1, 2, "max"]), st.booleans()),
        min_size=1,
        max_size=3,
    ),
    st.integers(1, 8),
)
def test_whatever_is_declared_no_card_no_port_and_no_name_is_two_servers(
    wanted: list[tuple[str, Any, bool]], cards: int
) -> None:
    serve = []
    for number, (engine, replicas, own) in enumerate(wanted):
        gpus = [str(number)] if own and replicas is None else []
        serve.append(
            {"name": f"m{number}", "engine": engine, **R1, "parameters": {}, "replicas": replicas, "gpus": gpus}
        )
    try:
        found = host(models_serve=serve, fleet_gpus=[{**H20X8[0], "count": cards}], fleet_ram_gib=1024)
    except Problem:
        return
    servers = found.servers
    # Servers of llama.cpp without cards of their own share what is left.
    told = [card for server in servers for card in server.gpus or ()]
    assert len(told) == len(set(told))
    assert len({server.listen.port for server in servers}) == len({server.name for server in servers}) == len(servers)
    assert found.unknown_cards == ""
    by_ollama = [model["name"] for model in found.models if model["engine"] == "ollama"]
    assert {name for server in found.ollama.servers for name in server.models} == set(by_ollama)


def test_a_server_for_which_no_card_is_left_sees_none() -> None:
    serve = [{"name": "b", **R1}, {"name": "l", "engine": "llama_cpp", "gpus": [0], **R1, "parameters": {}}]
    (server,) = host(models_serve=serve, fleet_gpus=[{**H20X8[0], "count": 1}], fleet_ram_gib=1024).ollama.servers
    assert (server.gpus, server.environment) == ((), {"CUDA_VISIBLE_DEVICES": "-1"})


def test_as_long_as_the_cards_of_ollamas_servers_cannot_be_known_it_is_said_why() -> None:
    serve = [{"name": "r1", "replicas": 2, **R1}]
    unasked = host(models_serve=serve)
    assert "never asked" in unasked.unknown_cards and len(unasked.ollama.servers) == 2
    assert "before its lock is resolved" in host(models_serve=[model("a", replicas=2)], fleet_gpus=H20X8).unknown_cards
    assert host(models_serve=[model("a")]).unknown_cards == ""
    without_gpus = host(models_serve=serve, __host_info={"gpus": [], "memory_bytes": 2**40})
    assert without_gpus.unknown_cards == "" and [server.gpus for server in without_gpus.ollama.servers] == [(), ()]


def test_more_replicas_of_ollama_than_the_cards_allow_are_refused() -> None:
    (told,) = problems(models_serve=[{"name": "r1", "replicas": 5, **R1}], fleet_gpus=H20X8, fleet_ram_gib=1024)
    assert told.startswith("h1: models_serve: r1: The cards are not enough for 5 × r1, each instance on cards of its")


def test_what_a_host_reported_in_an_earlier_run_refuses_nothing_before_it_is_asked_again() -> None:
    def described(**more: Any) -> Host:
        given = {"models_serve": [{"name": "r1", "replicas": 4, **R1}], **more}
        reported = {"h1": Reported(gpus=({**H20X8[0], "count": 2},), ram_bytes=2**40)}
        return describe_fleet({"h1": given}, CATALOG, {}, records=reported).hosts["h1"]

    assert "The cards are not enough for 4 × r1" in described().unknown_cards
    assert described(__host_info={"gpus": H20X8, "memory_bytes": 2**40}).unknown_cards == ""
    with pytest.raises(DeclarationProblem, match="The cards are not enough for 4 × r1"):
        described(__host_info={"gpus": [{**H20X8[0], "count": 2}], "memory_bytes": 2**40})


def test_a_gateway_keeps_all_instances_of_a_host_that_a_run_does_not_ask() -> None:
    hosts: dict[str, Any] = {
        "gw": {"group_names": ["gateway"], "gateway_name": "llm.example.com"},
        "h1": {"models_serve": [{"name": "r1", "replicas": "max", **R1}]},
    }
    reported = {"h1": Reported(gpus=tuple(H20X8), ram_bytes=2**40)}
    instances = describe_fleet(hosts, CATALOG, {}, records=reported).instances
    assert [one["server"] for one in instances] == ["ollama", "ollama-2", "ollama-3", "ollama-4"]


def test_a_role_alone_knows_the_cards_by_what_was_locked_and_reported_before() -> None:
    asked: list[int] = []

    def known() -> Any:
        asked.append(1)
        return {}, {"h1": Reported(gpus=tuple(H20X8), ram_bytes=2**40)}

    one = describe_host("h1", {"models_serve": [{"name": "r1", "replicas": 2, **R1}]}, CATALOG, known)
    assert [server.gpus for server in one.ollama.servers] == [("0", "1"), ("2", "3")]
    describe_host("h1", {"models_serve": [{"name": "r1", **R1}]}, CATALOG, known)
    assert len(asked) == 1


def test_what_only_the_number_behind_max_makes_wrong_is_refused_too() -> None:
    known = {"catalog": "deepseek-r1", "quant": "1.58bit"}
    serve = [{"name": "r1", "replicas": "max", **known}, {"name": "r1-2", "gpus": [7, 6], **known}]
    cards = [{"name": "NVIDIA H20", "memory_total_mib": 97871, "count": 8}]
    told = problems(models_engine="llama_cpp", models_serve=serve, fleet_gpus=cards, fleet_ram_gib=1024)
    assert told == ["h1: two servers have the name llama-cpp-r1-2. Give each a name of its own."]


def test_the_address_of_ollama_is_the_one_that_its_server_gets() -> None:
    serve = [model("a")]
    environment = {"OLLAMA_HOST": "127.0.0.1:4000"}
    assert host(models_serve=serve, ollama_environment=environment).endpoints[0]["port"] == 4000
    adopted = {"adopted": {"environment": {"OLLAMA_HOST": "0.0.0.0"}, "models_dir": "/home/a/.ollama/models"}}
    taken = host(models_serve=serve, __ollama_info=adopted)
    assert (taken.endpoints[0]["open"], taken.engines["ollama"].store) == (True, "/home/a/.ollama/models")
    declared = host(models_serve=serve, __ollama_info=adopted, ollama_host="127.0.0.1:1", ollama_models_dir="/m")
    assert (declared.endpoints[0]["port"], declared.engines["ollama"].store) == (1, "/m")


def test_a_variable_that_was_renamed_is_refused_with_its_new_name() -> None:
    for old, new in RENAMED.items():
        with pytest.raises(DeclarationProblem, match=f"h1: {old} is called {new} now"):
            describe_fleet({"h1": {old: "x"}}, CATALOG, {})
        assert new in yaml.safe_load((ROOT / "roles" / new.partition("_")[0] / "defaults/main.yml").read_text())


def test_a_value_that_was_renamed_is_refused_with_its_new_name() -> None:
    for variable, values in RENAMED_VALUES.items():
        role = variable.removesuffix("_service_manager")
        specs = yaml.safe_load((ROOT / "roles" / role / "meta/argument_specs.yml").read_text())["argument_specs"]
        for old, new in values.items():
            with pytest.raises(DeclarationProblem, match=f"h1: {variable} is {old}, which is called {new} now"):
                describe_fleet({"h1": {variable: old}}, CATALOG, {})
            choices = specs["main"]["options"][variable]["choices"]
            assert new in choices and old not in choices


def test_the_value_is_plain_data_without_secrets() -> None:
    value = describe_fleet(
        {
            "h1": {
                "models_serve": [
                    model("a"),
                    model("b", quant="Q8", engine="llama_cpp", parameters={"api-key": "sk_planted_key", "ctx-size": 9}),
                ],
                "ollama_environment": {"HF_TOKEN": "hf_planted", "OLLAMA_NUM_PARALLEL": 2},
            }
        },
        CATALOG,
        {},
    ).as_dict()
    printed = yaml.safe_dump(value)
    assert "planted" not in printed and yaml.safe_load(printed) == value
    assert value["hosts"]["h1"]["engines"]["ollama"]["environment"]["OLLAMA_NUM_PARALLEL"] == "2"
    assert [source["lock_name"] for source in value["sources"]] == ["org/repo:Q4", "org/repo:Q8"]
    assert value["hosts"]["h1"]["models"][1]["parameters"] == {"ctx-size": 9}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"models_serve": [model("a", parameters={"num_ctxx": 1})]}, "h1: models_serve: a: Ollama 0.33.2 has no parameter "
     "'num_ctxx'. Did you mean num_ctx?"),
    ({"models_serve": [model("a", keep_alive="forever")]}, "h1: models_serve: a: keep_alive is 'forever'. Give"),
    ({"models_serve": [model("a", template="{{ .A")]}, "h1: models_serve: a: The template, line 1, column 1: unclosed"),
    ({"models_serve": [model("a", template="chatlm")]}, "h1: models_serve: a: The template is neither a"),
    ({"models_serve": [model("a", layout="shards")]}, "h1: models_serve: a: layout is shards, and Ollama serves one"),
    ({"models_serve": [model("a", port=1)]}, "h1: models_serve: a: port is for llama.cpp"),
    ({"models_serve": [model("a b")]}, "h1: models_serve: a b: "),
    ({"models_serve": [model("a", engine="llama_cpp", parameters={"num_ctx": 1})]},
     "h1: models_serve: a: num_ctx is Ollama's word; llama.cpp says ctx-size"),
    ({"models_serve": [model("a", engine="llama_cpp", parameters={"ctx-sizee": 1})]},
     "h1: models_serve: a: llama-server has no option ctx-sizee. Did you mean ctx-size?"),
    ({"fleet_engines": ["olama"]}, "h1: fleet_engines names 'olama'. There are ollama and llama_cpp."),
    ({"models_serve": [model("a")], "ollama_version": "0.4.9"}, "h1: ollama_version is 0.4.9. Ollama 0.5.7 and newer"),
    ({"models_serve": [model("a")], "ollama_environment": {"OLLAMA_HOSTT": "x"}}, "h1: Ollama 0.33.2 knows no"),
    ({"models_serve": [model("a")], "ollama_version": "v0.33"}, "h1: ollama_version is v0.33. Ollama"),
    ({"models_engine": "llama_cpp", "models_serve": [model("a", port=1), model("b", port=1, quant="Q8")]},
     "h1: llama-cpp-a and llama-cpp-b would both listen on 127.0.0.1:1."),
    ({"models_serve": [model("a"), model("b", engine="llama_cpp", port=11434)]},
     "h1: ollama and llama-cpp-b would both listen on 127.0.0.1:11434. Give one of them another port (ollama_host)."),
    ({"models_serve": [model("a", engine="llama_cpp")],
      "llama_cpp_servers": [{"name": "a", "model": "/m", "port": 9}]}, "h1: two servers have the name llama-cpp-a."),
    ({"models_serve": [model("a", engine="llama_cpp", replicas="all")]}, "h1: models_serve: a: replicas is 'all'."),
    ({"models_serve": [model("a", engine="llama_cpp", replicas=0)]}, "h1: models_serve: a: replicas is 0."),
    ({"models_serve": [model("a", engine="llama_cpp", gpus=0)]}, "h1: models_serve: a: gpus is 0. Give a list"),
    ({"models_engine": "llama_cpp", "models_serve": [model("a", gpus=[0, 1]), model("b", quant="Q8", gpus=["1"])]},
     "h1: models_serve: b: gpus has the card 1, which is given to a, too."),
    ({"models_engine": "llama_cpp", "models_serve": [model("a", gpus=[2, 2])]}, "h1: models_serve: a: gpus has the"),
    ({"models_engine": "llama_cpp", "models_serve": [model("a", replicas="max")],
      "llama_cpp_servers": [{"name": "b", "model": "/m", "port": 9}]}, "h1: models_serve: a: replicas is max, and"),
    ({"models_engine": "llama_cpp", "models_serve": [model("a", replicas=2), model("a-2", quant="Q8")]},
     "h1: two servers have the name llama-cpp-a-2."),
    ({"models_serve": [model("a", replicas=2)], "ollama_gpus": [0]},
     "h1: models_serve: a has replicas or gpus, and ollama_gpus is for a host with one server. Leave ollama_gpus out."),
    ({"models_serve": [model("a", gpus=[0])], "ollama_environment": {"CUDA_VISIBLE_DEVICES": "0"}},
     "h1: models_serve: a has replicas or gpus, and CUDA_VISIBLE_DEVICES in ollama_environment would hold for every"),
    ({"models_serve": [model("a", replicas=2)], "__ollama_info": {"adopted": {"models_dir": "/m", "environment": {}}}},
     "h1: models_serve: a has replicas or gpus, and its Ollama was installed by somebody else"),
    ({"models_serve": [model("a", replicas=2), model("b", engine="llama_cpp", port=11435, quant="Q8")]},
     "h1: ollama-2 and llama-cpp-b would both listen on 127.0.0.1:11435. Give one of them another port (ollama_host)."),
    ({"models_serve": [model("a", replicas=2)], "ollama_host": "127.0.0.1:65535"},
     "h1: models_serve: the port of Ollama's server 2 would be 65536. Give the first one a lower port"),
    ({"models_serve": [model("o"), model("l", engine="llama_cpp", gpus=[0], quant="Q8")], "ollama_gpus": ["0", "1"]},
     "h1: models_serve: l: gpus has the card 0, which is given to Ollama (ollama_gpus), too."),
    ({"models_serve": [{"catalog": "deepseek-r2"}]}, "h1: models_serve: deepseek-r2: the catalog has no"),
    ({"models_serve": [model("a"), model("A", quant="Q8")]}, "h1: models_serve names 'A' twice ("),
]  # fmt: skip


@pytest.mark.parametrize(("variables", "expected"), WRONG, ids=[words[:60] for _given, words in WRONG])
def test_what_is_wrong_in_a_declaration_is_named_with_its_host(variables: dict[str, Any], expected: str) -> None:
    (found,) = problems(**variables)
    assert found.startswith(expected)


def test_all_that_is_wrong_on_all_hosts_is_told_at_once() -> None:
    misspelt = model("a", keep_alive="forever", parameters={"num_ctxx": 1, "num_gpu": "many"})
    hosts = {
        "h1": {"models_serve": [misspelt, model("b", layout="shards"), {"name": "y"}]},
        "h2": {"models_serve": [{"name": "x"}]},
    }
    with pytest.raises(DeclarationProblem) as caught:
        describe_fleet(hosts, CATALOG, {})
    told = caught.value.problem.split("\n")
    assert [line.partition(": ")[0] for line in told] == ["h1"] * 5 + ["h2"]


def test_one_name_for_two_quants_is_refused_across_hosts() -> None:
    hosts = {"h1": {"models_serve": [model("a")]}, "h2": {"models_serve": [model("a", quant="Q8")]}}
    with pytest.raises(DeclarationProblem, match="org/repo:Q4 on one host and org/repo:Q8 on another"):
        describe_fleet(hosts, CATALOG, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0", Listen("0.0.0.0", 11434)),
        (":8080", Listen("0.0.0.0", 8080)),
        ("http://10.0.0.1:1", Listen("10.0.0.1", 1)),
        ("http://10.0.0.1", Listen("10.0.0.1", 80)),
        ("https://box/path", Listen("box", 443)),
        ("[::]:11434", Listen("::", 11434)),
        ("localhost:1", Listen("localhost", 1)),
        (' "127.0.0.1:5" ', Listen("127.0.0.1", 5)),
        ("10.0.0.1:99999", Listen("10.0.0.1", 11434)),
    ],
)
def test_the_host_of_ollama_is_taken_apart_as_ollama_does(text: str, expected: Listen) -> None:
    assert ollama_listen(text) == expected


@pytest.mark.parametrize(
    ("address", "is_open"),
    [("127.0.0.1", False), ("127.1.2.3", False), ("::1", False), ("localhost", False), ("0.0.0.0", True), ("::", True),
     ("10.0.0.1", True), ("box", True)],
)  # fmt: skip
def test_only_loopback_is_closed_to_the_network(address: str, is_open: bool) -> None:
    assert Listen(address, 1).open is is_open


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        (Listen("127.0.0.1", 1), Listen("127.0.0.1", 2), False),
        (Listen("127.0.0.1", 1), Listen("localhost", 1), True),
        (Listen("0.0.0.0", 1), Listen("10.0.0.1", 1), True),
        (Listen("10.0.0.1", 1), Listen("10.0.0.2", 1), False),
        (Listen("::", 1), Listen("127.0.0.1", 1), True),
    ],
)
def test_two_servers_clash_where_one_takes_the_others_port(one: Listen, other: Listen, clash: bool) -> None:
    assert one.takes_from(other) is other.takes_from(one) is clash


def test_every_model_of_the_catalog_has_a_template_that_we_have_unless_only_new_servers_load_it() -> None:
    """Ollama before 0.30 gives a model without one the bare prompt, and loads none of these."""
    without = {name for name, model in CATALOG.items() if "template" not in model}
    assert without == {"deepseek-v3.2", "glm-5.2", "minimax-m3"}
    assert {model["template"] for model in CATALOG.values() if "template" in model} <= set(BUILT_IN)
