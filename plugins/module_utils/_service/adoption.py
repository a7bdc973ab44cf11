# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""An installation that was there before us: whose settings are kept when we take it over.

Ollama's install.sh writes /etc/systemd/system/ollama.service at every run; its users put their settings there, or
in drop-ins. The first run that takes it over notes them in a file, because the unit is ours from then on.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, Mapping

from ansible_collections.gguf.fleet.plugins.module_utils._service.manager import Manager, Systemd
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem

DIRECTORY = "/etc/gguf-fleet"
OURS = "gguf.fleet"
# install.sh copies the PATH of the shell that ran it into the unit; it is no setting of the service.
NOT_SETTINGS = ("PATH",)


def note_path(service: str) -> str:
    return os.path.join(DIRECTORY, f"{service}.adopted.json")


def read(service: str, manager: Manager, user_of: Callable[[str], Mapping[str, Any]]) -> Dict[str, Any]:
    """The settings noted at the adoption, else those of a unit that is not ours, else nothing."""
    try:
        with open(note_path(service), encoding="utf-8") as stream:
            noted = json.load(stream)
        return {name: noted[name] for name in ("environment", "models_dir", "user", "home")}
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceProblem(
            f"{note_path(service)} is damaged ({error}).",
            "It holds the settings from before; write it anew or remove it.",
        ) from error
    return _from_unit(manager, user_of) if isinstance(manager, Systemd) else {}


def _from_unit(manager: Systemd, user_of: Callable[[str], Mapping[str, Any]]) -> Dict[str, Any]:
    told = manager.show()
    path = told.get("FragmentPath", "")
    if told.get("LoadState") != "loaded" or not path:
        return {}
    with open(path, encoding="utf-8", errors="replace") as stream:
        if OURS in stream.read():
            return {}
    if any(OURS in os.path.basename(drop_in).replace("-", ".") for drop_in in told.get("DropInPaths", "").split()):
        # install.sh wrote its unit again over ours; our drop-in still holds every setting.
        return {}
    settings = {name: value for name, value in manager.environment().items() if name not in NOT_SETTINGS}
    # A unit without User= runs as root, and the store then lies in root's home.
    user = told.get("User") or "root"
    home = settings.pop("HOME", None) or str(user_of(user).get("home", ""))
    return {
        "environment": settings,
        "models_dir": settings.pop("OLLAMA_MODELS", None) or os.path.join(home, ".ollama", "models"),
        "user": user,
        "home": home,
    }
