#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Fuzzes the GGUF header parser: tests/fuzz/gguf.sh [SECONDS]. New inputs are collected in the cache folder, not in the checkout.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-600}
cache=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
venv=$cache/fuzz-venv

if ! cmp -s requirements.txt "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --requirement requirements.txt
    cp requirements.txt "$venv/requirements.txt"
fi
mkdir -p "$cache/fuzz/gguf"
# libFuzzer writes to its first folder and only reads the others
exec nice "$venv/bin/python" fuzz_gguf_header.py -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 \
    -artifact_prefix="$cache/fuzz/" -print_final_stats=1 "$cache/fuzz/gguf" corpus
