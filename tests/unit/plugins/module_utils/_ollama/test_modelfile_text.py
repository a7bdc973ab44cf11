# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.modelfile import (
    Command,
    Modelfile,
    ModelfileProblem,
    commands,
    parse,
    render,
)
from ansible_collections.gguf.fleet.plugins.module_utils._ollama.templates import BUILT_IN

FIXTURES = Path(__file__).parent / "fixtures"

H20 = Modelfile(
    base="~/dir/DeepSeek-R1-UD-Q2_K_XL/DeepSeek-R1-2.51bit.gguf",
    template=BUILT_IN["deepseek-r1"],
    parameters={"stop": ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]},
)
RTX4090 = Modelfile(
    base="/root/nfs_public/models/quantization/DeepSeek-R1-UD-IQ1_S.gguf",
    template=BUILT_IN["deepseek-r1-short"],
    parameters={"num_gpu": 14, "num_ctx": 2048, "temperature": 0.6},
    order=("from", "parameters"),
)


@pytest.mark.parametrize(
    ("modelfile", "fixture"),
    [(H20, "article-8xh20.Modelfile"), (RTX4090, "article-2xrtx4090.Modelfile")],
)
def test_the_modelfile_of_each_article_is_written_word_for_word(modelfile: Modelfile, fixture: str) -> None:
    # As the author meant it: the first one's unquoted here-document would have let the shell eat $i, $_ and $last. Of
    # the second one's lines only the blank that each begins with is missing.
    assert render(modelfile) == (FIXTURES / fixture).read_text(encoding="utf-8")


def test_the_template_of_the_first_article_keeps_its_go_variables() -> None:
    for variable in ("$i, $_ :=", "{{- $last :=", "slice $.Messages $i", "if not $last"):
        assert variable in BUILT_IN["deepseek-r1"]


@pytest.mark.parametrize("modelfile", [H20, RTX4090])
def test_what_is_written_is_read_back_as_it_was_meant(modelfile: Modelfile) -> None:
    assert parse(render(modelfile)) == commands(modelfile)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " padded ",
        'say "hi"',
        '"quoted"',
        '""',
        "line\nline",
        "ends in a line\n",
        'a """ b',
        'last line ends in """',
        "back\\slash \\n",
        "'single'",
        "tab\tin it",
        "# not a comment",
        "crlf\r\ninside",
        "你是一个助手。",
        "FROM nothing\nPARAMETER stop x",
    ],
)
def test_awkward_texts_survive_as_system_template_licence_message_and_stop(text: str) -> None:
    modelfile = Modelfile(
        base="base",
        template=text,
        system=text,
        license=[text] if text else [],
        messages=[{"role": "user", "content": text}],
        parameters={"stop": [text, "x"]} if text else {},
    )
    assert parse(render(modelfile)) == commands(modelfile)


def test_random_texts_of_grammar_characters_survive_or_are_refused() -> None:
    chance = random.Random(5)
    survived = 0
    for _round in range(3000):
        text = "".join(chance.choice('"""\n\n ab\t\r#') for _char in range(chance.randrange(1, 14)))
        modelfile = Modelfile(base="base", system=text, parameters={"stop": [text]})
        try:
            written = render(modelfile)
        except ModelfileProblem:
            continue
        assert parse(written) == commands(modelfile)
        survived += 1
    assert survived > 1500


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("全角\u3000空格", "U+3000 (IDEOGRAPHIC SPACE)"),
        ("no\u00a0break", "U+00A0 (NO-BREAK SPACE)"),
        ("👩\u200d💻", "U+200D (ZERO WIDTH JOINER)"),
        ("bell\a", "U+0007 (a control character)"),
    ],
)
def test_characters_that_ollama_would_drop_are_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ModelfileProblem) as caught:
        render(Modelfile(base="base", system=text))
    assert named in caught.value.problem
    assert "ollama_model" in caught.value.remedy


@pytest.mark.parametrize(
    ("modelfile", "named"),
    [
        (Modelfile(base="base", system='first """\nsecond'), "SYSTEM"),
        (Modelfile(base="base", system='first """ \t\r\nsecond'), "SYSTEM"),
        (Modelfile(base="two\nlines"), "FROM"),
        (Modelfile(base=""), "FROM"),
        (Modelfile(base='"quoted"'), "FROM"),
        (Modelfile(base="base", adapter=" padded"), "ADAPTER"),
        (Modelfile(base="base", messages=[{"role": "User", "content": "x"}]), "User"),
    ],
)
def test_what_the_grammar_cannot_carry_is_refused(modelfile: Modelfile, named: str) -> None:
    with pytest.raises(ModelfileProblem) as caught:
        render(modelfile)
    assert named in caught.value.problem


# What ollama's own parser makes of these (parser/parser.go), seen by running it.
READ = [
    ("FROM x", [("model", "x")]),
    ("from x\n", [("model", "x")]),
    ("  \n# comment\n  # indented comment\nFROM x", [("model", "x")]),
    ("FROM x # no comment", [("model", "x # no comment")]),
    ("FROM\tx", [("model", "x")]),
    ("FROM x\r\nSYSTEM y\r\n", [("model", "x"), ("system", "y")]),
    ("FROM x\nFROM y", [("model", "x"), ("model", "y")]),
    ('FROM x\nSYSTEM """\nmulti\nline\n"""', [("model", "x"), ("system", "\nmulti\nline\n")]),
    ('FROM x\nSYSTEM """say "hi""""', [("model", "x"), ("system", 'say "hi"')]),
    ('FROM x\nSYSTEM """a """ b"""', [("model", "x"), ("system", 'a """ b')]),
    ('FROM x\nSYSTEM ""', [("model", "x"), ("system", "")]),
    ('FROM x\nSYSTEM """"""', [("model", "x"), ("system", "")]),
    ("FROM x\nSYSTEM 'single'", [("model", "x"), ("system", "'single'")]),
    ("FROM x\nSYSTEM a\\nb", [("model", "x"), ("system", "a\\nb")]),
    ('FROM x\nSYSTEM "a"\nPARAMETER stop "  "', [("model", "x"), ("system", "a"), ("stop", "  ")]),
    ('FROM x\nSYSTEM "abc" def\nPARAMETER top_k "', [("model", "x"), ("system", 'abc" def\nPARAMETER top_k ')]),
    ("FROM x\nPARAMETER Num_Ctx 1", [("model", "x"), ("Num_Ctx", "1")]),
    ("FROM x\nMESSAGE user hi: there", [("model", "x"), ("message", "user: hi: there")]),
    ("FROM x\nSYSTEM 全\u3000角\u200b", [("model", "x"), ("system", "全角")]),
    ("FROM x\nRENDERER a\nPARSER b\nREQUIRES 0.14.0", [
        ("model", "x"),
        ("renderer", "a"),
        ("parser", "b"),
        ("requires", "0.14.0"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), READ)
def test_the_parser_reads_what_ollama_reads(text: str, expected: list[tuple[str, str]]) -> None:
    assert parse(text) == tuple(Command(name, args) for name, args in expected)


@pytest.mark.parametrize(
    "data",
    ["FROM 模型".encode(), b"\xef\xbb\xbf" + "FROM 模型".encode(), "\ufeffFROM 模型".encode("utf-16-le"),
     "\ufeffFROM 模型".encode("utf-16-be")],
)  # fmt: skip
def test_a_byte_order_mark_is_understood(data: bytes) -> None:
    assert parse(data) == (Command("model", "模型"),)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no FROM"),
        ("SYSTEM x", "no FROM"),
        ("FROM x\nWHATEVER y", "Line 2"),
        ("FROM\n", "Line 2"),
        ("FROM x\nFR OM y", "Line 2"),
        ("FROM x\nMESSAGE User hi", "'User'"),
        ('FROM x\nSYSTEM "abc', "middle of a value"),
        ('FROM x\nSYSTEM "abc" def', "middle of a value"),
        ("FROM x\nPARAMETER num-ctx 1", "middle of a value"),
        ("FROM x\nPARAMETER stop", "middle of a value"),
    ],
)
def test_what_ollama_would_not_read_is_refused_with_its_line(text: str, named: str) -> None:
    with pytest.raises(ModelfileProblem) as caught:
        parse(text)
    assert named in caught.value.problem
