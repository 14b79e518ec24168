#!/usr/bin/env bash
# Makes the lists beside it from pyproject.toml and constraints.txt, with the hashes of all files that PyPI has of
# each version, for every system and Python. Needs uv; run it whenever one of the two has changed.
#
#   base.txt service.txt dev.txt   what each level needs, without torch
#   torch.txt                      PyPI's torch, and the libraries of CUDA that it needs on Linux
#
# torch-cpu.txt, the build without CUDA, is not on PyPI and kept by hand.
set -euo pipefail
cd "$(dirname "$0")"
BUILD_TOOL=setuptools

lock() {
    uv pip compile --quiet ../pyproject.toml - "$@" --universal --python-version 3.11 --generate-hashes \
        --no-annotate --no-header --constraint ../constraints.txt <<< "$BUILD_TOOL"
}

# The entries of a list whose name matches (~) or not (!~).
entries() {
    echo "# Made by requirements/lock.sh from pyproject.toml and constraints.txt."
    awk -v pattern="$2" "/^[^ #]/ { kept = \$0 $1 pattern } kept"
}

TORCH='^(torch|triton|cuda|nvidia)[-=]'
lock | entries '~' "$TORCH" > torch.txt
lock | entries '!~' "$TORCH" > base.txt
lock --extra files --extra service | entries '!~' "$TORCH" > service.txt
lock --extra dev | entries '!~' "$TORCH" > dev.txt
