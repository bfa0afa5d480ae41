"""The shape of the repository: who imports whom, short files, no paths of one machine."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT: dict[str, frozenset[str]] = {
    "data": frozenset(),
    "models": frozenset(),
    "evaluation": frozenset(),
    "priors": frozenset({"models", "data"}),
    "train": frozenset({"models", "data", "priors", "evaluation"}),
    "search": frozenset({"models", "data", "priors", "train", "evaluation"}),
    "evaluation/runs": frozenset({"models", "data", "train", "evaluation"}),
}
"""The folders that each folder's library may import, beside itself."""
UPPERMOST = "evaluation.runs"
"""Imported by entry scripts alone: it knows runs, and what is below it must not."""
OURS = frozenset(name for name in MAY_IMPORT if "/" not in name) | {"scripts", "tests"}
LONGEST_FILE = 320
MACHINE_PATHS = re.compile(r"(?<![\w.$}])/(?:home|Users|root|work|mnt|media|scratch|workspace)/\w")
SKIPPED = {".git", ".venv", "runs", "__pycache__"}


def python_files(folder: str) -> list[Path]:
    """Return the Python files below a folder of the repository, sorted."""
    return sorted((ROOT / folder).rglob("*.py"))


LIBRARY = [file for folder in sorted(OURS & set(MAY_IMPORT)) for file in python_files(folder)]
EVERYTHING = LIBRARY + python_files("scripts") + python_files("tests")


def is_entry(file: Path) -> bool:
    """Return whether a file is an entry script: it does something when it is run."""
    if file.is_relative_to(ROOT / "tests"):
        return False
    if file.is_relative_to(ROOT / "scripts"):
        return file.name != "__init__.py"
    return any(_asks_for_main(node) for node in ast.parse(file.read_text()).body)


def _asks_for_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)


def module_name(file: Path) -> str:
    """Return the dotted name under which a file of the repository is imported."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(text: str, own_name: str = "") -> Iterator[str]:
    """Yield each dotted module name that a file imports, at any depth, relative ones resolved.

    `from a.b import c` yields both `a.b` and `a.b.c`, since c may be a module.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = own_name.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def relative(file: Path) -> str:
    """Return a file's path in the repository, for test names and messages."""
    return file.relative_to(ROOT).as_posix()


def test_imported_sees_every_kind_of_import() -> None:
    text = "import a.b\ndef f():\n    from c import d\nfrom . import e\nfrom ..g import h\n"
    assert set(imported(text, "models.zoo.x")) == {
        *("a.b", "c", "c.d"),
        *("models.zoo", "models.zoo.e", "models.g", "models.g.h"),
    }


@pytest.mark.parametrize("file", [f for f in LIBRARY if not is_entry(f)], ids=relative)
def test_folder_imports_only_what_it_may(file: Path) -> None:
    parent = relative(file.parent)
    folder = parent if parent in MAY_IMPORT else parent.split("/")[0]
    named = {name.split(".")[0] for name in imported(file.read_text(), module_name(file))}
    wrong = (named & OURS) - MAY_IMPORT[folder] - {folder}
    assert not wrong, f"{relative(file)}: {folder}/ may not import {', '.join(sorted(wrong))}"


@pytest.mark.parametrize("file", [f for f in LIBRARY if not is_entry(f)], ids=relative)
def test_only_entries_import_what_knows_runs(file: Path) -> None:
    if relative(file.parent) == UPPERMOST.replace(".", "/"):
        return
    names = imported(file.read_text(), module_name(file))
    assert not [name for name in names if name.startswith(UPPERMOST)]


def test_nothing_imports_an_entry_script() -> None:
    entries = {module_name(file) for file in LIBRARY if is_entry(file)}
    entries |= {module_name(file) for file in python_files("scripts") if is_entry(file)}
    wrong = {
        f"{relative(file)} imports {name}"
        for file in [*LIBRARY, *python_files("scripts")]
        for name in imported(file.read_text(), module_name(file))
        if name in entries
    }
    assert not wrong


def test_files_are_short() -> None:
    lengths = {relative(file): len(file.read_text().splitlines()) for file in EVERYTHING}
    assert not {name: n for name, n in lengths.items() if n > LONGEST_FILE}


def test_no_path_of_one_machine() -> None:
    texts = [
        file
        for pattern in ("*.py", "*.sh", "*.md", "*.toml", "*.txt", "*.yaml", "*.json", ".ci/run")
        for file in ROOT.rglob(pattern)
        if file.is_file() and not SKIPPED & set(file.relative_to(ROOT).parts)
    ]
    assert len(texts) > len(EVERYTHING)
    wrong = {
        f"{relative(file)}: {found.group(0)}"
        for file in texts
        for found in [MACHINE_PATHS.search(file.read_text())]
        if found
    }
    assert not wrong


@pytest.mark.parametrize("file", [f for f in LIBRARY if is_entry(f)], ids=relative)
def test_entry_replaces_its_own_folder_on_the_path(file: Path) -> None:
    text = file.read_text()
    assert "sys.path[0] = str(Path(__file__).resolve().parents[1])" in text
