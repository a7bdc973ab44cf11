#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# build.sh [bookworm|gateway|trixie|forky|judge|builder|bench|browser]...   (without names: all that `make test` needs)
#
# Builds the images of the lab and of the tests from Debian packages, because no container registry is
# needed for them that way. A tarball per recipe is kept in the cache; Docker gets it when it lacks that recipe.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}/images
PATH=$PATH:/usr/sbin:/sbin

declare -A suite packages
# What a small server has. Without zstd, on purpose: hosts without it have to work.
server=systemd,systemd-sysv,dbus,python3,iproute2,procps,ca-certificates,curl,sudo
suite[bookworm]=bookworm packages[bookworm]=$server
# With the HAProxy of the distribution, for gateways and doors.
suite[gateway]=bookworm packages[gateway]=$server,haproxy
# Later ones of it. forky brings the real llama.cpp, too.
suite[trixie]=trixie packages[trixie]=$server,haproxy
suite[forky]=forky packages[forky]=$server,haproxy,python3-apt,llama.cpp-tools,llama.cpp-tools-extra
# The judge compiles against the real ggml and llama libraries, and splits models over several (CPU) devices by RPC.
suite[judge]=forky packages[judge]=python3,llama.cpp-tools,llama.cpp-tools-extra,libggml0-backend-rpc,gcc,libc6-dev,libggml-dev,libllama-dev
# A small server with what the role installs where llama.cpp is built from its source, and what Ansible needs to install more.
suite[builder]=bookworm packages[builder]=$server,python3-apt,cmake,g++,make,ccache
# The gateway beside nginx, for tests/bench/gateway.py.
suite[bench]=bookworm packages[bench]=$server,haproxy,nginx-light
# A page that asks a gateway.
suite[browser]=bookworm packages[browser]=ca-certificates,chromium

options=(
    --quiet --variant=minbase
    # Ubuntu's apt does not trust Debian's archive by itself.
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    # forky is a moving suite: a mirror that is a few days behind is good enough.
    --aptopt='Acquire::Check-Valid-Until "false"'
    --dpkgopt='path-exclude=/usr/share/doc/*'
    --dpkgopt='path-exclude=/usr/share/man/*'
    --dpkgopt='path-exclude=/usr/share/locale/*'
)

recipe_key() {
    printf '%s\n' "${suite[$1]}" "${packages[$1]}" "${options[@]}" | sha256sum | cut -c1-12
}

# The Debian mirror this machine uses itself; none on Ubuntu, where mmdebstrap takes its own default.
host_mirror() {
    command -v apt-get >/dev/null || return 0
    # shellcheck disable=SC2016 # apt expands these, not the shell
    apt-get indextargets --format '$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk '$1 == "Debian" && $2 == "Debian" && $3 == "main" { print $4; exit }'
}

# Root has to own the tree; other users get that from a user namespace, which mmdebstrap chooses by itself.
debootstrap_tarball() {
    local name=$1 tarball=$2 mirror
    mirror=$(host_mirror)
    # The temporary name keeps .tar, by which mmdebstrap knows what to write.
    local partial=${tarball%.tar}.partial.$$.tar
    if ! mmdebstrap "${options[@]}" --include="${packages[$name]}" "${suite[$name]}" "$partial" \
        ${mirror:+"$mirror"} >"$cache/$name.log" 2>&1; then
        rm -f "$partial"
        tail -n 20 "$cache/$name.log" >&2
        echo "images: gguf-fleet-$name could not be built; the whole log is $cache/$name.log" >&2
        return 1
    fi
    mv "$partial" "$tarball"
}

recipes_in_docker() {
    docker image inspect --format '{{index .RepoTags 0}} {{index .Config.Labels "gguf-fleet.recipe"}}' "$@" 2>/dev/null || true
}

build() {
    local name=$1 key tarball seconds=$SECONDS
    key=$(recipe_key "$name")
    tarball=$cache/$name-$key.tar
    (
        flock 9
        if [ ! -f "$tarball" ]; then
            echo "images: building gguf-fleet-$name from Debian ${suite[$name]} packages"
            debootstrap_tarball "$name" "$tarball"
            find "$cache" -name "$name-*.tar" ! -name "$name-$key.tar" -delete
        fi
        docker import --change "LABEL gguf-fleet.recipe=$key" --change 'ENV container=docker' \
            "$tarball" "gguf-fleet-$name:latest" >/dev/null
        docker image prune --force --filter label=gguf-fleet.recipe >/dev/null # what this one replaces
        echo "images: gguf-fleet-$name is there ($((SECONDS - seconds)) s)"
    ) 9>"$cache/$name.lock"
}

names=("$@")
[ ${#names[@]} -gt 0 ] || names=(bookworm gateway forky judge builder)
for name in "${names[@]}"; do
    [ -n "${suite[$name]:-}" ] || { echo "images: no recipe is called $name; there are: ${!suite[*]}" >&2; exit 2; }
done

"$here/engine.sh"
mkdir -p "$cache"
present=$(recipes_in_docker "${names[@]/#/gguf-fleet-}")
jobs=()
for name in "${names[@]}"; do
    grep -qxF "gguf-fleet-$name:latest $(recipe_key "$name")" <<<"$present" && continue
    build "$name" &
    jobs+=($!)
done
failed=0
for job in "${jobs[@]}"; do
    wait "$job" || failed=1
done
exit "$failed"
