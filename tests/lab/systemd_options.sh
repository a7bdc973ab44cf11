# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# What containers need so that systemd can be PID 1 in them, without --privileged.

# The host's cgroup tree that an image's systemd understands.
systemd_cgroups() {
    local cgroups=/sys/fs/cgroup
    # forky's systemd knows cgroup v2 only. Machines that still mount v1 have v2 beside it, under "unified".
    if [ "$1" = forky ] && [ "$(stat -f -c %T "$cgroups")" != cgroup2fs ]; then
        cgroups=$cgroups/unified
        if [ ! -e "$cgroups/cgroup.procs" ]; then
            echo "lab: Debian forky's systemd needs cgroup v2, and this machine mounts none at $cgroups." >&2
            echo "Boot it with systemd.unified_cgroup_hierarchy=1, or mount one: mount -t cgroup2 none $cgroups" >&2
            return 1
        fi
    fi
    echo "$cgroups"
}

# Options of `docker run`, one a line.
systemd_options() {
    local cgroups
    cgroups=$(systemd_cgroups "$1") || return 1
    printf '%s\n' --cap-add=SYS_ADMIN --cap-add=NET_ADMIN --security-opt=seccomp=unconfined \
        --cgroupns=host "--volume=$cgroups:/sys/fs/cgroup:rw" \
        --tmpfs=/run --tmpfs=/run/lock --tmpfs=/tmp:exec,mode=1777
}
