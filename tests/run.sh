#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs the stages of a test tier, prints how long each took, and goes on after a failed stage: tests/run.sh all|fast|long [STAGE...]
set -uo pipefail
cd "$(dirname "$0")/.."
export GGUF_FLEET_CACHE=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
export PATH=$GGUF_FLEET_CACHE/venv/bin:$PATH

tier=$1
shift
summary=$(mktemp)
lab_folder=$(mktemp -d)
trap 'rm -rf "$summary" "$lab_folder"' EXIT

stage() {
    local name=$1 started=$SECONDS verdict=ok
    printf '\n=== %s ===\n' "$name"
    "$name" 2>&1 | tee "$GGUF_FLEET_CACHE/stage-$name.log" || verdict=FAILED
    printf '%5d s  %-14s %s\n' $((SECONDS - started)) "$name" "$verdict" >>"$summary"
}

lint() {
    ruff check . &&
        ruff format --check . &&
        (cd .collections && mypy --config-file ../pyproject.toml --cache-dir "$GGUF_FLEET_CACHE/mypy" -p ansible_collections.gguf.fleet.plugins -p ansible_collections.gguf.fleet.tests) &&
        yamllint --strict . &&
        ansible-lint --offline &&
        antsibull-docs lint-collection-docs --plugin-docs . &&
        antsibull-changelog lint
}

images() { tests/programs.sh && tests/images/build.sh && tests/assets/build.sh; }
units() { tests/ansible_test.sh units; }
sanity() { tests/ansible_test.sh sanity; }
package() { tests/package.sh; }
docs() { python docs/site/build.py "$GGUF_FLEET_CACHE/docs"; }
molecule_scenarios() { tests/molecule.sh; }
# With a folder of its own: pytest closes the one in /tmp to other users whenever it begins, also to the services of tests that run in it.
lab() { PYTEST_DEBUG_TEMPROOT=$lab_folder tests/lab/test.sh; }
quick() { pytest tests/unit -q -m 'not docker and not long'; }
# tests/unit has run under ansible-test by then.
# Two at a time: much of it is waiting for containers. A file's tests stay together and share what it made.
python_tests() { pytest tests --ignore tests/unit -m 'not long' --numprocesses 2 --dist loadfile --durations 30; }
fuzz() { tests/fuzz/run.sh; }
long_tests() { pytest tests -m long; }

case $tier in
fast) stages=(lint quick) ;;
all) stages=(lint images units sanity package docs molecule_scenarios lab python_tests) ;;
long) stages=(images fuzz long_tests) ;;
*)
    echo "tests/run.sh: there is no tier '$tier': use all, fast or long." >&2
    exit 2
    ;;
esac
[ $# -gt 0 ] && stages=("$@")

mkdir -p "$GGUF_FLEET_CACHE"
rm -f "$GGUF_FLEET_CACHE"/skipped.log "$GGUF_FLEET_CACHE"/stage-*.log
for name in "${stages[@]}"; do
    # These two run beside the next stage: the scenarios and the Python tests mostly wait for containers.
    case $name in
    sanity | lab) if [ ${#stages[@]} -gt 1 ]; then stage "$name" >/dev/null & else stage "$name"; fi ;;
    *) stage "$name" ;;
    esac
done
wait

failed=$(awk '$NF == "FAILED" { print $3 }' "$summary" | xargs)
for name in $failed; do
    printf '\n--- the end of %s, which failed ---\n' "$name"
    tail -n 80 "$GGUF_FLEET_CACHE/stage-$name.log"
done
printf '\n=== stages ===\n'
cat "$summary"
# A reader of the end alone sees pytest's own summary, skips and their reasons included, and what a script skipped.
case " ${stages[*]} " in
*_tests*) sed -n '/ short test summary info /,$p; /^=.* in [0-9.]*s.*=$/p' "$GGUF_FLEET_CACHE"/stage-*_tests.log | awk '!seen[$0]++' ;;
esac
if [ -e "$GGUF_FLEET_CACHE/skipped.log" ]; then cat "$GGUF_FLEET_CACHE/skipped.log"; fi
if [ -n "$failed" ]; then
    echo "Failed: $failed"
    exit 1
fi
