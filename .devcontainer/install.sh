#!/usr/bin/env bash
# A codespace has no NVIDIA GPU, and `make` takes torch's build for the CPU there.
set -euo pipefail
cd "$(dirname "$0")/.."
make install
