"""What scripts/check_system.py says of missing libraries and of builds that do not match."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check_system


@pytest.mark.parametrize(
    ("message", "library", "package"),
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            "libGL.so.1",
            "libgl1",
        ),
        (
            "ImportError: libgthread-2.0.so.0: cannot open shared object file: No such file",
            "libgthread-2.0.so.0",
            "libglib2.0-0",
        ),
    ],
)
def test_missing_library_is_named_with_its_package(
    message: str, library: str, package: str
) -> None:
    assert check_system.missing_libraries(message, []) == [library]
    assert check_system.package_of(library) == package


def test_import_trouble_names_library_and_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "needs_gl.py").write_text(f"raise ImportError({text!r})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = check_system.import_trouble("needs_gl")
    assert told is not None
    assert "needs_gl" in told
    assert "apt-get install -y libgl1" in told


def test_unknown_library_is_still_named() -> None:
    assert "libodd.so.3" in check_system.package_of("libodd.so.3")


def test_installed_libraries_load() -> None:
    assert check_system.import_trouble("cv2") is None


@pytest.mark.parametrize(
    ("torch_build", "vision_build", "wrong"),
    [
        (None, None, False),
        ("cpu", "cpu", False),
        ("cu130", "cu130", False),
        ("ordinary", "ordinary", False),
        ("ordinary", None, False),
        ("cpu", None, True),
        ("cpu", "cu130", True),
        ("cu130", "cpu", True),
    ],
)
def test_builds_must_match(torch_build: str | None, vision_build: str | None, wrong: bool) -> None:
    told = check_system.build_trouble(torch_build, vision_build)
    assert (told is not None) is wrong
    if told is not None:
        assert ".venv" in told


def test_build_is_read_from_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "fake_torch"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "version.py").write_text("__version__ = '2.11.0+cpu'\ncuda = None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert check_system.build_of("fake_torch") == "cpu"
    assert check_system.build_of("no_such_module_here") is None
