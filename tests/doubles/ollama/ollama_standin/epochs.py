# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed in Ollama from which version on, as far as the stand-in shows it."""

from __future__ import annotations

from typing import NamedTuple, Tuple


def version_tuple(version: str) -> Tuple[int, ...]:
    """0.33.2 -> (0, 33, 2); a pre-release suffix does not count."""
    return tuple(int(part) for part in version.split("-", maxsplit=1)[0].split("."))


class Epochs(NamedTuple):
    """The rules of one version."""

    version: str
    context_length_variable: bool  # OLLAMA_CONTEXT_LENGTH is read
    file_names_checked: bool  # names in `files` must be relative paths
    wrong_method_is_405: bool
    one_gguf_per_file: bool  # bytes after the last tensor are ignored
    parallel_by_default: int
    ps_context_length: bool
    ps_lists_loading: bool
    capabilities: bool
    renderer_commands: bool  # RENDERER and PARSER in a Modelfile, `renderer` and `parser` in a create request
    early_error_sets_status: bool
    requires_command: bool
    names_parsed_first: (
        bool  # show says m:latest of what is not there, generate and delete say what is wrong with a name
    )
    v1_errors_keep_status: bool  # the type of an error below /v1 follows its status
    tensors_bounded: bool  # create refuses a tensor that ends behind the file
    blobs_touched: bool  # reused blobs are touched, prune spares files younger than an hour
    rewrites_files: bool  # create from files rewrites the GGUF; split sets are merged; GGUF chat templates are used
    details_have_lengths: bool  # context_length and embedding_length in /api/tags
    rootfs: bool  # the config blob lists the layers
    repeat_penalty: float  # where neither model nor request sets one


def epochs(version: str) -> Epochs:
    """The rules that the given version lives by."""
    v = version_tuple(version)
    return Epochs(
        version=version,
        context_length_variable=v >= (0, 5, 13),
        file_names_checked=v >= (0, 5, 13),
        wrong_method_is_405=v >= (0, 7, 0),
        one_gguf_per_file=v >= (0, 7, 1),
        parallel_by_default=1 if v >= (0, 10, 0) else 4,
        ps_context_length=v >= (0, 10, 0),
        ps_lists_loading=v < (0, 30, 0),
        capabilities=v >= (0, 7, 0),
        renderer_commands=v >= (0, 12, 0),
        early_error_sets_status=v >= (0, 12, 6),
        requires_command=v >= (0, 14, 0),
        names_parsed_first=v >= (0, 18, 0),
        v1_errors_keep_status=v >= (0, 18, 0),
        tensors_bounded=v >= (0, 17, 1),
        blobs_touched=v >= (0, 21, 0),
        rewrites_files=v >= (0, 30, 0),
        details_have_lengths=v >= (0, 30, 0),
        rootfs=v < (0, 32, 7),
        repeat_penalty=1.0 if v >= (0, 32, 10) else 1.1,
    )
