#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# machines.sh [hub|h20-01|rtx4090-01|cpp-01|gw-01]...   (without names: all of them)
#
# Starts the lab's machines: a network, the hub, and four bare hosts. What already runs as it should is left alone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
assets=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}/assets
# shellcheck source-path=SCRIPTDIR
. "$here/containers.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/systemd_options.sh"

ensure_network() {
    local subnet
    subnet=$(docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}' "$network" 2>/dev/null) || subnet=
    [ "$subnet" != "$net.0/24" ] || return 0
    [ -z "$subnet" ] || "$here/down.sh"
    docker network create --subnet "$net.0/24" "$network" >/dev/null || {
        echo "lab: Docker refuses the network $net.0/24. Choose a free one: GGUF_FLEET_LAB_NET=10.99.7 make lab" >&2
        return 1
    }
}

# Started again from scratch when the image, an option or the NVML double is another one now.
ensure_container() {
    local name=$1 key running
    shift
    key=$({ docker image inspect --format '{{.Id}}' "gguf-fleet-${image[$name]}" && cat "$assets/nvml/.made-from" && echo "$@"; } |
        sha256sum | cut -c1-12)
    running=$(docker inspect --format '{{.State.Running}} {{index .Config.Labels "gguf-fleet.key"}}' "$(container "$name")" 2>/dev/null || true)
    [ "$running" != "true $key" ] || return 0
    docker rm --force --volumes "$(container "$name")" >/dev/null 2>&1 || true
    docker run --detach --name "$(container "$name")" --hostname "$name" --label "gguf-fleet.key=$key" \
        --network "$network" --ip "${address[$name]}" "$@" >/dev/null
    echo "lab: started $name (${address[$name]})"
    started+=("$name")
}

start_hub() {
    ensure_container hub --init --read-only --tmpfs=/tmp \
        --volume="$root/tests/doubles/hub:/opt/hub:ro" \
        --volume="$assets:/srv/assets:ro" \
        gguf-fleet-bookworm python3 -B /opt/hub/serve.py --root /srv/assets/hub --checksums-file /tmp/checksums.json --host 0.0.0.0 --port 8080
}

start_host() {
    local name=$1 options=()
    if [ -n "${gpus[$name]:-}" ]; then
        options+=(
            "--volume=$assets/nvml/libnvidia-ml.so.1:/usr/local/lib/libnvidia-ml.so.1:ro"
            "--volume=$root/tests/doubles/nvml/configs/${gpus[$name]}.conf:/etc/nvml-double.conf:ro"
        )
    fi
    case ${pid1[$name]} in
        systemd)
            local systemd
            systemd=$(systemd_options "${image[$name]}")
            mapfile -t -O ${#options[@]} options <<<"$systemd"
            ensure_container "$name" "${options[@]}" "gguf-fleet-${image[$name]}" /lib/systemd/systemd
            ;;
        sleep)
            ensure_container "$name" --init "${options[@]}" "gguf-fleet-${image[$name]}" sleep infinity
            ;;
    esac
}

# A host is ready when its boot is over and it knows its GPUs. Not before: the boot may run ldconfig too.
settle_host() {
    if [ "${pid1[$1]}" = systemd ]; then wait_for_systemd "$1"; fi
    docker exec "$(container "$1")" ldconfig
}

wait_for_systemd() {
    local name=$1 state
    for _ in $(seq 120); do
        # Nothing answers yet while PID 1 sets up its bus.
        state=$(docker exec "$(container "$name")" systemctl is-system-running 2>/dev/null || true)
        case $state in
            running) return ;;
            degraded) break ;;
        esac
        sleep 0.5
    done
    echo "lab: systemd on $name says '$state':" >&2
    docker exec "$(container "$name")" systemctl --failed --no-pager >&2
    return 1
}

# What a new hub offers may be cut and packed anew, so the lab's pins of the old one say nothing about it.
forget_pins() { rm -f "$root"/inventories/lab/models.lock.txt "$root"/inventories/lab/ollama-releases.txt; }

wait_for_hub() {
    for _ in $(seq 120); do
        docker exec "$(container hub)" curl --silent --output /dev/null http://127.0.0.1:8080/ && return
        sleep 0.5
    done
    echo "lab: the hub does not answer on http://${address[hub]}:8080/; its log: docker logs $(container hub)" >&2
    return 1
}

names=("$@")
[ ${#names[@]} -gt 0 ] || names=(hub "${hosts[@]}")
for name in "${names[@]}"; do
    [ -n "${image[$name]:-}" ] || { echo "lab: no machine is called $name; there are: ${!image[*]}" >&2; exit 2; }
done

"$root/tests/images/build.sh" bookworm gateway forky
"$root/tests/assets/build.sh"
started=()
ensure_network
for name in "${names[@]}"; do
    if [ "$name" = hub ]; then start_hub; else start_host "$name"; fi
done
[ ${#started[@]} -gt 0 ] || echo "lab: running already: ${names[*]}"
# All of them, also those that an interrupted start left behind.
for name in "${names[@]}"; do
    if [ "$name" = hub ]; then wait_for_hub; else settle_host "$name"; fi
done
if [[ " ${started[*]} " == *" hub "* ]]; then forget_pins; fi
