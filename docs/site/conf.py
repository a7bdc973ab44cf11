# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's settings of the docs site; docs/site/build.py runs it. Nothing is asked over the network."""

import re
from pathlib import Path

galaxy = (Path(__file__).resolve().parents[2] / "galaxy.yml").read_text(encoding="utf-8")

project = "gguf.fleet"
author = "gguf.fleet contributors"
release = re.findall(r"^version: (\S+)$", galaxy, flags=re.MULTILINE)[0]
extensions = ["myst_parser", "sphinx_antsibull_ext"]

nitpicky = True
# What antsibull-docs refers to in the documentation of ansible-core, which would have to be asked over the network.
nitpick_ignore_regex = [
    ("std:ref", "(action|callback)_plugins|common_return_values|ansible_configuration_settings"),
    ("std:envvar", "ANSIBLE_[A-Z_]+"),
    ("std:ref", r"ansible_collections\.ansible\.builtin\..*"),
]

# The anchors of headings are those that GitHub makes, down to ###.
myst_heading_anchors = 3
# `--check` stays as it is typed.
smartquotes = False
# What names no language has none.
highlight_language = "none"

html_theme = "furo"
html_title = f"gguf.fleet {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_use_index = False
