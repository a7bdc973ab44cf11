#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The lab as a test: up, up again without a change, then what a client and an operator see. A lab that was up before stays up.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
# shellcheck source-path=SCRIPTDIR
. "$here/containers.sh"
export PATH=$cache/venv/bin:$PATH

"$here/../images/engine.sh"
docker network inspect "$network" >/dev/null 2>&1 || trap '"$here/down.sh"' EXIT

"$here/up.sh"
python "$here/../ansible_runs.py" "$cache/lab.log"
printf '\nlab: once more, nothing may change\n'
"$here/up.sh" | tee "$cache/lab-second.log"
grep -q '^lab: nothing had to be changed$' "$cache/lab-second.log" || { echo "lab: the second run changed something" >&2; exit 1; }
python "$here/../ansible_runs.py" "$cache/lab.log"
GGUF_FLEET_LAB_NET=$net pytest "$here/test_lab.py" "$here/test_playbooks.py" "$here/test_installed.py" "$here/test_bad_input.py"
"$here/../cores.sh"
