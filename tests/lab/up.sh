#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# up.sh [OPTION FOR ansible-playbook]...
#
# `make lab`: starts the machines and provisions them. The run ends with each host's endpoint, its model and the model's answer.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
# shellcheck source-path=SCRIPTDIR
. "$here/containers.sh"
export PATH=$cache/venv/bin:$PATH
export GGUF_FLEET_LAB_NET=$net

"$here/machines.sh"

cd "$root"
if [ -t 1 ]; then export ANSIBLE_FORCE_COLOR=1; fi
echo "lab: ansible-playbook site.yml -i lab $*"
ansible-playbook site.yml -i lab "$@" 2>&1 | tee "$cache/lab.log"
if grep -q "changed=" "$cache/lab.log" && ! grep -q "changed=[1-9]" "$cache/lab.log"; then
    echo "lab: nothing had to be changed"
fi

echo "lab: 'make lab-down' removes it"
