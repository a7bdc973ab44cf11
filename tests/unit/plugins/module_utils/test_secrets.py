# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import time
from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._secrets import (
    MASK,
    environment_secrets,
    forget,
    is_open_variable,
    is_secret,
    let_see,
    masked,
    masked_environment,
    masked_text,
    secrets_in,
)

SECRET = [
    ("HF_TOKEN", "hf_abc"),
    ("OPENAI_API_KEY", "x"),
    ("api-key", "x"),
    ("X-Api-Key", "x"),
    ("Authorization", "Bearer x"),
    ("PGPASSWORD", "x"),
    ("MYSQL_PWD", "x"),
    ("AWS_SECRET_ACCESS_KEY", "x"),
    ("NPM_AUTH", "user:password"),
    ("HTTPS_PROXY", "http://user:password@proxy:3128"),
    ("http_proxy", "user:password@proxy:3128"),
    ("OLLAMA_REMOTES", "https://token@host"),
    ("model-url", "https://user:password@host/model.gguf"),
]
NOT_SECRET = [
    ("OLLAMA_AUTH", "1"),
    ("OLLAMA_AUTH", True),
    ("SSL_KEY_FILE", "/etc/key.pem"),
    ("ssl-key-file", "/etc/key.pem"),
    ("max_tokens", 64),
    ("HTTPS_PROXY", "http://proxy:3128"),
    ("OLLAMA_HOST", "127.0.0.1:11434"),
    ("PWD", "/root"),
    ("cache-type-k", "q8_0"),
    ("override-tensor", "blk\\.(1|2)=CPU"),
    ("HF_TOKEN", ""),
    ("HF_TOKEN", None),
]


@pytest.mark.parametrize(("name", "value"), SECRET)
def test_a_setting_is_secret_by_its_name_or_by_the_user_in_its_url(name: str, value: str) -> None:
    assert is_secret(name, value)
    assert not is_open_variable(name, value)
    for shown in (str(masked({name: value})), str(masked_environment({name: value})), masked_text(f"{name}={value}")):
        assert name in shown
        assert MASK in shown
        assert value not in shown
        assert "password" not in shown.replace(name, "")


@pytest.mark.parametrize(("name", "value"), NOT_SECRET)
def test_what_only_looks_like_a_secret_is_shown(name: str, value: Any) -> None:
    assert not is_secret(name, value)
    assert masked({name: value}) == {name: value}


def test_a_variable_of_which_nothing_is_known_is_not_shown() -> None:
    variables = {"OLLAMA_HOST": "127.0.0.1", "SOMETHING": "its-value", "LD_PRELOAD": "/usr/lib/libx.so"}
    assert masked_environment(variables) == {"OLLAMA_HOST": "127.0.0.1", "SOMETHING": MASK, "LD_PRELOAD": MASK}
    # A path would make a hole in every other path.
    assert environment_secrets(variables) == {"its-value"}


TEXTS = [
    ("ExecStart=/usr/bin/llama-server --api-key s3cr3tkey --port 8080", " --port 8080"),
    ('ExecStart=/usr/bin/x "--api-key" "s3cr3tkey" --port 8080', " --port 8080"),
    ("/usr/bin/x --api-key=s3cr3tkey --port 8080", " --port 8080"),
    ("Environment=HF_TOKEN=s3cr3tkey", "Environment="),
    ('Environment="OLLAMA_HOST=1" "HF_TOKEN=s3cr3tkey with blank"', '"OLLAMA_HOST=1"'),
    ('{"HF_TOKEN": "s3cr3tkey", "port": 1}', '"port": 1'),
    ("Authorization: Bearer s3cr3tkey", "Authorization: "),
    ("env=map[HTTPS_PROXY:http://user:s3cr3tkey@proxy:3128 OLLAMA_HOST:x]", "@proxy:3128 OLLAMA_HOST:x]"),
    ("fatal: https://user:s3cr3tkey@host/archive answers 404", "@host/archive answers 404"),
]


@pytest.mark.parametrize(("text", "stays"), TEXTS)
def test_of_a_text_only_the_secret_is_taken(text: str, stays: str) -> None:
    shown = masked_text(text)
    assert "s3cr3tkey" not in shown
    assert stays in shown
    assert any("s3cr3tkey" in secret for secret in secrets_in(text))


def test_a_unit_without_secrets_stays_as_it_is() -> None:
    unit = "[Service]\nKeyringMode=private\nWants=modprobe@nvidia.service\nDeviceAllow=char-nvidia rw\nA_KEY=\nNext=1\n"
    assert masked_text(unit) == unit


@pytest.mark.parametrize("piece", ["a", "a=", '"', "://", "-a ", "KEY=", "a:b@", "\\", "'a=", "key: "])
def test_a_long_hostile_text_takes_no_long_time(piece: str) -> None:
    begun = time.monotonic()
    masked_text(piece * (200_000 // len(piece)))
    assert time.monotonic() - begun < 20


def test_of_an_argument_that_is_secret_as_a_whole_only_the_secrets_stay_hidden() -> None:
    given = {"HF_TOKEN": "hf_abcdef", "OLLAMA_NUM_PARALLEL": "1", "PIN_PASS": "12"}
    hidden = {"hf_abcdef", "1", "12", "another argument's"}
    let_see(hidden, given, secrets_in(given))
    # "12" would be found in every number of the output: it is not shown where it stands, and nothing more.
    assert hidden == {"hf_abcdef", "another argument's"}
    assert masked(given) == {"HF_TOKEN": MASK, "OLLAMA_NUM_PARALLEL": "1", "PIN_PASS": MASK}


def test_a_secret_is_hidden_in_each_of_its_forms() -> None:
    found = secrets_in({"HTTPS_PROXY": "http://user:pass%40word@proxy:1", "keys": {"api-key": ["first-key", "second"]}})
    assert {"user:pass%40word", "pass%40word", "pass@word", "first-key", "second"} <= found


def test_what_a_module_has_no_use_for_is_gone() -> None:
    params: dict[str, Any] = {
        "environment": {"HF_TOKEN": "hf_abcdef", "OLLAMA_NUM_PARALLEL": "2"},
        "hosts": [{"name": "a", "environment": {"A_KEY": {"deep": "below-a-secret"}}, "gpus": [{"index": 0}]}],
    }
    hidden = {"hf_abcdef", "2", "a", "below-a-secret"}
    forget(hidden, params, "environment", "hosts")
    assert hidden == {"hf_abcdef", "below-a-secret"}
    assert params == {
        "environment": {"HF_TOKEN": MASK, "OLLAMA_NUM_PARALLEL": "2"},
        "hosts": [{"name": "a", "environment": {"A_KEY": {"deep": MASK}}, "gpus": [{"index": 0}]}],
    }
