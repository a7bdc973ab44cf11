# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests, and the mistakes that people make in them."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.gguf.fleet.plugins.module_utils._lock.problem import HubProblem
from ansible_collections.gguf.fleet.plugins.module_utils._lock.request import Request, without_credentials
from ansible_collections.gguf.fleet.plugins.module_utils._lock.url import path_of, whole_set

FIRST = "DeepSeek-R1-UD-IQ1_M/DeepSeek-R1-UD-IQ1_M-00001-of-00004.gguf"


@pytest.mark.parametrize("option", ["repo", "urls"])
def test_the_broken_link_of_a_published_table_is_answered_with_the_right_one(option: str) -> None:
    link = f"https://modelscope.cnhttps//modelscope.cn/models/unsloth/DeepSeek-R1-GGUF/resolve/master/{FIRST}"
    given: Dict[str, Any] = {"hub": "modelscope", "repo": link} if option == "repo" else {"hub": "url", "urls": (link,)}
    with pytest.raises(HubProblem) as error:
        Request(**given)
    right = f"https://modelscope.cn/models/unsloth/DeepSeek-R1-GGUF/resolve/master/{FIRST}"
    assert error.value.remedy == f"Use {right}"
    Request(hub="url", urls=(right,))


def test_a_link_as_the_repository_is_answered_with_the_options_to_write() -> None:
    with pytest.raises(HubProblem) as error:
        Request(hub="modelscope", repo=f"https://modelscope.cn/models/unsloth/DeepSeek-R1-GGUF/resolve/master/{FIRST}")
    assert error.value.remedy == f"Write repo: unsloth/DeepSeek-R1-GGUF, revision: master and pattern: {FIRST}."
    with pytest.raises(HubProblem, match=r"Write repo: unsloth/DeepSeek-R1-GGUF\."):
        Request(hub="huggingface", repo="https://huggingface.co/unsloth/DeepSeek-R1-GGUF/")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hub": "modelscope"}, "needs the option repo"),
        ({"hub": "modelscope", "repo": "DeepSeek-R1-GGUF"}, "owner/name"),
        ({"hub": "modelscope", "repo": "../x"}, "owner/name"),
        ({"hub": "huggingface", "repo": "a/b/c"}, "owner/name"),
        ({"hub": "modelscope", "repo": "a/..b"}, "owner/name"),
        ({"hub": "url"}, "needs the option urls"),
        ({"hub": "url", "urls": ("ftp://host/x.gguf",)}, "not an http or https address"),
        ({"hub": "url", "urls": ("host/x.gguf",)}, "not an http or https address"),
        ({"hub": "url", "urls": ("http://[/x.gguf",)}, "not an http or https address"),
        ({"hub": "url", "urls": ("http://host:99999/x.gguf",)}, "not an http or https address"),
        ({"hub": "modelscope", "repo": "a/b", "endpoint": "modelscope.cn"}, "not an http or https address"),
        ({"hub": "path"}, "needs the option path"),
        ({"hub": "modelscope", "repo": "a/b", "quant": "Q4_0", "pattern": "*"}, "one of the two"),
        ({"hub": "modelscope", "repo": "a/b", "sha256": {"x": "12"}}, "64 digits"),
    ],
)
def test_a_request_that_cannot_work_is_refused_before_any_network(given: Dict[str, Any], message: str) -> None:
    with pytest.raises(HubProblem, match=message):
        Request(**given)


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ("https://huggingface.co/a/b/blob/main/x.gguf", "https://huggingface.co/a/b/resolve/main/x.gguf"),
        (
            "https://modelscope.cn/models/a/b/file/view/master/x.gguf",
            "https://modelscope.cn/models/a/b/resolve/master/x.gguf",
        ),
    ],
)
def test_a_page_about_a_file_is_answered_with_the_address_of_the_file(page: str, file: str) -> None:
    with pytest.raises(HubProblem) as error:
        Request(hub="url", urls=(page,))
    assert error.value.remedy == f"Use {file}"


def test_the_first_shards_address_stands_for_all() -> None:
    urls = whole_set(["https://m.test/a%20b/x-00001-of-00003.gguf?sig=1"])
    assert urls == [f"https://m.test/a%20b/x-0000{number}-of-00003.gguf?sig=1" for number in (1, 2, 3)]
    assert whole_set(["https://m.test/x.gguf"]) == ["https://m.test/x.gguf"]
    with pytest.raises(HubProblem, match="one of 99999 shards"):
        whole_set(["https://m.test/x-00001-of-99999.gguf"])


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://modelscope.cn/models/a/b/resolve/master/Q1/x%20y.gguf", "Q1/x y.gguf"),
        ("https://modelscope.cn/api/v1/models/a/b/repo?Revision=master&FilePath=Q1%2Fx.gguf", "Q1/x.gguf"),
        ("https://mirror.test/files/x.gguf", "x.gguf"),
    ],
)
def test_an_address_tells_the_path_in_the_repository_where_it_has_one(url: str, path: str) -> None:
    assert path_of(url) == path


def test_credentials_are_cut_out_of_addresses() -> None:
    assert without_credentials("https://me:s3cret@host:8443/a?b=1") == "https://host:8443/a?b=1"
    request = Request(hub="url", urls=("https://me:s3cret@host/x.gguf",))
    assert "s3cret" not in request.shown
    with pytest.raises(HubProblem) as error:
        Request(hub="url", urls=("https://me:s3cret@host/a/b/blob/main/x.gguf",))
    assert "s3cret" not in str(error.value)


def test_a_sum_is_given_by_path_or_by_name() -> None:
    request = Request(hub="modelscope", repo="a/b", sha256={"Q1/x.gguf": "a" * 64, "y.gguf": "b" * 64})
    assert [request.digest_of(path) for path in ("Q1/x.gguf", "Q1/y.gguf", "z.gguf")] == ["a" * 64, "b" * 64, None]
