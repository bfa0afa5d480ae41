"""Second-order degradation with other numbers, under the names that Real-ESRGAN's options have.

A value is written `name=number` or `name=low,high`; names of the second round end in 2. What is
left out keeps the challenge's number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from data.errors import DataError
from data.second_order import SecondOrder, Stage

KERNELS = {
    "iso": ("gaussian", True),
    "aniso": ("gaussian", False),
    "generalized_iso": ("generalized", True),
    "generalized_aniso": ("generalized", False),
    "plateau_iso": ("plateau", True),
    "plateau_aniso": ("plateau", False),
}
STAGE_FIELDS = {
    "resize_prob": ("resize_probability", 3),
    "resize_range": ("resize_range", 2),
    "gaussian_noise_prob": ("gaussian_probability", 1),
    "noise_range": ("sigma", 2),
    "poisson_scale_range": ("poisson_scale", 2),
    "gray_noise_prob": ("grey_probability", 1),
    "jpeg_range": ("quality", 2),
}
"""Name to (field of `Stage`, how many numbers)."""
BLUR_FIELDS = {"blur_sigma": ("sigma", 2), "sinc_prob": ("sinc_probability", 1)}
BETAS = {"betag_range": "generalized", "betap_range": "plateau"}
WHOLE = {"jpeg_range"}
FIRST_NAMES = (*STAGE_FIELDS, *BLUR_FIELDS, *BETAS, "kernel_list", "kernel_prob")
NAMES = (*FIRST_NAMES, *(f"{n}2" for n in FIRST_NAMES), "second_blur_prob", "final_sinc_prob")


def parse_values(terms: Sequence[str]) -> SecondOrder:
    """The second-order degradation with the numbers of `terms`.

    Raises `DataError` for an unknown or doubled name, or numbers that cannot be meant.
    """
    values: dict[str, list[str]] = {}
    for term in terms:
        name, _, text = term.partition("=")
        if name not in NAMES or name in values:
            raise DataError(f"--degradation-values {term}: name each of {', '.join(NAMES)} once")
        values[name] = [part.strip() for part in text.split(",")]
    whole = SecondOrder()
    second = _stage(whole.second, values, "2")
    if "second_blur_prob" in values:
        second = replace(second, blur_probability=_one(values, "second_blur_prob"))
    final = whole.final_sinc_probability
    if "final_sinc_prob" in values:
        final = _one(values, "final_sinc_prob")
    first = _stage(whole.first, values, "")
    return SecondOrder(first=first, second=second, final_sinc_probability=final)


def _stage(stage: Stage, values: Mapping[str, list[str]], ending: str) -> Stage:
    changes: dict[str, Any] = {}
    for name, (field, count) in STAGE_FIELDS.items():
        if name + ending in values:
            kind: Callable[[str], float] = int if name in WHOLE else float
            changes[field] = _numbers(values, name + ending, count, kind)
    blur: dict[str, Any] = {}
    for name, (field, count) in BLUR_FIELDS.items():
        if name + ending in values:
            blur[field] = _numbers(values, name + ending, count)
    beta: dict[str, Any] = dict(stage.blur.beta)
    for name, family in BETAS.items():
        if name + ending in values:
            beta[family] = _numbers(values, name + ending, 2)
    shapes = _shapes(values, ending)
    if shapes:
        blur["shapes"] = shapes
    return replace(stage, blur=replace(stage.blur, beta=tuple(beta.items()), **blur), **changes)


def _shapes(
    values: Mapping[str, list[str]], ending: str
) -> tuple[tuple[str, bool, float], ...] | None:
    """The kinds of kernels and their probabilities; both lists must be given."""
    kinds, chances = values.get(f"kernel_list{ending}"), values.get(f"kernel_prob{ending}")
    if kinds is None and chances is None:
        return None
    if kinds is None or chances is None or len(kinds) != len(chances):
        raise DataError(f"kernel_list{ending} and kernel_prob{ending}: give both, of one length")
    unknown = sorted(set(kinds) - set(KERNELS))
    if unknown:
        raise DataError(f"kernel_list{ending}: {unknown[0]!r} is not one of {', '.join(KERNELS)}")
    weights = _numbers(values, f"kernel_prob{ending}", len(chances))
    shares = [weights] if isinstance(weights, float) else list(weights)
    _sum_to_one(f"kernel_prob{ending}", shares)
    total = sum(shares)
    return tuple((*KERNELS[kind], share / total) for kind, share in zip(kinds, shares, strict=True))


def _one(values: Mapping[str, list[str]], name: str) -> float:
    number = _numbers(values, name, 1)
    assert isinstance(number, float)
    return number


def _numbers(
    values: Mapping[str, list[str]], name: str, count: int, kind: Callable[[str], float] = float
) -> float | tuple[float, ...]:
    """One number, or a tuple of `count`; probabilities lie in 0..1, ranges rise."""
    texts = values[name]
    try:
        numbers = tuple(kind(text) for text in texts)
    except ValueError as error:
        raise DataError(f"{name}={','.join(texts)}: not numbers") from error
    if len(numbers) != count:
        raise DataError(f"{name}={','.join(texts)}: {count} numbers are needed")
    if "prob" in name and not all(0.0 <= number <= 1.0 for number in numbers):
        raise DataError(f"{name}={','.join(texts)}: probabilities lie between 0 and 1")
    if "prob" not in name and (min(numbers) < 0 or list(numbers) != sorted(numbers)):
        raise DataError(f"{name}={','.join(texts)}: a range rises and is not negative")
    if name.startswith("resize_prob"):
        _sum_to_one(name, numbers)
    return numbers[0] if count == 1 else numbers


def _sum_to_one(name: str, numbers: Sequence[float]) -> None:
    if abs(sum(numbers) - 1.0) > 1e-3:
        raise DataError(f"{name}: the probabilities sum to {sum(numbers):g}, not to 1")
