#!/usr/bin/env bash
# Makes the lists beside it from pyproject.toml and constraints.txt, with the hashes of all files that PyPI has of
# each version, for every system and Python. Needs uv; run it whenever one of the two has changed.
#
#   base.txt service.txt dev.txt   what each level needs, without torch
#   torch.txt                      torch: PyPI's files and the CPU build
#   cuda.txt                       the libraries that PyPI's torch for Linux needs and the CPU build does not
set -euo pipefail
cd "$(dirname "$0")"
# pytorch.org's torch-2.13.0+cpu for Python 3.11 on x86-64 Linux, which PyPI does not have (sha256sum of the wheel).
CPU_BUILD=6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
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

TORCH='^torch==' CUDA='^(cuda|nvidia|triton)[-=]'
all=$(lock)
entries '~' "$TORCH" <<< "$all" | sed "/^torch==/a\\    --hash=sha256:$CPU_BUILD \\\\" > torch.txt
entries '~' "$CUDA" <<< "$all" > cuda.txt
entries '!~' "$TORCH|$CUDA" <<< "$all" > base.txt
lock --extra files --extra service | entries '!~' "$TORCH|$CUDA" > service.txt
lock --extra dev | entries '!~' "$TORCH|$CUDA" > dev.txt
