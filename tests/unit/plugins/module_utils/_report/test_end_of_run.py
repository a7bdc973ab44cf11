# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table at the end of a run of three hosts: plain, in check mode, and after a failure."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.build import describe_fleet
from ansible_collections.gguf.fleet.plugins.module_utils._report.end_of_run import LINES_AT_MOST, table
from ansible_collections.gguf.fleet.plugins.module_utils._report.leftovers import declared_services

GIB = 2**30
NAMES = ("h20-01", "h20-02", "cpp-01")
R1 = {"name": "deepseek-r1", "source": {"repo": "unsloth/R1", "quant": "Q2"}, "parameters": {"num_ctx": 8192}}
CODER = {"name": "coder", "source": {"repo": "org/coder", "quant": "Q4"}}
DECLARED: Dict[str, Dict[str, Any]] = {
    "h20-01": {"models_serve": [R1, CODER, {**CODER, "name": "coder-hot"}]},
    "h20-02": {"models_serve": [R1]},
    "cpp-01": {"models_serve": [{**CODER, "engine": "llama_cpp"}], "llama_cpp_source": "package"},
}
FLEET = describe_fleet(DECLARED, {}, {}).as_dict()
GPUS = [{"uuid": f"GPU-{index}"} for index in range(8)]


def plan(gpus: int = 8, layers: int = 62, total: int = 62) -> Dict[str, Any]:
    devices = [{"layers": layers // gpus} for _card in range(gpus)]
    return {"fits": True, "layers_on_gpu": layers, "layers_total": total, "per_device": devices}


def told(name: str, *, moved: int = 0, check: bool = False, gpus: Sequence[Any] = GPUS, **more: Any) -> Dict[str, Any]:
    """What the tasks of a run that went well leave of a host."""
    models = [model["name"] for model in FLEET["hosts"][name]["models"]]
    count = {"bytes_to_move": moved} if check else {"bytes_moved": moved}
    download = {**count, "size_bytes": 212 * GIB, "paths": [f"/srv/{name}.gguf"], "changed": bool(moved)}
    if moved:
        download["sources"] = {"modelscope.cn": moved}
    answer = {"verified": not check, "tokens_per_second": 21.25, "model": "m"}
    return {
        "__host_info": {"free_bytes": 900 * GIB, "gpus": list(gpus), "services": []},
        "_models_host_plan": {"plans": {model: plan() for model in models}, "instances": [], "warnings": []},
        "__models_downloaded": {"downloads": [download for _model in models]},
        "__verify_here": {"endpoints": [answer for _endpoint in FLEET["hosts"][name]["endpoints"]]},
        **more,
    }


def shown(hosts: Dict[str, Dict[str, Any]], alive: Sequence[str] = NAMES, check: bool = False) -> List[str]:
    return table(NAMES, hosts, FLEET, alive, check)


def test_a_run_without_a_change_is_a_line_for_each_model() -> None:
    assert shown({name: told(name) for name in NAMES}) == [
        "host    model        state                   fetched                   disk            placement",
        "h20-01  deepseek-r1  answers, 21.2 tokens/s  nothing, 212.0 GiB there  900.0 GiB free  fits, 8 GPUs",
        "        coder        answers, 21.2 tokens/s  nothing, 212.0 GiB there                  fits, 8 GPUs",
        "        coder-hot    answers, 21.2 tokens/s  as coder                                  fits, 8 GPUs",
        "h20-02  deepseek-r1  answers, 21.2 tokens/s  nothing, 212.0 GiB there  900.0 GiB free  fits, 8 GPUs",
        "cpp-01  coder        answers, 21.2 tokens/s  nothing, 212.0 GiB there  900.0 GiB free  fits, 8 GPUs",
        "Unchanged: h20-01, h20-02, cpp-01.",
    ]


def test_check_mode_tells_what_would_be_fetched_from_where_and_that_no_gpu_was_seen() -> None:
    hosts = {name: told(name, moved=131 * GIB, check=True, gpus=()) for name in NAMES}
    hosts["h20-01"]["__ollama_served"] = {"changed": True, "actions": ["write /etc/a.env", "start ollama: it is new"]}
    lines = shown(hosts, check=True)
    assert "to fetch" in lines[0]
    assert "not asked yet" in lines[1]
    assert "131.0 GiB from modelscope.cn" in lines[1]
    assert "not checked: no GPUs seen" in lines[1]
    assert "Would change: h20-01: start ollama: it is new" in lines
    assert "Nothing to change on h20-02, cpp-01." in lines


def test_a_host_that_failed_has_its_message_below_the_table() -> None:
    hosts = {name: told(name) for name in NAMES}
    failed = {"failed": True, "msg": "deepseek-r1: 7 GiB are free, 212 GiB are needed.\nFree some.", "downloads": []}
    hosts["h20-02"] = {**hosts["h20-02"], "__models_downloaded": failed}
    del hosts["h20-02"]["__verify_here"]
    lines = shown(hosts, alive=("h20-01", "cpp-01"))
    row = next(line for line in lines if line.startswith("h20-02"))
    assert "FAILED" in row
    assert "not reached" in row
    assert "FAILED: h20-02: deepseek-r1: 7 GiB are free, 212 GiB are needed. Free some." in lines
    assert "Unchanged: h20-01, cpp-01." in lines


def test_an_unreachable_host_has_a_row_and_the_reason() -> None:
    hosts = {name: told(name) for name in NAMES}
    reason = "Failed to connect to the host via ssh: ssh: connect to host 10.0.0.2 port 22:\nConnection timed out"
    hosts["h20-02"] = {"__host_info": {"unreachable": True, "changed": False, "msg": reason}}
    lines = shown(hosts, alive=("h20-01", "cpp-01"))
    (row,) = [line for line in lines if line.startswith("h20-02")]
    assert row.split()[:3] == ["h20-02", "deepseek-r1", "UNREACHABLE"]
    assert f"UNREACHABLE: h20-02: {' '.join(reason.split())}" in lines
    assert not [line for line in lines if "FAILED" in line]
    assert "Unchanged: h20-01, cpp-01." in lines


def test_a_loop_that_failed_tells_the_message_of_each_item_and_a_list_a_line_each() -> None:
    hosts = {name: told(name) for name in NAMES}
    items = [{"failed": True, "msg": f"{name} does not start."} for name in ("llama-cpp-a", "llama-cpp-b")]
    hosts["h20-01"]["__llama_cpp_served"] = {"failed": True, "msg": "One or more items failed", "results": items}
    hosts["h20-02"]["__models_refused"] = {"failed": True, "msg": ["r1 is too large.", "coder is, too."]}
    lines = shown(hosts, alive=("cpp-01",))
    assert "FAILED: h20-01: llama-cpp-a does not start. llama-cpp-b does not start." in lines
    assert "FAILED: h20-02: r1 is too large. coder is, too." in lines


def test_a_host_that_failed_before_any_result_is_told_all_the_same() -> None:
    hosts: Dict[str, Dict[str, Any]] = {name: {} for name in NAMES}
    lines = shown(hosts, alive=())
    assert sum("FAILED" in line for line in lines) >= len(NAMES)
    assert "it stopped; its message stands above" in " ".join(lines)


def test_what_is_left_over_is_named_with_its_bytes_until_it_is_removed() -> None:
    made = {
        "files": [{"path": "/srv/h20-02.gguf", "size_bytes": GIB}, {"path": "/srv/old.gguf", "size_bytes": 131 * GIB}],
        "models": ["DeepSeek-R1:latest", "old:latest"],
    }
    hosts = {name: told(name) for name in NAMES}
    seen = {**hosts["h20-02"]["__host_info"], "made": made, "services": ["ollama", "llama-cpp-old"]}
    hosts["h20-02"]["__host_info"] = seen
    assert (
        "Left over: h20-02: old:latest in Ollama's store (models_prune: true removes it); /srv/old.gguf, 131.0 GiB; "
        "the service llama-cpp-old" in shown(hosts)
    )
    action = "remove file /srv/old.gguf (140,660,178,944 bytes): no model needs it any more"
    pruned = {"changed": True, "removed": ["old:latest"], "actions": [action]}
    gone = {"results": [{"changed": True, "name": "llama-cpp-old"}]}
    hosts["h20-02"].update(__models_registered=pruned, __llama_cpp_removed=gone)
    lines = shown(hosts)
    assert not [line for line in lines if "Left over" in line]
    assert f"Changed: h20-02: {action}" in lines


def test_doors_and_gateways_that_are_declared_are_not_left_over() -> None:
    gateway = {"group_names": ["gateway"], "gateway_name": "llm.example.com"}
    hosts = {"gpu": {"models_serve": [{"name": "m", "source": {"repo": "o/r", "quant": "q"}}]}}
    alone = describe_fleet(hosts, {}, {}).as_dict()["hosts"]["gpu"]
    found = describe_fleet({**hosts, "gw": gateway}, {}, {}).as_dict()["hosts"]
    assert declared_services(alone) == {"ollama"}
    assert declared_services(found["gpu"]) == {"ollama", "gguf-fleet-door"}
    assert declared_services(found["gw"]) == {"gguf-fleet-gateway"}


@pytest.mark.parametrize("many", [3, 40])
def test_three_hosts_never_take_more_than_25_lines(many: int) -> None:
    models = [{"name": f"m{number}", "source": {"repo": "org/r", "quant": f"q{number}"}} for number in range(many)]
    fleet = describe_fleet({name: {"models_serve": models} for name in NAMES}, {}, {}).as_dict()
    warnings = [f"warning {number} {'x' * 500}" for number in range(20)]
    variables = {
        name: {
            "_models_host_plan": {"warnings": [name, *warnings]},
            "__models_downloaded": {"changed": True, "actions": [f"fetch {name} {number}" for number in range(30)]},
        }
        for name in NAMES
    }
    lines = table(NAMES, variables, fleet, ("h20-01",), check=True)
    assert len(lines) <= LINES_AT_MOST
    assert max(map(len, lines)) <= 300
    assert "FAILED: h20-02, cpp-01: it stopped" in " ".join(lines)
