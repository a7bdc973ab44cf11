#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the collection, installs it from the tarball away from the checkout, and lets the installed one list its playbook and its plugins.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/.." && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# Settings of its own: the checkout's would let the checkout pass for an installed collection.
printf '[defaults]\n' >ansible.cfg
export ANSIBLE_COLLECTIONS_PATH=$work/collections
ansible-galaxy collection build "$checkout"
ansible-galaxy collection install gguf-fleet-*.tar.gz --offline --collections-path collections
printf 'all:\n  hosts:\n    localhost:\n      ansible_connection: local\n' >inventory.yml
ansible-playbook gguf.fleet.site -i inventory.yml --list-tasks
ansible-doc --list gguf.fleet | tee plugins.txt
for module in "$checkout"/plugins/modules/*.py; do
    grep -q "^gguf.fleet.$(basename "$module" .py) " plugins.txt
done
