"""What scripts/setup.sh does with interpreters and environments, tried with stand-ins for both."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = """#!/usr/bin/env bash
# Python, but pip and venv only write down that they were called.
echo "$*" >>"{log}"
case "$*" in
"-m pip --version") exit 0 ;;
"-m pip install"*) exit {pip} ;;
*check_system.py*) exit {check} ;;
"-c import ensurepip, venv") exit {ensurepip} ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
*"(3, 11)"*) exit {old} ;;
*) exec "{python}" "$@" ;;
esac
"""


class Clone:
    """A folder with setup.sh and requirements.txt, and a stand-in for Python."""

    def __init__(self, root: Path) -> None:
        """Lay the folder out."""
        self.root = root
        self.log = root / "calls.log"
        (root / "scripts").mkdir()
        for name in ("scripts/setup.sh", "requirements.txt"):
            shutil.copy(ROOT / name, root / name)

    def python(self, *, pip: int = 0, check: int = 0, ensurepip: int = 0, old: int = 0) -> None:
        """Write the stand-in, with the exit status of each of its parts."""
        path = self.root / "python-stand-in"
        path.write_text(
            STAND_IN.format(
                log=self.log,
                pip=pip,
                check=check,
                ensurepip=ensurepip,
                old=old,
                python=sys.executable,
            )
        )
        path.chmod(0o755)

    def set_up(self) -> tuple[int, str]:
        """Run setup.sh with the stand-in; return its exit status and what it said."""
        self.log.write_text("")
        told = subprocess.run(
            ["bash", str(self.root / "scripts" / "setup.sh")],
            env={**os.environ, "PYTHON": str(self.root / "python-stand-in")},
            capture_output=True,
            text=True,
            check=False,
        )
        return told.returncode, told.stderr

    @property
    def installs(self) -> int:
        """How often the last run called pip to install."""
        return self.log.read_text().count("-m pip install")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """Return a fresh clone with a stand-in that works, and room enough on the disk."""
    if shutil.disk_usage(tmp_path).free < 8 * 1024**3:
        pytest.skip("less than 8 GB free")
    made = Clone(tmp_path)
    made.python()
    return made


def test_second_run_installs_nothing(clone: Clone) -> None:
    assert clone.set_up()[0] == 0
    assert clone.installs == 1
    status, said = clone.set_up()
    assert (status, said, clone.installs) == (0, "", 0)


def test_changed_requirements_are_installed(clone: Clone) -> None:
    clone.set_up()
    with (clone.root / "requirements.txt").open("a") as file:
        file.write("# changed\n")
    assert clone.set_up()[0] == 0
    assert clone.installs == 1


def test_failed_install_is_tried_again(clone: Clone) -> None:
    clone.python(pip=1)
    status, said = clone.set_up()
    assert status == 1
    assert "pip could not install" in said
    clone.python()
    shutil.copy(clone.root / "python-stand-in", clone.root / ".venv" / "bin" / "python")
    assert clone.set_up()[0] == 0
    assert clone.installs == 1


def test_missing_system_library_stops_before_the_install(clone: Clone) -> None:
    clone.python(check=1)
    assert clone.set_up()[0] == 1
    assert clone.installs == 0
    assert not (clone.root / ".venv" / "requirements.sha256").exists()


def test_old_python_is_refused(clone: Clone) -> None:
    clone.python(old=1)
    status, said = clone.set_up()
    assert status == 1
    assert "3.11 or newer" in said


def test_missing_venv_is_named_with_its_package(clone: Clone) -> None:
    clone.python(ensurepip=1)
    status, said = clone.set_up()
    assert status == 1
    assert "python3-venv" in said


def test_broken_environment_is_made_anew(clone: Clone) -> None:
    (clone.root / ".venv" / "bin").mkdir(parents=True)
    (clone.root / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    status, said = clone.set_up()
    assert status == 0
    assert "replacing a broken" in said
