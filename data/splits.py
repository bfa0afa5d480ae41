"""Splits of the faces by a hash of the name: stable when faces are added or reordered."""

from __future__ import annotations

import hashlib


def _hash(name: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}/{name}".encode()).digest()[:8], "big")


def half(name: str) -> int:
    """Return 0 or 1: the half of the training faces (weights or logits) that `name` belongs to."""
    return _hash(name, "half") & 1


def rank(name: str) -> float:
    """Return the place of `name` in [0,1) that decides whether it is held out."""
    return _hash(name, "validation") / 2**64


def is_validation(name: str, share: float = 0.05) -> bool:
    """Return whether `name` is held out for validation; true for about `share` of all names."""
    return rank(name) < share
