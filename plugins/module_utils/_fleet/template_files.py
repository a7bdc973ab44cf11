# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Templates of models in files beside the inventory: there Ansible leaves their {{ }} alone."""

from __future__ import annotations

import os
from typing import Any, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._files.directory import PathProblem
from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._fleet.problem import DeclarationProblem

_MAX_BYTES = 2**20


def with_templates(entries: Sequence[Any], folder: str) -> List[Any]:
    """The entries of C(models_serve), with the text of each C(template_file) as its C(template).

    :param folder: the inventory's, which relative paths begin at.
    :raises DeclarationProblem: for a file that cannot be read, and an entry with both.
    """
    return [_filled(entry, folder) if _names_a_file(entry) else entry for entry in entries]


def _names_a_file(entry: Any) -> bool:
    return isinstance(entry, Mapping) and bool(entry.get("template_file"))


def _filled(entry: Mapping[str, Any], folder: str) -> Mapping[str, Any]:
    where = f"models_serve: {entry.get('name') or entry.get('catalog')}"
    if entry.get("template"):
        raise DeclarationProblem(f"{where} has both template and template_file.", "Leave one of them out.")
    path = os.path.join(os.path.abspath(folder), os.path.expanduser(str(entry["template_file"])))
    try:
        text = read_file(os.path.realpath(path), limit_bytes=_MAX_BYTES).decode("utf-8")
    except PathProblem as problem:
        raise DeclarationProblem(f"{where}: template_file: {problem.problem}", problem.remedy) from problem
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DeclarationProblem(
            f"{where}: the template_file {path} cannot be read: {why}.",
            "Name a file on the controller; a relative path begins at the inventory's folder.",
        ) from error
    return {**{key: value for key, value in entry.items() if key != "template_file"}, "template": text}
