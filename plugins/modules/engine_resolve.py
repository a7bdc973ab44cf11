#!/usr/bin/python
# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_resolve
short_description: Find the archives of an engine's version that a host installs, with their checksums
version_added: 0.2.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Works on the controller alone, for each host by what M(gguf.fleet.engine_info) told of it. It needs no
    C(delegate_to), and starts nothing on the host.
  - Checksums that nobody gave are read from the official release, and pinned in O(pins) beside the inventory. From
    then on the same version is the same bytes, or an error. Nothing is asked for where the host has a verified copy of
    the version already.
  - Archives that a host cannot fetch (O(archive)) or unpack (C(.tar.zst) without zstd; Ollama since 0.14.0 is released
    so) are checked, made ready on the controller, and named in RV(files) to be copied.
  - No URL is in what the module returns, as it may hold a password. M(gguf.fleet.engine_release) puts one together
    from RV(archives[].asset) and its own O(gguf.fleet.engine_release#module:source_url).
extends_documentation_fragment:
  - gguf.fleet.attributes.changes
options:
  engine:
    description: Whose release it is.
    type: str
    required: true
    choices: [ollama, llama_cpp]
  version:
    description: The version as the release names it, for example V(0.5.7) for Ollama or V(b4610) for llama.cpp.
    type: str
    required: true
  host:
    description:
      - The result of M(gguf.fleet.engine_info) on the host. Read of it are C(architecture), C(zstd), C(releases),
        C(glibc), C(nvidia), C(nvidia_driver) and C(amd).
    type: dict
    required: true
  source_url:
    description: Where hosts fetch archives, a template with C({version}) and C({asset}). A C(file:) URL names a file of
      the host.
    type: str
    required: true
  addons:
    description: Add-ons of an Ollama release, V(rocm) (amd64), V(jetpack5) or V(jetpack6) (arm64).
    type: list
    elements: str
    default: []
  assets:
    description:
      - The archives' names, the release's own first. Ollama's are known without it.
      - V(auto), or none, takes those of llama.cpp that fit O(host) and the age of the build. Where none fits, the
        failure says why.
    type: list
    elements: str
    default: []
  uses:
    description: What llama.cpp is going to do on the host, V(models) (serve them), V(rpc) (RPC to or from other hosts).
      Where it serves nothing, V(auto) in O(assets) is the archive without GPUs.
    type: list
    elements: str
    choices: [models, rpc]
    default: []
  archive:
    description:
      - The release's archive as a file of the controller; a relative path counts from the inventory.
      - With C({asset}) in it, and perhaps C({version}), it is a template for the add-ons, too.
    type: str
    default: ''
  host_archive:
    description: The same as a file that is on the host already.
    type: str
    default: ''
  archive_sha256:
    description: The sha256 of the release's own archive.
    type: str
    default: ''
  checksums:
    description: The sha256 of archives by their names, over those that are pinned.
    type: dict
    default: {}
  pins:
    description: File of the controller in which official checksums are pinned; empty for none.
    type: str
    default: ''
  trust_mirror_checksums:
    description: Believe the C(sha256sum.txt) of O(source_url) where no checksum is known. A mirror then vouches for
      itself, and nothing is pinned.
    type: bool
    default: false
  allow_unverified:
    description: Go on without a checksum.
    type: bool
    default: false
  cache:
    description:
      - Directory of the controller in which repacked archives are kept, under their checksums.
      - The default is C(releases) in C(GGUF_FLEET_CACHE) or in C(gguf-fleet) of the user's cache directory.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Look at the host
  gguf.fleet.engine_info:
    engine: ollama
    root: /opt/ollama
  register: host

- name: Resolve the release
  gguf.fleet.engine_resolve:
    engine: ollama
    version: 0.33.2
    host: "{{ host }}"
    source_url: https://github.com/ollama/ollama/releases/download/v{version}/{asset}
    pins: "{{ inventory_dir }}/ollama-releases.txt"
  register: release

- name: Install it
  gguf.fleet.engine_release:
    engine: ollama
    version: 0.33.2
    root: /opt/ollama
    archives: "{{ release.archives }}"
    brought: "{{ release }}"
    source_url: https://github.com/ollama/ollama/releases/download/v{version}/{asset}
"""

RETURN = r"""
archives:
  description: The archives as O(gguf.fleet.engine_release#module:archives) takes them.
  returned: success
  type: list
  elements: dict
  contains:
    asset:
      description: The name of an archive that the host fetches by itself.
      type: str
    src:
      description: Or where it lies on the host, once RV(files) are copied.
      type: str
    sha256:
      description: Its sha256, where one is known.
      type: str
    origin_sha256:
      description: The sha256 of the official archive, of one that was repacked.
      type: str
files:
  description: What to copy to the host, C(src) on the controller and C(dest) there.
  returned: success
  type: list
  elements: dict
folder:
  description: Where all of RV(files) go, a directory that nobody but root may enter.
  returned: success
  type: str
  sample: /var/lib/gguf-fleet/archives
actions:
  description: What was done on the controller, or would be done, and why.
  returned: success
  type: list
  elements: str
  sample: ["pin ollama-linux-amd64.tgz: the release publishes its checksum"]
problem:
  description: What is wrong.
  type: str
  returned: failure
remedy:
  description: What to do about it.
  type: str
  returned: failure
"""
