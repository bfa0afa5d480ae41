"""A measured number, what it is held against, and whether it passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Check:
    """One measured number and what it is held against."""

    name: str
    value: float
    partner: float | None
    """The same number of the trivial solution: template, mean shape, mean code; None: no such."""
    bar: str
    passed: bool


def at_least(name: str, value: float, bar: float, partner: float | None = None) -> Check:
    """A number that must reach `bar`."""
    return _check(name, value, partner, f">= {bar:g}", value >= bar)


def at_most(name: str, value: float, bar: float, partner: float | None = None) -> Check:
    """A number that must stay at or below `bar`."""
    return _check(name, value, partner, f"<= {bar:g}", value <= bar)


def between(
    name: str, value: float, low: float, high: float, partner: float | None = None
) -> Check:
    """A number that must lie from `low` to `high`."""
    return _check(name, value, partner, f"{low:g} to {high:g}", low <= value <= high)


def ahead(name: str, value: float, partner: float, margin: float) -> Check:
    """A number that must beat its trivial rival by `margin`."""
    return _check(name, value, partner, f">= trivial + {margin:g}", value >= partner + margin)


def _check(name: str, value: float, partner: float | None, bar: str, passed: bool) -> Check:
    known = None if partner is None else float(partner)
    return Check(name=name, value=float(value), partner=known, bar=bar, passed=bool(passed))


def table(checks: Sequence[Check]) -> str:
    """The checks as text, one line each."""
    lines = [f"{'check':<56}{'value':>9}{'trivial':>9}  {'bar':<18}"]
    for check in checks:
        partner = "" if check.partner is None else f"{check.partner:.3f}"
        told = "" if check.passed else "FAILED"
        line = f"{check.name:<56}{check.value:>9.3f}{partner:>9}  {check.bar:<18}{told}"
        lines.append(line.rstrip())
    return "\n".join(lines)
