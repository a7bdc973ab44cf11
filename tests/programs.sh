#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What single tests need beside the lab's software. As root on Debian or Ubuntu it is installed; elsewhere those tests are skipped
# with their reason.
set -euo pipefail

cache=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
PATH=$PATH:/usr/sbin:/sbin

packages=()
command -v sshd >/dev/null || packages+=(openssh-server openssh-client)
[ -e /usr/lib/openssh/sftp-server ] || packages+=(openssh-sftp-server)
command -v sshfs >/dev/null || packages+=(sshfs)
command -v mkfs.ext4 >/dev/null || packages+=(e2fsprogs)
if [ ${#packages[@]} -eq 0 ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi

echo "programs: installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$cache"
{ apt-get update && apt-get install --yes --no-install-recommends "${packages[@]}"; } >"$cache/apt-programs.log" 2>&1 ||
    { tail -n 20 "$cache/apt-programs.log" >&2; exit 1; }
