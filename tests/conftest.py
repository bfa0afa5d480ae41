"""Fixtures shared by all tests: real faces, few threads, a private folder for runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

THREADS = 2


@pytest.fixture(scope="session", autouse=True)
def few_threads() -> None:
    """Keep torch to at most two threads, so that times and sums do not depend on the machine."""
    torch.set_num_threads(min(THREADS, os.cpu_count() or 1))


@pytest.fixture(scope="session")
def faces_root() -> Path:
    """Return the folder of real faces (train/, val/GT/, val/LQ/), or skip the test and say why."""
    named = os.environ.get("FACES")
    if not named:
        pytest.skip("no real faces: the environment variable FACES is not set")
    root = Path(named).expanduser().resolve()
    if not root.is_dir():
        pytest.fail(f"FACES names {named}, which is not a folder")
    return root


@pytest.fixture
def run_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working directory, so that runs/ and found.json of a test stay in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
