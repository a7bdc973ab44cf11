# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A service as a program of supervisord: a section that holds nothing but its name, and the settings of its start.

supervisord expands `%`, cuts at `;` and mangles quotes, so no value of a service is in its configuration: the program
is `run-service NAME` (run_service.py), which reads the settings and the environment file and becomes the service.
"""

from __future__ import annotations

import json
import os
import re

from ansible_collections.gguf.fleet.plugins.module_utils._service.problem import ServiceProblem
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import Service
from ansible_collections.gguf.fleet.plugins.module_utils._text import has_control, printable

CONFIGURATION = "/etc/gguf-fleet/supervisord.conf"
PROGRAMS = "/etc/gguf-fleet/programs"
RUN = "/run/gguf-fleet"
LOGS = "/var/log/gguf-fleet"
LIBRARY = "/usr/local/lib/gguf-fleet"
RUN_SERVICE = f"{LIBRARY}/run-service"
DAEMON = f"{LIBRARY}/supervisord"
CONTROL = f"{LIBRARY}/supervisorctl"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,127}\Z")

RESTART_SECONDS = 3
UMASKS = {"strict": "0077", "gpu_safe": "0027", "proxy": "0077", "off": "0022"}

_CONFIGURATION = f"""\
; Ansible managed (gguf.fleet)
[unix_http_server]
file={RUN}/supervisor.sock
chmod=0600
chown=root:root

[supervisord]
user=root
directory=/
umask=027
identifier=gguf-fleet
pidfile={RUN}/supervisord.pid
logfile={LOGS}/supervisord.log
logfile_maxbytes=1048576
logfile_backups=1
childlogdir={LOGS}
nocleanup=true

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{RUN}/supervisor.sock

[include]
files={PROGRAMS}/*.conf
"""


def program_path(name: str) -> str:
    return os.path.join(PROGRAMS, f"{name}.conf")


def settings_path(name: str) -> str:
    return os.path.join(PROGRAMS, f"{name}.json")


def loads_path(name: str) -> str:
    return os.path.join(PROGRAMS, f"{name}.loads.json")


def loads(service: Service) -> str:
    """programs/NAME.loads.json: the command by which run-service lets models be loaded after each start."""
    return json.dumps(list(service.loading), indent=1) + "\n"


def configuration() -> str:
    """supervisord.conf, the same on every host."""
    return _CONFIGURATION


def program(service: Service) -> str:
    """programs/NAME.conf. Raises ServiceProblem for a name that cannot be one of a program."""
    if not _NAME.match(service.name):
        raise ServiceProblem(
            f"'{printable(service.name)}' cannot be the name of a service.",
            "Use letters, digits and '_.@-', beginning with a letter or digit.",
        )
    return f"""\
; Ansible managed (gguf.fleet)
; What is started, and how, is in {service.name}.json beside this file.
[program:{service.name}]
command={RUN_SERVICE} {service.name}
autostart=true
autorestart=true
startsecs=1
startretries=1000000
stopsignal=TERM
stopwaitsecs=60
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={LOGS}/{service.name}.log
stdout_logfile_maxbytes={service.log_bytes}
stdout_logfile_backups={service.log_files - 1}
"""


def settings(service: Service) -> str:
    """programs/NAME.json, which run-service reads. Raises ServiceProblem for what is no line of plain text."""
    own = (service.description, service.user, service.group, service.home, service.start_lock)
    texts = (*own, *service.command)
    for text in map(str, texts):
        if has_control(text):
            raise ServiceProblem(
                f"'{printable(text)}' holds a line end or another control character.",
                "It is for the settings of a service: give one line of plain text.",
            )
    told = {
        "description": service.description,
        "command": [str(word) for word in service.command],
        "user": service.user,
        "group": service.group,
        "home": service.home,
        "environment_file": service.environment_path,
        "umask": UMASKS[service.hardening],
        "no_new_privileges": service.hardening != "off",
        "limits": {"nofile": 65536, "memlock": "infinity", "core": 0},
        # The service itself may not make the devices (no_new_privileges stops the setuid nvidia-modprobe).
        "before": [["nvidia-modprobe", "-c", "0", "-u"]] if service.nvidia else [],
        # Ollama removes files that nothing names yet: not while some are being added.
        "start_lock": service.start_lock,
        "restart_seconds": RESTART_SECONDS,
    }
    return json.dumps(told, indent=4, ensure_ascii=False) + "\n"
