#!/bin/sh
# A release of Ollama that unpacks, tells its version, and then does not serve.
if [ "$1" = --version ]; then
    echo "Warning: client version is 0.34.0"
    exit 0
fi
echo "no kernel image is available for execution on the device" >&2
exit 1
