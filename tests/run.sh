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
failed=()
summary=()

stage() {
    local name=$1 started=$SECONDS
    shift
    printf '\n=== %s ===\n' "$name"
    if "$@"; then
        summary+=("$(printf '%5d s  %-14s ok' $((SECONDS - started)) "$name")")
    else
        summary+=("$(printf '%5d s  %-14s FAILED' $((SECONDS - started)) "$name")")
        failed+=("$name")
    fi
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
molecule_scenarios() { tests/molecule.sh; }
lab() { tests/lab/test.sh; }
quick() { pytest tests/unit -q -m 'not docker and not long'; }
# tests/unit has run under ansible-test by then.
python_tests() { recorded pytest tests --ignore tests/unit -m 'not long'; }
fuzz() { tests/fuzz/run.sh; }
long_tests() { recorded pytest tests -m long; }

# pytest's own summary, skips and their reasons included, is shown again under the table of stages, and so is what a script skipped.
recorded() { "$@" 2>&1 | tee "$GGUF_FLEET_CACHE/pytest.log"; }

case $tier in
fast) stages=(lint quick) ;;
all) stages=(lint images units sanity package molecule_scenarios lab python_tests) ;;
long) stages=(images fuzz long_tests) ;;
*)
    echo "tests/run.sh: there is no tier '$tier': use all, fast or long." >&2
    exit 2
    ;;
esac
[ $# -gt 0 ] && stages=("$@")

rm -f "$GGUF_FLEET_CACHE/skipped.log"
for name in "${stages[@]}"; do stage "$name" "$name"; done

printf '\n=== stages ===\n'
printf '%s\n' "${summary[@]}"
case " ${stages[*]} " in *_tests*) sed -n '/ short test summary info /,$p; /^=.* in [0-9.]*s.*=$/p' "$GGUF_FLEET_CACHE/pytest.log" | awk '!seen[$0]++' ;; esac
if [ -e "$GGUF_FLEET_CACHE/skipped.log" ]; then cat "$GGUF_FLEET_CACHE/skipped.log"; fi
if [ ${#failed[@]} -gt 0 ]; then
    echo "Failed: ${failed[*]}"
    exit 1
fi
