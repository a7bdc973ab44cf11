# Copyright (c) 2026, gguf.fleet contributors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""A service as a systemd unit: a stub, and a drop-in that holds every setting."""

from __future__ import annotations

import re
from typing import List, Tuple

from ansible_collections.gguf.fleet.plugins.module_utils._service import unit
from ansible_collections.gguf.fleet.plugins.module_utils._service.values import Service

_HEADER = "# Ansible managed (gguf.fleet)\n"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOMES = re.compile(r"/(home|root|run/user)(/|$)")

_GPU_SAFE = """
# Nothing here is known or suspected to keep CUDA from working: no PrivateDevices or DevicePolicy (they hide \
/dev/nvidia*), no
# ProcSubset=pid (the driver reads /proc/driver/nvidia and writes /proc/self/task/*/comm), no MemoryDenyWriteExecute \
(kernels are
# compiled at run time), no PrivateUsers, no RestrictRealtime.
UMask=0027
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome={protect_home}
PrivateTmp=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RestrictNamespaces=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
KeyringMode=private
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
"""

_STRICT = """
# Strict: also what may be in CUDA's way on some driver. Only the listed devices, no writable code, no files for others.
UMask=0077
RestrictRealtime=yes
MemoryDenyWriteExecute=yes
DevicePolicy=closed
DeviceAllow=char-nvidia rw
DeviceAllow=char-nvidiactl rw
DeviceAllow=char-nvidia-caps rw
DeviceAllow=char-nvidia-frontend rw
DeviceAllow=char-nvidia-uvm rw
DeviceAllow=char-drm rw
DeviceAllow=char-kfd rw
"""

_PROXY = """
# A program that starts as root, opens its ports and its socket below /run/gguf-fleet, and becomes a user of its own.
UMask=0077
# No NoNewPrivileges: with systemd 262 it keeps HAProxy 3.2 from becoming that user.
# KILL: it signals its workers, which are that user's.
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_KILL
AmbientCapabilities=
RuntimeDirectory=gguf-fleet
# Others' sockets are there, too.
RuntimeDirectoryPreserve=yes
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RemoveIPC=yes
KeyringMode=private
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""


def stub(service: Service) -> str:
    """NAME.service. Raises ServiceProblem for a value that cannot stand in a unit, as does `drop_in`."""
    return f"""{_HEADER}\
# Every setting is in the drop-in {service.name}.service.d/gguf-fleet.conf, so that another installer may \
write this file again.
[Unit]
Description={unit.value(service.description)}

[Service]
ExecStart={unit.command(service.command)}

[Install]
WantedBy=multi-user.target
"""


def drop_in(service: Service) -> str:
    """NAME.service.d/gguf-fleet.conf."""
    return _unit_section(service) + _service_section(service) + hardening(service)


def loads(service: Service) -> str:
    """NAME.service.d/gguf-fleet-loads.conf."""
    command = f"ExecStartPost=-{unit.command(service.loading)}\n" if service.loads else ""
    return f"{_HEADER}# Models that are loaded after each start.\n[Service]\n{command}"


def hardening(service: Service) -> str:
    """The settings of strict, gpu_safe, proxy or off. Strict adds to gpu_safe."""
    if service.hardening == "off":
        return ""
    if service.hardening == "proxy":
        return _PROXY.format(writable=unit.paths(service.writable))
    in_homes = any(_HOMES.match(path) for path in service.writable)
    text = _GPU_SAFE.format(
        writable=unit.paths(service.writable),
        protect_home="read-only" if in_homes else "yes",
    )
    return text + (_STRICT if service.hardening == "strict" else "")


def waiting(lock: str) -> Tuple[str, ...]:
    """The command that ends when nobody holds the lock; at once where nobody has made its file."""
    return ("/bin/sh", "-c", 'test ! -e "$1" || exec flock "$1" true', "sh", lock)


def _unit_section(service: Service) -> str:
    lines = [
        f"{_HEADER}[Unit]",
        f"Description={unit.value(service.description)}",
        "Wants=network-online.target",
        "After=network-online.target",
    ]
    if service.nvidia:
        lines += [
            "# A server that starts before the driver stays on the CPU until its next start.",
            "Wants=modprobe@nvidia.service modprobe@nvidia_uvm.service",
            "After=modprobe@nvidia.service modprobe@nvidia_uvm.service nvidia-persistenced.service "
            "nvidia-fabricmanager.service",
        ]
    if service.mounts:
        lines.append(f"RequiresMountsFor={unit.paths(service.mounts)}")
    lines += ["# It starts again after every crash, however many there were.", "StartLimitIntervalSec=0", ""]
    return _text(lines)


def _service_section(service: Service) -> str:
    home = unit.command([f"HOME={service.home}"]).replace("$$", "$")
    lines = [
        "[Service]",
        "Type=exec",
        f"User={unit.value(service.user)}",
        f"Group={unit.value(service.group)}",
        f"WorkingDirectory={unit.value(service.home)}",
        "# Another installer's environment ends here; the next lines are all of it.",
        "Environment=",
        f"Environment={home}",
        f"Environment=PATH={_PATH}",
        "EnvironmentFile=",
        f"EnvironmentFile={service.environment_path}",
        "ExecStartPre=",
    ]
    if service.nvidia:
        lines += [
            "# The service itself may not make the devices (NoNewPrivileges stops the setuid nvidia-modprobe).",
            "ExecStartPre=+-nvidia-modprobe -c 0 -u",
        ]
    if service.start_lock:
        lines += [
            "# It removes files that nothing names yet: not while some are being added. Where that takes longer than",
            "# systemd waits, it tries again.",
            f"ExecStartPre=+{unit.command(waiting(service.start_lock))}",
        ]
    lines += [
        "ExecStart=",
        f"ExecStart={unit.command(service.command)}",
        "Restart=always",
        "RestartSec=3",
        "TimeoutStopSec=60",
        "LimitNOFILE=65536",
        "LimitMEMLOCK=infinity",
        "LimitCORE=0",
    ]
    return _text(lines)


def _text(lines: List[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
