# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""An installation that was there before us: whose settings are kept when we take it over.

Ollama's install.sh writes /etc/systemd/system/ollama.service at every run; its users put their settings there, in
drop-ins, or in a file that the unit names. The unit and the drop-ins stay as they are. Our own drop-in sets the
environment, so the first run notes what it was before.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import shlex
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from ansible_collections.gguf.fleet.plugins.module_utils._files.reading import read_file
from ansible_collections.gguf.fleet.plugins.module_utils._secrets import is_open_variable
from ansible_collections.gguf.fleet.plugins.module_utils._service.manager import Manager, Systemd
from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.supervised import Supervisord
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import DIRECTORY
from ansible_collections.gguf.fleet.plugins.module_utils._text import lines

OURS = "gguf.fleet"
BLANKS = " \t\r"
# install.sh copies the PATH of the shell that ran it into the unit; it is no setting of the service.
NOT_SETTINGS = ("PATH",)


def note_path(service: str) -> str:
    return os.path.join(DIRECTORY, f"{service}.adopted.json")


def read(service: str, manager: Manager, user_of: Callable[[str], Mapping[str, Any]]) -> Dict[str, Any]:
    """The settings noted at the adoption, else those of a unit that is not ours, else nothing."""
    try:
        noted = json.loads(read_file(note_path(service)))
        return {name: noted[name] for name in ("environment", "models_dir", "user", "home")}
    except FileNotFoundError:
        pass
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceProblem(
            f"{note_path(service)} is damaged ({error}).",
            "It holds the settings from before; write it again or remove it.",
        ) from error
    return _from_unit(manager, user_of) if isinstance(manager, Systemd) else _by_hand(manager, user_of)


def kept(adopted: Mapping[str, Any]) -> Dict[str, str]:
    """The variables that may be secret: they stay on the host and never travel to the controller."""
    environment = adopted.get("environment", {})
    return {name: str(value) for name, value in environment.items() if not is_open_variable(name, value)}


def told(adopted: Mapping[str, Any]) -> Dict[str, Any]:
    """The settings for the controller, and the names of the variables that are kept."""
    if not adopted:
        return {}
    hidden = kept(adopted)
    shown = {name: value for name, value in adopted["environment"].items() if name not in hidden}
    return {**adopted, "environment": shown, "kept": sorted(hidden)}


def user_of(name: Optional[str]) -> Dict[str, Any]:
    if not name:
        return {}
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return {}
    groups = sorted(group.gr_name for group in grp.getgrall() if name in group.gr_mem)
    return {
        "name": name,
        "uid": user.pw_uid,
        "home": user.pw_dir,
        "group": grp.getgrgid(user.pw_gid).gr_name,
        "groups": groups,
    }


def foreign_unit(manager: Manager) -> str:
    """The file of a unit that is not ours, or nothing."""
    told = manager.show() if isinstance(manager, Systemd) else {}
    path = told.get("FragmentPath", "")
    if told.get("LoadState") != "loaded" or not path:
        return ""
    return "" if OURS in read_file(path).decode("utf-8", "replace") else path


def _by_hand(manager: Supervisord, user_of: Callable[[str], Mapping[str, Any]]) -> Dict[str, Any]:
    """Where there is no systemd, install.sh makes no service: root starts the server, and has its store at home."""
    home = str(user_of("root").get("home", "/root"))
    store = os.path.join(home, ".ollama", "models")
    if manager.state().known or not os.path.isdir(os.path.join(store, "manifests")):
        return {}
    return {"environment": {}, "models_dir": store, "user": "root", "home": home}


def _from_unit(manager: Systemd, user_of: Callable[[str], Mapping[str, Any]]) -> Dict[str, Any]:
    if not foreign_unit(manager):
        return {}
    told = manager.show()
    if any(OURS in os.path.basename(drop_in).replace("-", ".") for drop_in in told.get("DropInPaths", "").split()):
        # install.sh wrote its unit again over ours; our drop-in still holds every setting.
        return {}
    found = {**manager.environment(), **_from_files(manager.environment_files())}
    # An empty variable is the same to Ollama as none.
    settings = {name: value for name, value in found.items() if value and name not in NOT_SETTINGS}
    # A unit without User= runs as root, and the store then lies in root's home.
    user = told.get("User") or "root"
    home = settings.pop("HOME", None) or str(user_of(user).get("home", ""))
    return {
        "environment": settings,
        "models_dir": settings.pop("OLLAMA_MODELS", None) or os.path.join(home, ".ollama", "models"),
        "user": user,
        "home": home,
    }


def _from_files(paths: Sequence[str]) -> Dict[str, str]:
    """What EnvironmentFile= names: it wins over Environment=, and a later file over an earlier one."""
    found: Dict[str, str] = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            for line in lines(read_file(path).decode("utf-8", "replace").replace("\\\n", "")):
                name, equals, value = line.strip(BLANKS).partition("=")
                if equals and not name.startswith(("#", ";")):
                    found[name.strip(BLANKS)] = _unquoted(value.strip(BLANKS), path)
    return found


def _unquoted(value: str, path: str) -> str:
    try:
        return " ".join(shlex.split(value)) if value[:1] in ("'", '"') else value
    except ValueError as error:
        raise ServiceProblem(
            f"{path} holds a value that cannot be read: {error}.", "Correct its quotes, then run again."
        ) from error
