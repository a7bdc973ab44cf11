#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_source
short_description: Pin a source of llama.cpp, and choose the host that builds it for others of its kind
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Works on the controller alone, for each host by what M(gguf.fleet.engine_info) told of it and of the other hosts of
    the run. It needs no C(delegate_to), and starts nothing on the host.
  - A tag is looked up once and pinned in O(pins), with its commit and build number. From then on it is that commit;
    when the source is fetched and the tag has moved, the run fails.
  - Hosts are of one kind when a build of one is right for the others, by architecture, C library, CUDA toolkit,
    generations of GPUs and, with O(native=true), the CPU's instructions. The first host of a kind that does not have
    the build makes it, with M(gguf.fleet.engine_build); the others get it from the controller, which keeps it.
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  version:
    description: The tag, such as V(b11434).
    type: str
    required: true
  name:
    description: What the version is called on the hosts.
    type: str
    required: true
  registered:
    description: The variable in which each host has the result of M(gguf.fleet.engine_info), with
      O(gguf.fleet.engine_info#module:build).
    type: str
    required: true
  url:
    description: URL of the git repository, as C(git clone) takes it. The controller fetches it.
    type: str
    default: ''
  archive:
    description: The source as an archive instead, a file of the controller (a relative path counts from the inventory),
      or a URL that the controller fetches.
    type: str
    default: ''
  sha256:
    description: The sha256 of O(archive), which needs it.
    type: str
    default: ''
  number:
    description: The build number, where O(version) is no tag such as V(b11434).
    type: int
    default: 0
  targets:
    description: What is built.
    type: list
    elements: str
    required: true
  options:
    description: Further definitions of cmake.
    type: dict
    default: {}
  native:
    description: Build for the CPU of the host, and of others with the same instructions.
    type: bool
    default: true
  pins:
    description: File of the controller in which commits are pinned.
    type: str
    required: true
  cache:
    description:
      - Directory of the controller in which sources and builds are kept.
      - The default is C(GGUF_FLEET_CACHE), or C(gguf-fleet) in the user's cache directory.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Look at the host
  gguf.fleet.engine_info:
    engine: llama_cpp
    root: /opt/llama.cpp
    build: b11434-1a2b3c4d
  register: engine

- name: Find out who builds
  gguf.fleet.engine_source:
    version: b11434
    name: b11434-1a2b3c4d
    registered: engine
    url: https://github.com/ggml-org/llama.cpp
    targets: [llama-server, llama-gguf-split]
    pins: "{{ inventory_dir }}/llama-cpp-sources.txt"
  register: source
"""

RETURN = r"""
archives:
  description: The archive as O(gguf.fleet.engine_release#module:archives) takes it, known by what it is built from.
  returned: success
  type: list
  elements: dict
files:
  description: What is copied to the host once it is built, C(src) on the controller and C(dest) there.
  returned: success
  type: list
  elements: dict
folder:
  description: Where RV(files) go, a directory that nobody but root may enter.
  returned: success
  type: str
build:
  description: The options of M(gguf.fleet.engine_build), where this host is the one that builds; else empty.
  returned: success
  type: dict
builder:
  description: The host that builds; empty where the build is there.
  returned: success
  type: str
kind:
  description: The kind of hosts that this one is of, in words.
  returned: success
  type: str
actions:
  description: What is going to be done.
  returned: success
  type: list
  elements: str
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""
