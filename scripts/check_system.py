"""Check that the installed libraries can be loaded, and name what is missing with its fix.

Standard library only: it runs when nothing else works. With --before-install it only looks for
a torch and a torchvision of different builds in the environment.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

MODULES = ("numpy", "cv2", "torch", "torchvision", "scipy", "matplotlib", "safetensors")

PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libxcb.so.1": "libxcb1",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libz.so.1": "zlib1g",
}
"""Debian's and Ubuntu's package of each shared library that the wheels expect of the system."""


def package_of(library: str) -> str:
    """Return the Debian package that holds a shared library, or a hint where it is unknown."""
    return PACKAGES.get(library, f"the package with {library} (apt-file search {library})")


def missing_libraries(message: str, files: Iterable[Path]) -> list[str]:
    """Return the shared libraries that a failed import lacks, the named one first.

    `message` is the text of the ImportError, which names only the first; `ldd` on the module's
    own `files`, where there is such a command, names the rest.
    """
    found = re.findall(r"(\S+\.so[.\d]*): cannot open shared object file", message)
    if shutil.which("ldd"):
        for file in files:
            told = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False)
            found += re.findall(r"(\S+) => not found", told.stdout)
    return list(dict.fromkeys(found))


def library_files(module: str) -> list[Path]:
    """Return the compiled files at the top of an installed module (empty where there are none)."""
    spec = importlib.util.find_spec(module)
    places = (spec.submodule_search_locations if spec else None) or []
    return sorted(file for place in places for file in Path(place).glob("*.so"))


def build_of(module: str) -> str | None:
    """Return an installed module's build, such as "cpu" or "cu130", without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return None
    version = Path(spec.origin).parent / "version.py"
    text = version.read_text() if version.is_file() else ""
    stated = re.search(r"^__version__\s*(?::[^=]+)?=\s*['\"]([^'\"]+)", text, re.MULTILINE)
    return stated.group(1).partition("+")[2] or "ordinary" if stated else None


def build_trouble(torch_build: str | None, vision_build: str | None) -> str | None:
    """Return what is wrong with the installed pair of torch and torchvision, or None.

    A CPU-only torch meets every version pin, so that pip keeps it and adds the ordinary
    torchvision, whose operators then cannot be loaded.
    """
    remedy = "remove .venv and run the same command again"
    if torch_build == "cpu" and vision_build is None:
        return (
            "a CPU-only torch is in .venv without its torchvision: install torchvision of the "
            f"same CPU build into .venv, or {remedy}"
        )
    if torch_build and vision_build and torch_build != vision_build:
        return (
            f"torch is the {torch_build} build and torchvision the {vision_build} build, "
            f"which do not work together: {remedy}"
        )
    return None


def import_trouble(module: str) -> str | None:
    """Return why a module cannot be imported, with the fix, or None where it can."""
    try:
        importlib.import_module(module)
    except Exception as error:
        lacking = missing_libraries(str(error), library_files(module))
        if not lacking:
            return f"{module} cannot be imported: {type(error).__name__}: {error}"
        packages = " ".join(dict.fromkeys(package_of(library) for library in lacking))
        return (
            f"{module} needs system libraries that are missing: {', '.join(lacking)}\n"
            f"  Debian, Ubuntu: apt-get install -y {packages}"
        )
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print each trouble found to stderr and return 1, or return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--before-install", action="store_true", help="look only for builds that do not match"
    )
    options = parser.parse_args(arguments)
    troubles = [build_trouble(build_of("torch"), build_of("torchvision"))]
    if not options.before_install:
        troubles += [import_trouble(module) for module in MODULES]
    told = [trouble for trouble in troubles if trouble]
    for trouble in told:
        print(f"check_system: {trouble}", file=sys.stderr)
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
