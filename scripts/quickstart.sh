#!/usr/bin/env bash
# From a fresh clone to a searched and trained network: set up, then the main job on the
# embedded faces. Arguments go on to scripts/quickstart.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh
exec "$VENV_PYTHON" scripts/quickstart.py "$@"
