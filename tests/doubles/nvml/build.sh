#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, gguf.fleet contributors
# Builds the NVML stand-in: build.sh OUTDIR leaves OUTDIR/libnvidia-ml.so.1
set -eu
out=${1:?usage: build.sh OUTDIR}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p "$out"
"${CC:-cc}" -std=gnu11 -O2 -Wall -Wextra -Werror -Wno-format-truncation -fPIC -fvisibility=hidden -shared \
    -Wl,-soname,libnvidia-ml.so.1 -o "$out/libnvidia-ml.so.1.new" "$here/nvml.c" -lpthread
mv "$out/libnvidia-ml.so.1.new" "$out/libnvidia-ml.so.1"
