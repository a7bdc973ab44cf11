#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the collection, installs it from the tarball away from the checkout, and lets the installed one list its playbook and its modules.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ansible-galaxy collection build --output-path "$work"
ansible-galaxy collection install "$work"/gguf-fleet-*.tar.gz --offline --collections-path "$work/collections"
printf 'all:\n  hosts:\n    localhost:\n      ansible_connection: local\n' >"$work/inventory.yml"
cd "$work"
export ANSIBLE_CONFIG=/dev/null ANSIBLE_COLLECTIONS_PATH="$work/collections"
ansible-playbook gguf.fleet.site -i inventory.yml --list-tasks
ansible-doc --list gguf.fleet
