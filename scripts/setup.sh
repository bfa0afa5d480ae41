#!/usr/bin/env bash
# Make .venv in the repository and install requirements.txt into it; nothing is done twice.
# The other scripts source this file (it leaves the variable VENV_PYTHON) or it is run by itself.
# PYTHON=/path/to/python names the interpreter to use; otherwise the newest suitable one is taken.

REPO_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$REPO_ROOT/.venv"
VENV_PYTHON="$VENV/bin/python"
MARKER="$VENV/requirements.sha256"
NEEDED_KB=$((8 * 1024 * 1024))

setup_say() { printf 'setup: %s\n' "$*" >&2; }

setup_fail() {
    setup_say "$@"
    return 1
}

setup_suits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

setup_find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3 python; do
        if command -v "$candidate" >/dev/null 2>&1 && setup_suits "$candidate"; then
            command -v "$candidate"
            return 0
        fi
        if [ -n "${PYTHON:-}" ]; then
            setup_fail "PYTHON=$PYTHON is not a Python of version 3.11 or newer"
            return 1
        fi
    done
    setup_fail "no Python 3.11 or newer found (Debian, Ubuntu: apt-get install python3 python3-venv)"
}

setup_check_space() {
    local free
    ls -d "$VENV"/lib/python*/site-packages/torch >/dev/null 2>&1 && return 0
    free="$(df -Pk "$REPO_ROOT" | awk 'NR == 2 {print $4}')"
    if [ -n "$free" ] && [ "$free" -lt "$NEEDED_KB" ]; then
        setup_fail "$((free / 1024 / 1024)) GB free in $REPO_ROOT, the libraries need about 8 GB"
    fi
}

setup_make_venv() {
    local python
    if [ -x "$VENV_PYTHON" ] && setup_suits "$VENV_PYTHON" && "$VENV_PYTHON" -m pip --version >/dev/null 2>&1; then
        return 0
    fi
    python="$(setup_find_python)" || return 1
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        setup_fail "$python cannot make virtual environments: install the package" \
            "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv (or python3-venv)"
        return 1
    fi
    if [ -e "$VENV" ] || [ -L "$VENV" ]; then
        setup_say "replacing a broken or too old $VENV"
        rm -rf "$VENV"
    fi
    setup_say "making $VENV with $python"
    "$python" -m venv "$VENV" || setup_fail "making $VENV failed, see above"
}

setup_hash() {
    "$1" -c 'import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest(), "%d.%d" % sys.version_info[:2])' \
        "$REPO_ROOT/requirements.txt"
}

setup_is_done() {
    [ -f "$MARKER" ] && [ -x "$VENV_PYTHON" ] &&
        [ "$(cat "$MARKER")" = "$(setup_hash "$VENV_PYTHON" 2>/dev/null)" ]
}

setup_install() {
    setup_check_space || return 1
    setup_make_venv || return 1
    "$VENV_PYTHON" "$REPO_ROOT/scripts/check_system.py" --before-install || return 1
    setup_say "installing requirements.txt (about 6 GB with the ordinary build of torch, some minutes)"
    if ! "$VENV_PYTHON" -m pip install --disable-pip-version-check --no-input --quiet \
        --progress-bar off --retries 5 -r "$REPO_ROOT/requirements.txt"; then
        setup_fail "pip could not install requirements.txt, see above; run the same command again"
        return 1
    fi
    "$VENV_PYTHON" "$REPO_ROOT/scripts/check_system.py" || return 1
    setup_hash "$VENV_PYTHON" >"$MARKER.tmp" && mv "$MARKER.tmp" "$MARKER"
    setup_say "ready: $VENV_PYTHON"
}

setup_main() {
    setup_is_done && return 0
    if command -v flock >/dev/null 2>&1; then
        # two set-ups at once: the second waits, then finds the work done
        (
            flock 9
            setup_is_done || setup_install
        ) 9<"$REPO_ROOT/requirements.txt"
    else
        setup_install
    fi
}

setup_main || exit 1
