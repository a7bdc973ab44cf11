# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans beside what llama-fit-params says. What it prints was recorded from build 11669 (Debian); no card was there, so
that lines of a real backend are those of its RPC devices under the name that its source gives CUDA's."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._gpu import judging
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.certainty import told
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.devices import devices_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.fit_params import HeaderFile, Program, closed_devices
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judge import (
    Answer,
    Held,
    JudgeProblem,
    Said,
    arguments,
    judged,
    not_judged,
    read_answer,
)
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.judge_cache import MOST_ANSWERS, Cache
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.model import model_from_facts
from ansible_collections.gguf.fleet.plugins.module_utils._gpu.plan import PlanRequest, make_plan
from ansible_collections.gguf.fleet.tests.builders import models

# Llama 3 70B, --ctx-size 8192 --parallel 1 --n-gpu-layers 81 --split-mode layer --tensor-split 41,40, two RPC servers.
RPC = b"RPC0 20017 1312 456 \nRPC1 19921 1248 426 \nHost 563 0 192 \n"
CUDA = RPC.replace(b"RPC", b"CUDA")
NO_GPU = b"Host 40503 2560 338 \n"


@cache
def llama():
    return model_from_facts(models.llama3_70b().facts())


def gpus(mib, count=2, **more):
    return devices_from_facts([{"memory_total_mib": mib, "memory_reserved_bytes": 0, "count": count, **more}])


def plan(mib=40000, ram_gib=None, **options):
    request = PlanRequest(
        engine="llama_cpp", num_ctx=8192, ram_bytes=None if ram_gib is None else ram_gib * 1024**3, **options
    )
    return make_plan(llama(), gpus(mib), request).as_facts()


def said(output, *, real=True):
    return Said(read_answer(output), "11669", real)


def test_what_was_printed_is_read_device_by_device():
    assert read_answer(RPC) == Answer(
        (("RPC0", Held(20017, 1312, 456)), ("RPC1", Held(19921, 1248, 426))), Held(563, 0, 192)
    )
    assert read_answer(RPC).backend == "RPC"
    assert read_answer(NO_GPU) == Answer((), Held(40503, 2560, 338))


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"CUDA0 1 2 3 \n",  # no host
        b"Host 1 2 \n",
        b"Host -1 2 3 \n",
        b"Host 1 2 3 4 \n",
        b"Host 1e9 2 3 \n",
        b"Host 99999999999999999999 2 3 \n",
        "Host \u0661 2 3 \n".encode(),  # a digit, but not an ASCII one
        b"Host 1 2 3 \x1b[2J\n",
        b"Host 1 2 3 \nHost 1 2 3 \n",
        b"\x00\xff" * 5000,
        b"".join(b"CUDA%d 1 1 1 \n" % number for number in range(500)) + b"Host 1 1 1 \n",
    ],
)
def test_what_is_no_answer_is_refused(output):
    with pytest.raises(JudgeProblem):
        read_answer(output)


def test_lines_that_are_no_devices_are_left_alone():
    noise = b"warning: \x1b[31mred\x1b[0m\n" + b"x" * 100000 + b"\n"
    assert read_answer(noise + RPC) == read_answer(RPC)


def test_the_question_is_the_planned_server_as_far_as_memory_goes():
    declared = {"ctx_size": 99, "swa-full": True, "no-kv-offload": False, "ubatch-size": 1024, "api-key": "k", "fa": 1}
    assert arguments(plan(), declared) == [
        *("--ctx-size", "8192", "--parallel", "1", "--n-gpu-layers", "81", "--split-mode", "layer"),
        *("--tensor-split", "41,40", "--ubatch-size", "1024", "--swa-full"),
    ]


def test_a_plan_that_the_engine_confirms_stays_and_has_its_numbers_beside():
    before = plan()
    after = judged(before, said(RPC, real=False))
    assert (after["fits"], after["mode"], after["reason"]) == (True, "full", before["reason"])
    assert after["warnings"] == before["warnings"]
    assert after["per_device"] == before["per_device"]
    assert after["judge"]["per_device"][0]["weights_mib"] == 20017
    assert (after["judge"]["backend"], after["judge"]["decides"]) == ("RPC", ["weights", "kv"])
    assert after["judge"]["said"] == "Checked by llama-fit-params (build 11669, RPC)."
    assert "  GPU 1: weights 19,921, KV 1,248, working memory 426" in "\n".join(after["table"])


def test_a_difference_over_two_percent_is_said_with_both_numbers():
    after = judged(plan(), said(RPC.replace(b"19921 1248", b"19921 1300"), real=False))
    expected = "GPU 1: KV cache 1,300 MiB, 1,248 MiB planned."
    assert after["judge"]["differences"] == [expected]
    assert after["warnings"][-1] == f"llama-fit-params (build 11669, RPC): {expected}"
    assert judged(plan(), said(RPC.replace(b"1248", b"1260"), real=False))["judge"]["differences"] == []


def test_through_the_real_backend_the_engines_word_decides_that_it_does_not_fit():
    before = plan()
    room = before["per_device"][0]["usable_mib"]
    more = CUDA.replace(b"20017 1312 456", b"20017 1312 %d" % room)
    after = judged(before, said(more))
    assert before["fits"] and not after["fits"]
    assert after["mode"] == "none"
    assert "GPU 0 lacks" in after["reason"] and "llama-fit-params (build 11669, CUDA)" in after["reason"]
    # Through stand-ins working memory is not its to tell.
    assert judged(before, said(more, real=False))["fits"]
    assert not judged(before, said(RPC.replace(b"1312", b"%d" % room), real=False))["fits"]


def test_the_margin_for_cuda_counts_beside_the_engines_numbers():
    before = plan()
    gpu = before["per_device"][0]
    tight = gpu["usable_mib"] - gpu["overhead_mib"] - 20017 - 1312
    assert judged(before, said(CUDA.replace(b"1312 456", b"1312 %d" % tight)))["fits"]
    assert not judged(before, said(CUDA.replace(b"1312 456", b"1312 %d" % (tight + 1))))["fits"]


def test_a_plan_that_only_we_thought_too_large_fits_by_the_engines_word():
    before = plan(21600, full_only=True)
    assert not before["fits"]
    small = CUDA.replace(b"20017 1312", b"18000 1312").replace(b"19921", b"18000")
    after = judged(before, said(small))
    assert (after["fits"], after["mode"], after["nearest"]) == (True, "full", None)
    assert not judged(before, said(CUDA))["fits"]


def test_a_plan_that_was_refused_for_another_reason_than_memory_stays_refused():
    before = plan(num_gpu=40, full_only=True)
    assert not before["fits"] and before["reason"].startswith("Not all layers")
    assert not judged(before, said(CUDA))["fits"]


def test_through_stand_ins_the_margin_of_our_working_memory_stays():
    before = plan()
    gpu = {**before["per_device"][0], "compute_mib": 400, "copy_mib": 0, "margin_mib": 300}
    needed = judged({**before, "per_device": [gpu, before["per_device"][1]]}, said(RPC, real=False))["judge"]
    assert needed["per_device"][0]["needed_mib"] == 20017 + 1312 + gpu["overhead_mib"] + 400 + 100


def test_ram_is_counted_too():
    before = make_plan(llama(), [], PlanRequest(engine="llama_cpp", num_ctx=8192, ram_bytes=45 * 1024**3)).as_facts()
    assert before["fits"]
    assert judged(before, said(NO_GPU))["fits"]
    after = judged(before, said(NO_GPU.replace(b"2560", b"9000")))
    assert not after["fits"] and "RAM lacks" in after["reason"]


def test_what_our_own_instances_hold_does_not_count_and_what_others_hold_does():
    def planned(name):
        held = {"processes": [{"pid": 1, "name": name, "memory_bytes": 39000 * 1024**2}]}
        card = {"memory_total_mib": 40000, "memory_reserved_bytes": 0, "memory_free_bytes": 10**9, **held}
        devices = devices_from_facts([{**card, "index": index} for index in range(2)])
        return make_plan(llama(), devices, PlanRequest(engine="llama_cpp", num_ctx=8192, full_only=True)).as_facts()

    assert judged(planned("/opt/llama.cpp/b11669/bin/llama-server"), said(CUDA))["fits"]
    assert not judged(planned("/usr/bin/python3"), said(CUDA))["fits"]


def test_other_cards_than_planned_are_no_answer():
    with pytest.raises(JudgeProblem, match="sees 0 GPUs, and the plan uses 2"):
        judged(plan(), said(NO_GPU))


def test_certainty_is_exact_for_what_the_engine_decided():
    why = ["The tensor teleport is not known here."]
    before = {**plan(), "certainty": told({"weights": "estimated", "kv": "unknown", "compute": "unknown"}, why)}
    half = judged(before, said(RPC, real=False))
    assert half["certainty"] == told({"weights": "exact", "kv": "exact", "compute": "unknown"}, why)
    assert "not known to fit" in half["refusal"]
    whole = judged(before, said(CUDA))
    assert whole["certainty"] == told(dict.fromkeys(("weights", "kv", "compute"), "exact"), ())
    assert whole["refusal"] is None


def test_plans_of_other_engines_are_not_its_to_judge():
    other = make_plan(llama(), gpus(40000), PlanRequest(engine="ollama")).as_facts()
    assert not_judged(other, "anything") == other
    mine = not_judged(plan(), "no answer \x1b[2J")
    assert mine["fits"] and "no answer \\x1b[2J" in mine["warnings"][-1]


LOCK = {"files": [{"header_sha256": "a" * 64, "sha256": "b" * 64, "size_bytes": 1, "url": "https://hub.test/x"}]}


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "llama-fit-params"
    path.write_text("")
    return Program(str(path), "11669", None)


def asked(lock=..., **planned):
    return judging.Asked(plan(**planned), {}, LOCK if lock is ... else lock, lambda: HeaderFile(b"GGUF", 4))


def test_the_same_question_is_asked_once_and_another_one_again(monkeypatch, tmp_path, program):
    questions = []

    def ask(_program, _file, settings, *, environment, stand_ins):
        questions.append((tuple(settings), stand_ins))
        return RPC

    monkeypatch.setattr(judging, "ask", ask)
    for _run in range(2):
        cache_file = Cache(str(tmp_path / "state" / "judge.json"))
        assert judging.judge_plan(asked(), program, cache_file, stand_ins=True)["judge"]["problem"] is None
        cache_file.save()
    assert len(questions) == 1
    judging.judge_plan(asked(key_type="q8_0"), program, cache_file, stand_ins=True)
    other = {"files": [{**LOCK["files"][0], "header_sha256": "c" * 64}]}
    judging.judge_plan(asked(other), program, cache_file, stand_ins=True)
    newer = Program(program.path, "11670", None)
    judging.judge_plan(asked(), newer, cache_file, stand_ins=True)
    assert len(questions) == 4


def test_a_llama_cpp_without_a_backend_for_the_cards_is_said_whatever_the_stand_ins_say(monkeypatch, tmp_path, program):
    monkeypatch.setattr(judging, "ask", lambda *_args, stand_ins, **_more: RPC if stand_ins else NO_GPU)
    monkeypatch.setattr(judging, "closed_devices", list)
    found = judging.judge_plan(asked(), program, Cache(str(tmp_path / "x")), stand_ins=False)
    assert "sees none of the 2 GPUs" in found["judge"]["said"]
    assert any("sees none of the 2 GPUs" in text for text in found["warnings"])
    assert found["fits"] and found["judge"]["backend"] == "RPC"


def test_that_no_card_is_seen_is_asked_again_as_it_may_change(monkeypatch, tmp_path, program):
    monkeypatch.setattr(judging, "closed_devices", list)
    answers = Cache(str(tmp_path / "x"))
    monkeypatch.setattr(judging, "ask", lambda *_args, stand_ins, **_more: RPC if stand_ins else NO_GPU)
    assert "sees none" in judging.judge_plan(asked(), program, answers, stand_ins=False)["judge"]["said"]
    monkeypatch.setattr(judging, "ask", lambda *_args, **_more: CUDA)
    assert judging.judge_plan(asked(), program, answers, stand_ins=False)["judge"]["backend"] == "CUDA"


def test_a_part_in_ram_that_the_engine_sees_fit_on_the_cards_is_said_with_the_way_there(monkeypatch, tmp_path, program):
    questions = []

    def ask(_program, _file, settings, **_more):
        questions.append(settings)
        return b"CUDA0 15000 900 400 \nCUDA1 15000 900 400 \nHost 600 0 200 \n"

    monkeypatch.setattr(judging, "ask", ask)
    partly = asked(mib=18000)
    assert partly.plan["mode"] == "some_layers"
    found = judging.judge_plan(partly, program, Cache(str(tmp_path / "x")), stand_ins=False)
    assert questions[1][questions[1].index("--n-gpu-layers") + 1] == "81"
    assert found["warnings"][-1].endswith("To have that, declare n-gpu-layers: 81, tensor-split: 17,17.")
    assert found["mode"] == "some_layers"
    # What somebody asked for is left alone, and so is what really does not fit.
    chosen = replace(partly, parameters={"n_gpu_layers": 20})
    assert "all of it fits" not in str(judging.judge_plan(chosen, program, Cache(str(tmp_path / "y")), stand_ins=False))
    monkeypatch.setattr(judging, "ask", lambda *_args, **_more: CUDA.replace(b"20017", b"16000"))
    too_large = judging.judge_plan(partly, program, Cache(str(tmp_path / "z")), stand_ins=False)
    assert "all of it fits" not in str(too_large)


def test_cards_that_nobody_may_open_are_no_sign_of_a_missing_backend(monkeypatch, tmp_path, program):
    monkeypatch.setattr(judging, "ask", lambda *_args, stand_ins, **_more: RPC if stand_ins else NO_GPU)
    monkeypatch.setattr(judging, "closed_devices", lambda: ["/dev/nvidia0"])
    said_there = judging.judge_plan(asked(), program, Cache(str(tmp_path / "x")), stand_ins=False)["judge"]["said"]
    assert "/dev/nvidia0 is closed to programs without rights" in said_there and "sees none" not in said_there


def test_only_devices_without_rights_for_all_are_closed():
    assert closed_devices("/dev/null") == []
    assert closed_devices("/dev/kmsg") == ["/dev/kmsg"] or not os.path.exists("/dev/kmsg")


def test_a_judge_that_fails_leaves_the_plan_and_says_so(monkeypatch, tmp_path, program):
    def ask(*_args, **_more):
        raise JudgeProblem("it crashed.", "Look.")

    monkeypatch.setattr(judging, "ask", ask)
    found = judging.judge_plan(asked(), program, Cache(str(tmp_path / "x")), stand_ins=False)
    assert found["fits"] and found["judge"]["problem"] == "it crashed. Look."
    unlocked = judging.judge_plan(asked(None), program, Cache(str(tmp_path / "x")), stand_ins=False)
    assert "no lock" in unlocked["judge"]["problem"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": 1}', b"[" * 100000, b"\xff"])
def test_a_damaged_file_of_answers_is_forgotten(tmp_path, content):
    path = tmp_path / "judge.json"
    path.write_bytes(content)
    answers = Cache(str(path))
    assert answers.get("a") is None
    answers.put("a", RPC)
    answers.save()
    assert Cache(str(path)).get("a") == RPC


def test_old_answers_make_room_for_new_ones(tmp_path):
    answers = Cache(str(tmp_path / "judge.json"))
    for number in range(MOST_ANSWERS + 10):
        answers.put(str(number), RPC)
    answers.save()
    kept = Cache(str(tmp_path / "judge.json"))
    assert kept.get("9") is None and kept.get("10") == kept.get(str(MOST_ANSWERS + 9)) == RPC
