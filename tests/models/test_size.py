"""One counter: the meta build equals the real one, learned buffers count, the cap is strict."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from torch import nn

from models.network import FaceSR
from models.size import CapError, check_cap, count, fit_width, meta_count, module_table
from models.space import CAP, Space
from search.sample import random_genotype
from tests.models.helpers import SMALL, published_choices


@pytest.mark.parametrize("seed", range(3))
def test_meta_count_equals_real_build(seed: int) -> None:
    genotype = random_genotype(SMALL, random.Random(seed))
    net = FaceSR(genotype)
    assert meta_count(genotype) == count(net)
    assert count(net).parameters == sum(p.numel() for p in net.parameters())
    assert sum(n for _, n in module_table(net)) == count(net).total


def test_frozen_parameters_and_learned_buffers_count() -> None:
    net = FaceSR(random_genotype(SMALL, random.Random(0)))
    before = count(net)
    net.requires_grad_(False)
    assert count(net) == before
    assert before.learned_buffers >= 512 * 8


class _Sized(nn.Module):
    def __init__(self, parameters: int, buffer: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(parameters, device="meta"))
        self.learned_buffers = ("code",)
        self.register_buffer("code", torch.zeros(buffer, device="meta"))


@pytest.mark.parametrize("buffer", [0, 1000])
def test_the_cap_is_strict(buffer: int) -> None:
    assert check_cap(_Sized(CAP - buffer, buffer)).total == CAP
    for over in (1, 2):
        with pytest.raises(CapError, match="cap"):
            check_cap(_Sized(CAP - buffer + over, buffer))


def test_the_cap_may_only_be_lowered() -> None:
    with pytest.raises(CapError, match="only lower"):
        check_cap(_Sized(1, 0), cap=CAP + 1)
    with pytest.raises(CapError, match="total"):
        check_cap(_Sized(101, 0), cap=100)


def test_fit_width_spends_what_is_left() -> None:
    space = Space().restrict(published_choices()).with_priors(("heat",))
    wide = fit_width(space)
    assert meta_count(wide).total <= CAP
    assert wide.width.growth > space.width.growth or wide.width.channels > space.width.channels
    one_more = replace(wide, width=replace(wide.width, growth=wide.width.growth + 1))
    assert meta_count(one_more).total > CAP
    assert wide.choices() == space.choices()


def test_fit_width_refuses_what_is_already_over() -> None:
    with pytest.raises(CapError):
        fit_width(Space().restrict(published_choices()), cap=1_000_000)
