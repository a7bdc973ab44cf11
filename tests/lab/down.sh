#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Removes the lab: its containers with all that is in them, and its network. Images and assets stay in the cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/containers.sh"

docker info >/dev/null 2>&1 || { echo "lab: no Docker engine answers, so no lab is up"; exit 0; }
for name in hub "${hosts[@]}"; do
    docker inspect "$(container "$name")" >/dev/null 2>&1 || continue
    docker rm --force --volumes "$(container "$name")" >/dev/null
    echo "lab: removed $name"
done
if docker network inspect "$network" >/dev/null 2>&1; then
    docker network rm "$network" >/dev/null
    echo "lab: removed the network $network"
fi
