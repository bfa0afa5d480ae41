"""What is raised when a folder of faces cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class DataError(ValueError):
    """Faces that cannot be used; the message names every bad file, its reason and the fix."""


Problem = tuple[Path | str, str]
"""A file (or face name) and the reason why it cannot be used."""


def listing(summary: str, problems: Sequence[Problem], fix: str) -> DataError:
    """Return one `DataError` whose message lists all `problems`, one per line, then the `fix`."""
    lines = [summary, *(f"  {where}: {reason}" for where, reason in problems), fix]
    return DataError("\n".join(lines))
