"""found.json: a genotype with the space it belongs to and where it came from. No torch here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.files import write_whole
from models.space import Space, SpaceError

FORMAT = "facesr-genotype"
VERSION = 2
READABLE = (1, 2)
"""Version 1 knew neither the frame of a space nor its extra dense blocks."""
MAX_BYTES = 1 << 20
KEYS = ("format", "version", "space", "genotype", "counts", "priors", "provenance")
COUNTS = ("parameters", "learned_buffers", "total")


class GenotypeError(ValueError):
    """A genotype file that cannot be used; the message names the file and the wrong key."""


@dataclass(frozen=True, kw_only=True)
class Genotype:
    """A space with one option per decision, and how it was found.

    counts: `parameters`, `learned_buffers` and their `total` as built.
    priors: prior name -> fingerprint of its fitted file ("" where none was fitted).
    provenance: data fingerprint, seed, strategy, commit, preset: whatever the search noted.
    """

    space: Space
    counts: Mapping[str, int]
    priors: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.space.is_genotype:
            raise GenotypeError("several options are still open: derive a genotype first")

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "space": self.space.to_dict(),
            "genotype": self.space.choices(),
            "counts": dict(self.counts),
            "priors": dict(self.priors),
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, data: Any) -> Genotype:
        """Inverse of `to_json`; every key is checked. Raises GenotypeError."""
        _check_keys(data)
        try:
            space = Space.from_dict(data["space"])
            restricted = space.restrict(_strings(data["genotype"], "genotype"))
        except SpaceError as error:
            raise GenotypeError(str(error)) from None
        names = {d.name for d in restricted.decisions()}
        if missing := sorted(names - set(data["genotype"])):
            raise GenotypeError(f"genotype: no choice for {missing[0]!r}")
        if extra := sorted(set(data["genotype"]) - names):
            raise GenotypeError(f"genotype: {extra[0]!r} is not reached by the other choices")
        priors = _strings(data["priors"], "priors")
        if set(priors) != set(restricted.priors):
            raise GenotypeError(f"priors: {sorted(priors)}, but the space has {restricted.priors}")
        counts = data["counts"]
        if not isinstance(counts, dict) or set(counts) != set(COUNTS):
            raise GenotypeError(f"counts must hold exactly {COUNTS}")
        if bad := [k for k, v in counts.items() if type(v) is not int or v < 0]:
            raise GenotypeError(f"counts.{bad[0]} must be a whole number, not {counts[bad[0]]!r}")
        if not isinstance(data["provenance"], dict):
            raise GenotypeError("provenance must be an object")
        return cls(space=restricted, counts=counts, priors=priors, provenance=data["provenance"])


def _check_keys(data: Any) -> None:
    if not isinstance(data, dict):
        raise GenotypeError(f"expected a JSON object, found {type(data).__name__}")
    if data.get("format") != FORMAT:
        raise GenotypeError(f"format is {data.get('format')!r}, expected {FORMAT!r}")
    version = data.get("version")
    if type(version) is not int or version not in READABLE:
        raise GenotypeError(f"version {version!r} cannot be read, expected one of {READABLE}")
    for problem, keys in (("unknown", set(data) - set(KEYS)), ("missing", set(KEYS) - set(data))):
        if keys:
            raise GenotypeError(f"{problem} key {sorted(keys)[0]!r}")


def _strings(data: Any, where: str) -> dict[str, str]:
    if not isinstance(data, dict):
        raise GenotypeError(f"{where} must be an object, not {type(data).__name__}")
    if bad := [k for k, v in data.items() if not isinstance(v, str)]:
        raise GenotypeError(f"{where}.{bad[0]} must be a string, not {data[bad[0]]!r}")
    return dict(data)


def save_genotype(path: Path, genotype: Genotype) -> None:
    """Write found.json whole or not at all."""
    text = json.dumps(genotype.to_json(), indent=1) + "\n"
    write_whole(path, lambda part: Path(part).write_text(text, encoding="utf-8"))


def load_genotype(path: Path) -> Genotype:
    """Read and validate found.json. Raises GenotypeError naming the file and the wrong key."""
    path = Path(path)
    if not path.is_file():
        raise GenotypeError(f"{path}: no such file (python search/run_search.py writes found.json)")
    if path.stat().st_size > MAX_BYTES:
        raise GenotypeError(f"{path}: larger than {MAX_BYTES} bytes, not a genotype")
    try:
        return Genotype.from_json(json.loads(path.read_bytes()))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise GenotypeError(f"{path}: not JSON ({error})") from None
    except GenotypeError as error:
        raise GenotypeError(f"{path}: {error}") from None
