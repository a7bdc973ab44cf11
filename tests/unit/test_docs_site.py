# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the docs site does beside Sphinx: links to files that are no pages, and the check of the built pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.gguf.fleet.docs.site.build import Links, dead_links

FILES = [
    "README.md",
    "docs/mirrors.md",
    "inventories/h20/hosts.yml",
    "plugins/modules/gpu_info.py",
    "roles/host/meta/argument_specs.yml",
    ".github/notes.md",
]
REPOSITORY = "https://github.com/gguf-fleet/gguf.fleet"


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("mirrors.md#pypi", "mirrors.md#pypi"),
        ("#pypi", "#pypi"),
        ("https://example.com/x", "https://example.com/x"),
        ("../plugins/modules/gpu_info.py", "../reference/gpu_info_module.rst"),
        ("../roles/host/meta/argument_specs.yml", "../reference/host_role.rst"),
        ("../inventories/h20/hosts.yml", f"{REPOSITORY}/blob/main/inventories/h20/hosts.yml"),
        ("../inventories/h20", f"{REPOSITORY}/tree/main/inventories/h20"),
        ("../.github/notes.md", f"{REPOSITORY}/blob/main/.github/notes.md"),
        ("../no/such.file", "../no/such.file"),
    ],
)
def test_a_link_leads_to_a_page_to_its_documentation_or_to_the_repository(link: str, target: str) -> None:
    assert Links(FILES).rewritten("docs/mirrors.md", f"see [x]({link}).") == f"see [x]({target})."


def test_a_link_in_an_example_stays_as_it_is() -> None:
    text = "```text\n[x](../inventories/h20)\n```\n"
    assert Links(FILES).rewritten("docs/mirrors.md", text) == text


def test_dead_links_and_what_is_loaded_from_elsewhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#there"></a><a href="https://example.com"></a><a href="#top"></a>'
        '<a href="b.html#gone"></a><a href="c.html"></a><script src="https://example.com/x.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p>')
    assert dead_links(tmp_path) == [
        "a.html loads https://example.com/x.js from elsewhere",
        "a.html links to b.html#gone, an anchor that is not there",
        "a.html links to c.html, which is not there",
    ]
