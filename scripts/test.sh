#!/usr/bin/env bash
# Set up, then check style and types and run the default tests. Arguments go on to pytest.
# All checks run even when an early one fails; the exit status is 0 only if all passed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh

failed=()
check() {
    local name="$1"
    shift
    printf '== %s\n' "$name"
    "$@" || failed+=("$name")
}

check "ruff check" "$VENV_PYTHON" -m ruff check .
check "ruff format" "$VENV_PYTHON" -m ruff format --check .
check "mypy" "$VENV_PYTHON" -m mypy
check "pytest" "$VENV_PYTHON" -m pytest "$@"

if [ "${#failed[@]}" -gt 0 ]; then
    printf 'test.sh: failed: %s\n' "$(IFS=,; echo "${failed[*]}")" >&2
    exit 1
fi
