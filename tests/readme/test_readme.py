"""The README's own commands, run in a copy of the repository.

```bash blocks are run as they stand, in order. ```sh blocks are long or need real faces: each of
their commands is run with --dry-run added, in the same copy, after the ```bash blocks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.readme.fenced import Block, blocks

pytestmark = pytest.mark.readme

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SELF_TEST = "bash scripts/test.sh"
"""Runs all tests; the copy only collects them (after ruff and mypy), or they would nest."""
CAP = 2_276_355
IGNORED = shutil.ignore_patterns(".git", ".venv", "runs", "found.json", "__pycache__", ".*_cache")


def copy_repository(target: Path) -> None:
    """Copy the tracked files (all files, where this is no git checkout) to a new folder.

    Only what git tracks is copied, so that a file that was never added is missed here and not by
    the first stranger. The environment is shared by a link: the set-up finds it made.
    """
    git = ["git", "-C", str(ROOT), "ls-files", "-z"]
    told = subprocess.run(git, capture_output=True, text=True, check=False)
    if told.returncode == 0:
        for name in filter(None, told.stdout.split("\0")):
            if (ROOT / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target / name)
    else:
        shutil.copytree(ROOT, target, ignore=IGNORED, dirs_exist_ok=True)
    if (ROOT / ".venv").is_dir():
        (target / ".venv").symlink_to((ROOT / ".venv").resolve(), target_is_directory=True)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the repository, shared by this file's tests, which run in order."""
    target = tmp_path_factory.mktemp("clone")
    copy_repository(target)
    return target


def run_in(folder: Path, script: str, seconds: int) -> str:
    """Run a bash script in a folder as a new shell would and return its output."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "PYTHONPATH") and not name.startswith("PYTEST")
    }
    told = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert told.returncode == 0, f"{script}\nexit status {told.returncode}\n{told.stdout[-6000:]}"
    return told.stdout


def first_line(block: Block) -> str:
    """Return a block's last command, as the name of its test."""
    return block.commands[-1]


@pytest.mark.parametrize("block", blocks(README, "bash"), ids=first_line)
def test_commands_run_as_typed(block: Block, copy: Path) -> None:
    script = block.text
    if script.strip() == SELF_TEST:
        script = f"{SELF_TEST} --collect-only --quiet"
    run_in(copy, script, 1200)


def test_the_runs_left_their_files(copy: Path) -> None:
    found = json.loads((copy / "found.json").read_text())
    assert found["space"]
    written = [json.loads(file.read_text()) for file in sorted(copy.glob("runs/**/results.json"))]
    results = [result for result in written if "psnr" in result]
    assert len(results) >= 2, "quickstart and evaluate.py each leave a results.json"
    for result in results:
        assert result["parameters"] <= CAP
        assert result["psnr"] >= result["bicubic_psnr"] + 1.0
    assert list(copy.glob("runs/**/*.png"))


@pytest.mark.parametrize(
    "command", [line for block in blocks(README, "sh") for line in block.commands]
)
def test_long_commands_start(command: str, copy: Path) -> None:
    if "$FACES" in command and not os.environ.get("FACES"):
        pytest.skip("no real faces: the environment variable FACES is not set")
    output = run_in(copy, f"source .venv/bin/activate\n{command} --dry-run", 600)
    assert "parameters" in output.lower()
