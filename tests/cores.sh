#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The other ansible-core versions that are supported, where this machine has their Python: the unit tests, and a run over the
# lab, which must be up and have nothing left to change. A warning fails it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
# shellcheck source-path=SCRIPTDIR
. "$here/lab/containers.sh"
cd "$here/.."

# find_python VERSION...: the first of these Pythons that can make a venv, on the PATH or among pyenv's
find_python() {
    local version candidate
    for version in "$@"; do
        for candidate in "python$version" "$(pyenv root 2>/dev/null || true)"/versions/"$version".*/bin/python; do
            if "$candidate" -c 'import ensurepip' 2>/dev/null; then
                echo "$candidate"
                return
            fi
        done
    done
}

# try_core VERSION PYTHON_VERSION...
try_core() {
    local core=$1 python venv=$cache/core-$1
    shift
    printf '\nansible-core %s\n' "$core"
    python=$(find_python "$@")
    if [ -z "$python" ]; then
        echo "SKIPPED tests/cores.sh: ansible-core $core: no Python ${*} with venv on this machine" | tee -a "$cache/skipped.log"
        return
    fi
    tests/venv.sh "$venv" "tests/requirements-core-$core.txt" "$python"
    "$venv/bin/pytest" tests/unit -q -p no:cacheprovider -m 'not docker and not long' --numprocesses 2
    GGUF_FLEET_LAB_NET=$net PATH=$venv/bin:$PATH "$venv/bin/ansible-playbook" site.yml -i lab | tee "$cache/lab-core.log" | sed -n '/PLAY RECAP/,$p'
    "$venv/bin/python" tests/ansible_runs.py "$cache/lab-core.log"
    if ! grep -q 'changed=0 ' "$cache/lab-core.log" || grep -q 'changed=[1-9]' "$cache/lab-core.log"; then
        echo "ansible-core $core changed something in a lab that another version had provisioned" >&2
        return 1
    fi
}

try_core 2.17 3.10
try_core 2.21 3.12 3.13
