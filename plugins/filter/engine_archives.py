# Copyright (c) 2026, gguf.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

DOCUMENTATION = r"""
name: engine_archives
short_description: From the assets of a release to where each comes from
version_added: 0.1.0
author: gguf.fleet contributors (@gguf-fleet)
description:
  - Gives the O(gguf.fleet.engine_release#module:archives) of a release from the names of its assets, a URL template
    and the known sums.
options:
  _input:
    description: The assets, the release's own archive first.
    type: list
    elements: str
    required: true
  url:
    description: Template with C({version}) and C({asset}). A C(file:) URL names a file that is on the host.
    type: str
    required: true
  version:
    description: The version.
    type: str
    required: true
  sums:
    description: The sha256 of each asset as far as it is known.
    type: dict
    default: {}
  src:
    description:
      - The first asset as a file, instead of its URL. With C({asset}) in it, and perhaps C({version}), it is a
        template for all of them.
    type: str
    default: ''
  ready:
    description:
      - What M(gguf.fleet.engine_archive) returned as RV(gguf.fleet.engine_archive#module:archives) for these assets;
        what it made ready takes the place of the URL.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: >-
      {{ ['ollama-linux-amd64.tgz'] | gguf.fleet.engine_archives('https://mirror.example/{version}/{asset}', '0.5.7') }}
"""

RETURN = r"""
_value:
  description: One dictionary an asset.
  type: list
  elements: dict
"""


FILE_SCHEME = "file://"


def _place(where: str, of_file: bool) -> dict[str, str]:
    """A file: URL names a file on the host, which is opened as one and not fetched."""
    if where.startswith(FILE_SCHEME):
        return {"src": where[len(FILE_SCHEME) :]}
    return {"src" if of_file else "url": where}


def engine_archives(
    assets: t.Sequence[str],
    url: str,
    version: str,
    sums: t.Mapping[str, str] | None = None,
    src: str = "",
    *,
    ready: t.Sequence[dict[str, str]] = (),
) -> list[dict[str, str]]:
    archives = []
    for index, asset in enumerate(assets):
        if index < len(ready) and ready[index]:
            archives.append(ready[index])
            continue
        of_file = src and (index == 0 or "{asset}" in src)
        template = src if of_file else url
        place = _place(template.replace("{version}", version).replace("{asset}", asset), bool(of_file))
        known = {"sha256": sums[asset]} if sums and sums.get(asset) else {}
        archives.append({**place, **known})
    return archives


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"engine_archives": engine_archives}
