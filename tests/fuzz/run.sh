#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Fuzzes subjects one after the other: tests/fuzz/run.sh [SUBJECT...], all of them by default. SUBJECT is the name of a
# fuzz_SUBJECT.py; each gets FUZZ_SECONDS (600). New inputs are collected in the cache folder, not in the checkout; one that
# found a fault is kept in corpus/SUBJECT, which `make test` replays.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${FUZZ_SECONDS:-600}
cache=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
venv=$cache/fuzz-venv

subjects=("${@//-/_}")
if [ $# -eq 0 ]; then
    subjects=(fuzz_*.py)
    subjects=("${subjects[@]#fuzz_}")
    subjects=("${subjects[@]%.py}")
fi
for subject in "${subjects[@]}"; do
    if [ ! -e "fuzz_$subject.py" ]; then
        echo "tests/fuzz/run.sh: there is no subject '$subject'; there are: $(ls fuzz_*.py)" >&2
        exit 2
    fi
done

if ! cmp -s requirements.txt "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --requirement requirements.txt
    cp requirements.txt "$venv/requirements.txt"
fi
failed=()
for subject in "${subjects[@]}"; do
    mkdir -p "$cache/fuzz/$subject" "corpus/$subject"
    printf '\n=== %s, %s s ===\n' "$subject" "$seconds"
    # libFuzzer writes to its first folder and only reads the others
    nice "$venv/bin/python" "fuzz_$subject.py" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 -timeout=60 \
        -artifact_prefix="$cache/fuzz/$subject-" -print_final_stats=1 "$cache/fuzz/$subject" "corpus/$subject" ||
        failed+=("$subject")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "Failed: ${failed[*]} (the inputs are in $cache/fuzz)"
    exit 1
fi
