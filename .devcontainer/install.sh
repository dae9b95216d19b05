#!/usr/bin/env bash
# A codespace has no NVIDIA GPU: as README.md says, torch's CPU build first, then the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 -m venv .venv
.venv/bin/python -m pip install torch==2.14.1 torchvision==0.29.1 --index-url https://download.pytorch.org/whl/cpu
make install
