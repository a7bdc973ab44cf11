#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# molecule.sh [SCENARIO]...   (without names: all of them)
#
# Runs Molecule scenarios one after the other, beside the lab's hub. MOLECULE_COMMAND=converge keeps the containers to look at.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR
. "$here/lab/containers.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/lab/systemd_options.sh"
cd "$here/.."

export GGUF_FLEET_CACHE=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
export PATH=$GGUF_FLEET_CACHE/venv/bin:$PATH
export GGUF_FLEET_LAB_NET=$net
GGUF_FLEET_FORKY_CGROUPS=$(systemd_cgroups forky)
export GGUF_FLEET_FORKY_CGROUPS
# In a log: lines that are not cut to a terminal's width.
[ -t 1 ] || export COLUMNS=180 NO_COLOR=1 ANSIBLE_NOCOLOR=1

scenarios=("$@")
if [ ${#scenarios[@]} -eq 0 ]; then
    for file in molecule/*/molecule.yml; do scenarios+=("$(basename "$(dirname "$file")")"); done
fi

"$here/images/build.sh" bookworm gateway forky
"$here/lab/machines.sh" hub

failed=()
for scenario in "${scenarios[@]}"; do
    # One file and no pattern: otherwise Molecule looks for a scenario "default", too, and reports that there is none.
    export MOLECULE_GLOB="molecule/$scenario/molecule.yml"
    echo "molecule: $scenario"
    started=$SECONDS
    log=$GGUF_FLEET_CACHE/molecule-$scenario.log
    if ! python -m molecule -c molecule/base.yml "${MOLECULE_COMMAND:-test}" -s "$scenario" 2>&1 | tee "$log" ||
        ! python tests/ansible_runs.py "$log" "molecule/$scenario/warnings.txt"; then
        failed+=("$scenario")
    fi
    echo "molecule: $scenario took $((SECONDS - started)) s"
done
[ ${#failed[@]} -eq 0 ] || { echo "molecule: failed: ${failed[*]}" >&2; exit 1; }
