#!/usr/bin/env bash
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the collection, installs it from the tarball by the two commands of README.md (inside the checkout and away from it), and
# lets the installed one list its playbook and its plugins.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/.." && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A home of its own, where the commands install to.
export HOME=$work/home ANSIBLE_HOME=$work/home/.ansible
mkdir "$HOME"
cd "$work"
# Settings of its own: the checkout's would let the checkout pass for an installed collection.
printf '[defaults]\n' >ansible.cfg
ansible-galaxy collection build "$checkout"
# No Galaxy is asked where community.crypto is there.
export ANSIBLE_GALAXY_SERVER=http://127.0.0.1:9

installed() { ansible-galaxy collection list gguf.fleet -p ~/.ansible/collections --format yaml | grep -A 2 "^$HOME/"; }

(cd "$checkout" && ansible-galaxy collection install "$work"/gguf-fleet-*.tar.gz --force -p ~/.ansible/collections)
installed
rm -r ~/.ansible/collections
printf 'collections:\n  - name: %s\n    type: file\n' gguf-fleet-*.tar.gz >requirements.yml
ansible-galaxy collection install -r requirements.yml --force -p ~/.ansible/collections
installed

printf 'all:\n  hosts:\n    localhost:\n      ansible_connection: local\n' >inventory.yml
ansible-playbook gguf.fleet.site -i inventory.yml --list-tasks
ansible-doc --list gguf.fleet | tee plugins.txt
for module in "$checkout"/plugins/modules/*.py; do
    grep -q "^gguf.fleet.$(basename "$module" .py) " plugins.txt
done
