# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Where a model's verified files lie on a host."""

from __future__ import annotations

import posixpath
from typing import Any, Dict, Iterable, List, Mapping, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._fleet.sources import token_of
from ansible_collections.gguf.fleet.plugins.module_utils._gguf.shard_names import merged_name


def destination(lock: Mapping[str, Any], layout: str, models_dir: str) -> str:
    """Path on the host for the files of a lock.

    The merged file carries the shards' common name, so a quant is never found under another quant's name.

    :param lock: a checked lock.
    :param layout: C(merged) for one file, C(shards) for a folder of the shards as they are.
    :param models_dir: absolute folder of all verified files.
    :returns: the merged file's path, or the shards' folder.
    """
    name = merged_name(lock["files"][0]["path"])
    folder = posixpath.join(models_dir, (lock.get("repo") or "files").replace("/", "--"))
    return posixpath.join(folder, name if layout == "merged" else posixpath.splitext(name)[0])


def downloads(
    models: Iterable[Mapping[str, Any]], locks: Mapping[str, Any], models_dir: str, tokens: Mapping[str, str]
) -> List[Dict[str, Any]]:
    """C(downloads) of gguf_download and gguf_seal: one for each declared model, in this order.

    :param models: of a host of the fleet value.
    :param locks: by lock name.
    :param models_dir: absolute folder of all verified files.
    :param tokens: the access tokens by hub; C(default) is for hubs that are not named.
    """
    found = []
    for model in models:
        lock = locks[model["lock_name"]]
        one = {
            "name": model["lock_name"],
            "lock": lock,
            "dest": destination(lock, model["layout"], models_dir),
            "layout": model["layout"],
        }
        if model["source"].get("controller"):
            one["controller"] = model["source"]["controller"]
        token = token_of(lock["hub"], tokens)
        found.append({**one, "token": token} if token else one)
    return found


def files_in_use(files: Iterable[Mapping[str, Any]], servers: Iterable[Mapping[str, Any]]) -> List[str]:
    """The paths that a host's models and its servers of llama.cpp need.

    :param files: what gguf_download returned for the declared models.
    :param servers: C(llama_cpp_servers) that were declared by hand.
    """
    found = [path for one in files for path in one.get("paths", ())]
    return list(dict.fromkeys([*found, *(str(server["model"]) for server in servers if server.get("model"))]))


def ollama_models(
    host: Mapping[str, Any], files: Sequence[Mapping[str, Any]], plans: Mapping[str, Any]
) -> List[Dict[str, Any]]:
    """C(models) of ollama_model: those of a host's models that Ollama serves, each with the server that serves it.

    :param host: of the fleet value, as plain data.
    :param files: what gguf_download returned for each of its models, in the same order.
    :param plans: by the model's name, under the declared parameters.
    """
    servers = host["engines"].get("ollama", {}).get("servers", [])
    found = []
    for model, file in zip(host["models"], files):
        if model["engine"] != "ollama":
            continue
        urls = [one["url"] for one in servers if model["name"] in one["models"]]
        planned = plans.get(model["name"], {}).get("ollama", {}).get("parameters", {})
        entry = {
            "name": model["name"],
            "file": file["path"],
            "template": model["template"],
            "system": model["system"],
            "parameters": {**planned, **model["parameters"]},
            "messages": model["messages"],
            "license": [model["license"]] if model["license"] else [],
            "host": next(iter(urls), None),
            "also_on": urls[1:],
            "keep_alive": str(model["keep_alive"] or ""),
        }
        found.append({key: value for key, value in entry.items() if value})
    return found
