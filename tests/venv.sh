#!/bin/sh
# Copyright (c) 2026, gguf.fleet contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the venv with the control side and the test tools: tests/venv.sh DIRECTORY [REQUIREMENTS PYTHON]
# Does nothing when the venv already holds what the requirements (tests/requirements.txt) ask for.
set -eu

venv=$1
requirements=${2:-$(dirname "$0")/requirements.txt}
python=${3:-}
stamp="$venv/.requirements-$(sha256sum "$requirements" | cut -c1-16)"
[ -e "$stamp" ] && exit 0

usable() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

for name in python3 python3.11 python3.12 python3.13; do
    [ -n "$python" ] && break
    if usable "$name"; then python=$name; fi
done
if [ -z "$python" ]; then
    echo "No Python 3.11, 3.12 or 3.13 found for the control side. Install one of them (Debian 12: apt-get install python3 python3-venv) and run again." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends python3-venv
    else
        echo "$python cannot make a venv: its ensurepip is missing. Install it (Debian, Ubuntu: apt-get install python3-venv) and run again." >&2
        exit 1
    fi
fi

mkdir -p "$(dirname "$venv")"
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
touch "$stamp"
