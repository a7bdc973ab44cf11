#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs ansible-test on a copy of the working tree: tests/ansible_test.sh sanity|units [ARGUMENT...]
# A copy, since ansible-test wants a real .../ansible_collections/gguf/fleet and refuses links to it.
set -eu

checkout=$(cd "$(dirname "$0")/.." && pwd)
cache=${GGUF_FLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gguf-fleet}
command=$1
shift

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/ansible_collections/gguf/fleet
mkdir -p "$tree"
cd "$checkout"
# What git knows or would know, less what was deleted since the last commit.
git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\0' "$file"; fi; done |
    tar --null --files-from=- -cf - | tar -xf - -C "$tree"

# A HOME of its own: what stands in for downloads must not stay in the user's ansible-test cache.
[ -z "${PIP_CONFIG_FILE:-}" ] && [ -e "$HOME/.config/pip/pip.conf" ] && export PIP_CONFIG_FILE="$HOME/.config/pip/pip.conf"
export HOME="$cache/ansible-test"
mkdir -p "$HOME/.ansible/test/cache"
for name in get_pip_24_2 get_pip_25_2; do
    cp "$checkout/tests/sanity/get_pip.py" "$HOME/.ansible/test/cache/$name.py"
done

PATH="$cache/venv/bin:$PATH"
export PATH
cd "$tree"
python=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ansible-test "$command" --local --python "$python" --color no "$@"
