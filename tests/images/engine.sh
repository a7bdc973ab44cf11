#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes a Docker engine answer, and the tools that build our images exist.
# As root on Debian or Ubuntu it installs what is missing; elsewhere it says what to install.
set -euo pipefail

cache=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
PATH=$PATH:/usr/sbin:/sbin

die() { printf 'engine: %s\n' "$@" >&2; exit 1; }

# command in PATH -> Debian packages that bring it
missing_packages() {
    local packages=()
    command -v dockerd >/dev/null || packages+=(docker.io iptables)
    command -v mmdebstrap >/dev/null || packages+=(mmdebstrap)
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || packages+=(debian-archive-keyring)
    command -v zstd >/dev/null || packages+=(zstd)
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    printf '%s ' "${packages[@]}"
}

engine_answers() { docker info >/dev/null 2>&1; }

install_missing() {
    local packages
    read -ra packages <<<"$(missing_packages)"
    [ ${#packages[@]} -eq 0 ] && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "the lab needs software that this machine lacks." \
            "On Debian or Ubuntu: sudo apt-get install ${packages[*]}" \
            "Elsewhere install what brings the commands dockerd, mmdebstrap (with Debian's archive keys), zstd and cc."
    fi
    echo "engine: installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    mkdir -p "$cache"
    { apt-get update && apt-get install --yes --no-install-recommends "${packages[@]}"; } >"$cache/apt.log" 2>&1 ||
        { tail -n 20 "$cache/apt.log" >&2; die "apt could not install ${packages[*]}; its log is $cache/apt.log"; }
}

start_by_hand() {
    local driver pid
    mkdir -p "$cache"
    # The pid files of a killed engine name processes that are zombies or others by now, and keep dockerd from starting.
    ls -l /proc/[0-9]*/exe 2>/dev/null | grep -qE '/(dockerd|containerd)$' ||
        rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
    for driver in overlay2 vfs; do
        setsid dockerd --storage-driver="$driver" >"$cache/dockerd.log" 2>&1 </dev/null &
        pid=$!
        for _ in $(seq 60); do
            engine_answers && { echo "engine: dockerd started ($driver), log in $cache/dockerd.log"; return; }
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.5
        done
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    tail -n 20 "$cache/dockerd.log" >&2
    die "dockerd does not start; its log is $cache/dockerd.log"
}

start_engine() {
    [ "$(id -u)" = 0 ] || die "the Docker engine does not answer to $(id -un)." \
        "Start it (sudo systemctl start docker) and let this user use it (sudo usermod -aG docker $(id -un), then log in again)."
    if [ -d /run/systemd/system ]; then
        systemctl start docker || die "systemd could not start docker: journalctl -u docker tells why"
        engine_answers || die "docker was started, but 'docker info' still fails: run it by hand to see why"
    else
        start_by_hand
    fi
}

install_missing
engine_answers || start_engine
