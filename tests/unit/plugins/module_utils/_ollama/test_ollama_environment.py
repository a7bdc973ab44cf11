# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._ollama.environment import (
    EnvironmentProblem,
    check_environment,
)

OLD, NEW = "0.5.7", "0.33.2"


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("OLLAMA_FLASH_ATTENTION", True, "1"),
        ("OLLAMA_FLASH_ATTENTION", False, "0"),
        ("OLLAMA_FLASH_ATTENTION", "true", "true"),
        ("OLLAMA_NUM_PARALLEL", 4, "4"),
        ("OLLAMA_KEEP_ALIVE", -1, "-1"),
        ("OLLAMA_KEEP_ALIVE", "1h30m", "1h30m"),
        ("OLLAMA_KEEP_ALIVE", "-1s", "-1s"),
        ("OLLAMA_LOAD_TIMEOUT", "0", "0"),
        ("OLLAMA_HOST", "0.0.0.0", "0.0.0.0"),
        ("OLLAMA_HOST", "0.0.0.0:11434", "0.0.0.0:11434"),
        ("OLLAMA_HOST", "https://[::1]:443/path", "https://[::1]:443/path"),
        ("OLLAMA_HOST", "::1", "::1"),
        ("OLLAMA_ORIGINS", "*", "*"),
        ("OLLAMA_ORIGINS", "http://a.example,https://b.example:8080", "http://a.example,https://b.example:8080"),
        ("OLLAMA_ORIGINS", "chrome-extension://abc,app://*", "chrome-extension://abc,app://*"),
        ("OLLAMA_GPU_OVERHEAD", 2147483648, "2147483648"),
        ("OLLAMA_GPU_OVERHEAD", 0, "0"),
        ("OLLAMA_DEBUG", 2, "2"),
        ("OLLAMA_MODELS", "/var/lib/ollama/models", "/var/lib/ollama/models"),
        ("OLLAMA_KV_CACHE_TYPE", "q5_1", "q5_1"),
        ("CUDA_VISIBLE_DEVICES", "0,1,2,3", "0,1,2,3"),
        ("CUDA_VISIBLE_DEVICES", "GPU-8f2c1a9e-0000-1111-2222-333344", "GPU-8f2c1a9e-0000-1111-2222-333344"),
        ("CUDA_VISIBLE_DEVICES", "-1", "-1"),
        ("LLAMA_ARG_FIT_TARGET", 2048, "2048"),
        ("LLAMA_ARG_TENSOR_SPLIT", "3,1", "3,1"),
        ("https_proxy", "http://proxy.example:3128", "http://proxy.example:3128"),
        ("NCCL_DEBUG", "INFO", "INFO"),
        ("PATH", "/usr/bin:/bin", "/usr/bin:/bin"),
    ],
)  # fmt: skip
def test_a_value_that_ollama_reads_as_it_is_meant_is_handed_on_as_text(name: str, given: Any, text: str) -> None:
    assert check_environment({name: given}, NEW) == {name: text}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OLLAMA_FLASH_ATTENTION", "maybe", "takes any other word for true"),
        ("OLLAMA_FLASH_ATTENTION", "off", "takes any other word for true"),
        ("OLLAMA_NOPRUNE", "yes", "takes any other word for true"),
        ("OLLAMA_NUM_PARALLEL", "auto", "default"),
        ("OLLAMA_NUM_PARALLEL", -1, "default"),
        ("OLLAMA_NUM_PARALLEL", 2.5, "default"),
        ("OLLAMA_MAX_QUEUE", 2**64, "default"),
        ("OLLAMA_KEEP_ALIVE", "forever", "5m"),
        ("OLLAMA_KEEP_ALIVE", "5 m", "5m"),
        ("OLLAMA_KEEP_ALIVE", "1d", "5m"),
        ("OLLAMA_HOST", "0.0.0.0:port", "1 to 65535"),
        ("OLLAMA_HOST", "0.0.0.0:70000", "1 to 65535"),
        ("OLLAMA_HOST", "0.0.0.0:", "1 to 65535"),
        ("OLLAMA_HOST", "[nonsense]:80", "IPv6"),
        ("OLLAMA_HOST", "ftp://a", "http://"),
        ("OLLAMA_HOST", "a b", "host name"),
        ("OLLAMA_ORIGINS", "intranet.example", "http://intranet.example"),
        ("OLLAMA_ORIGINS", "app://cherry", "scheme"),
        ("OLLAMA_ORIGINS", "http://a, http://b", "no blanks"),
        ("OLLAMA_ORIGINS", "http://a,", "no blanks"),
        ("OLLAMA_ORIGINS", "http://*.a.*", "one *"),
        ("OLLAMA_GPU_OVERHEAD", "2GiB", "bytes"),
        ("OLLAMA_GPU_OVERHEAD", 2048, "2147483648"),
        ("OLLAMA_DEBUG", "trace", "0, 1"),
        ("OLLAMA_MODELS", "models", "absolute"),
        ("OLLAMA_MODELS", "~/models", "absolute"),
        ("OLLAMA_KV_CACHE_TYPE", "q8", "q8_0"),
        ("CUDA_VISIBLE_DEVICES", "0, 1", "no blanks"),
        ("CUDA_VISIBLE_DEVICES", "0,0", "once"),
        ("CUDA_VISIBLE_DEVICES", "all", "indices"),
        ("LLAMA_ARG_FIT_TARGET", "2GiB", "MiB"),
    ],
)
def test_a_value_that_ollama_would_misread_is_refused_and_what_to_give_is_said(
    name: str, value: Any, said: str
) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        check_environment({name: value}, NEW)
    assert name in caught.value.problem
    assert said in caught.value.remedy


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("OLLAMA_FLASH_ATENTION", "OLLAMA_FLASH_ATTENTION"),
        ("OLLAMA_ORIGIN", "OLLAMA_ORIGINS"),
        ("CUDA_VISIBLE_DEVICE", "CUDA_VISIBLE_DEVICES"),
        ("HIP_VISIBLE_DEVICE", "HIP_VISIBLE_DEVICES"),
        ("LLAMA_ARG_FIT_TARGETS", "LLAMA_ARG_FIT_TARGET"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest_one(typed: str, meant: str) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        check_environment({typed: "1"}, NEW)
    assert caught.value.remedy == f"Did you mean {meant}?"


def test_an_ollama_variable_like_no_other_is_answered_with_those_of_the_version() -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        check_environment({"OLLAMA_XYZZY": "1"}, NEW)
    assert "OLLAMA_HOST" in caught.value.remedy
    assert "OLLAMA_TMPDIR" not in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "value", "ignored_in", "read_in"),
    [
        ("OLLAMA_CONTEXT_LENGTH", 2048, "0.5.12", "0.5.13"),
        ("OLLAMA_NO_CLOUD", True, "0.16.1", "0.16.2"),
        ("OLLAMA_GO_TEMPLATE", True, "0.24.0", "0.30.0"),
        ("OLLAMA_NEW_ENGINE", True, "0.30.0", "0.24.0"),
        ("OLLAMA_NEW_ESTIMATES", True, "0.11.11", "0.11.10"),
        ("OLLAMA_MULTIUSER_CACHE", True, "0.33.2", "0.5.7"),
        ("OLLAMA_INTEL_GPU", True, "0.12.11", "0.12.10"),
        ("OLLAMA_TMPDIR", "/tmp", "0.6.6", "0.6.5"),
        ("LLAMA_ARG_FIT", "off", "0.24.0", "0.30.0"),
        ("LLAMA_ARG_OVERRIDE_TENSOR", "exps=CPU", "0.5.7", "0.33.2"),
        ("OLLAMA_DEBUG", 2, "0.6.8", "0.7.0"),
        ("OLLAMA_KV_CACHE_TYPE", "q4_1", "0.24.0", "0.30.0"),
    ],
)
def test_a_variable_is_refused_in_the_releases_that_do_not_read_it(
    name: str, value: Any, ignored_in: str, read_in: str
) -> None:
    assert name in check_environment({name: value}, read_in)
    with pytest.raises(EnvironmentProblem):
        check_environment({name: value}, ignored_in)


def test_a_quantized_cache_needs_flash_attention_before_llama_server() -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        check_environment({"OLLAMA_KV_CACHE_TYPE": "q8_0"}, OLD)
    assert "OLLAMA_FLASH_ATTENTION=1" in caught.value.remedy
    assert check_environment({"OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_FLASH_ATTENTION": True}, OLD)
    assert check_environment({"OLLAMA_KV_CACHE_TYPE": "q8_0"}, NEW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OLLAMA_MODELS", ""),
        ("OLLAMA_MODELS", ' "/srv/models"'),
        ("OLLAMA_MODELS", "/srv/models\nExecStart=/bin/sh"),
        ("OLLAMA_MODELS", ["/srv/models"]),
        ("OLLAMA_MODELS", None),
        ("OLLAMA MODELS", "/srv/models"),
        ("1NAME", "x"),
    ],
)
def test_what_no_environment_can_hold_is_refused(name: str, value: Any) -> None:
    with pytest.raises(EnvironmentProblem):
        check_environment({name: value}, NEW)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy"])
@pytest.mark.parametrize(
    "value", ["http://user:pa55word@proxy:3128", "user:pa55word@proxy:3128", "http://pa55word@proxy"]
)
def test_a_proxy_with_a_password_is_refused_because_the_server_logs_it(name: str, value: str) -> None:
    with pytest.raises(EnvironmentProblem, match=f"{name} holds a user or a password") as refused:
        check_environment({name: value}, "0.33.2")
    assert "pa55word" not in str(refused.value)
    assert check_environment({name: "http://proxy:3128"}, "0.33.2")


@pytest.mark.parametrize("value", [["pa55word"], {"a": "pa55word"}, "pa55word\n"])
def test_a_secret_that_is_refused_is_not_shown(value: object) -> None:
    with pytest.raises(EnvironmentProblem, match="HF_TOKEN") as refused:
        check_environment({"HF_TOKEN": value}, "0.33.2")
    assert "pa55word" not in str(refused.value)
