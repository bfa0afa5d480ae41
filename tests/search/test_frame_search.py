"""The search over the frame: derivation, sampling, and what noise comes to."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.network import FaceSR
from models.operations import OPERATIONS
from models.size import fit_width, meta_count
from models.space import FRAME, Decision, FrameSpace, Space
from models.zoo import build
from search.agreement import GradientSignal
from search.config import SearchConfig, space_of
from search.derive import DeriveError, derive, log_probability, size_of
from search.logits import Logits
from search.relaxations import Relaxation, gumbel, softmax
from search.settle import STANDARD_ERRORS, by_cost, operation_macs, settled, undecided
from tests.search.test_derive import FUSED, PLAIN, every_genotype, some_probabilities
from train.flags import filled

FRAMED = FrameSpace(
    sr=("none", "trellis"),
    join=("1", "2"),
    tail=("shuffle", "resize"),
    skip=("bilinear", "bicubic"),
    passes=("1", "2"),
)
RICH_PLAIN = replace(PLAIN, frame=replace(FRAMED, skip=("bilinear",))).restrict(
    {"sr/layer0/level0/exit": "up", "sr/cell/node0/s0/op": "conv3", "sr/cell/node0/s1/op": "skip"}
)
RICH_FUSED = replace(FUSED, frame=FRAMED)


def _few(space: Space) -> Space:
    """So few genotypes that all of them can be walked through."""
    sr = {"sr/cell/node0/s0/op": "conv5", "sr/layer0/level0/exit": "same"}
    heat = {"heat/cell/node0/s1/op": "skip", "heat/layer0/depth0/exit": "same"}
    fusion = {"fusion/cell/node0/s0/op": "skip", "fusion/cell/node0/s1/op": "skip"}
    space = space.restrict(sr | heat | fusion | {"fusion/layer0/depth0/exit": "same"})
    return space.restrict({"skip/kind": "bicubic", "heat/layer1/depth0/exit": "down"})


@pytest.mark.parametrize("space", [RICH_PLAIN, _few(RICH_FUSED)], ids=["plain", "fused"])
def test_derive_equals_brute_force_under_any_cap(space: Space) -> None:
    genotypes = list(every_genotype(space))
    sizes = np.array([size_of(space, g) for g in genotypes])
    for choices, size in list(zip(genotypes, sizes, strict=True))[::50]:
        assert size == meta_count(space.restrict(choices)).total
    uses = np.array([g["sr/use"] == "trellis" for g in genotypes])
    for seed in range(2):
        probabilities = some_probabilities(space, seed)
        scores = np.array([log_probability(space, probabilities, g) for g in genotypes])
        likelier = probabilities["sr/use"][1] > probabilities["sr/use"][0]
        for cap in np.quantile(sizes, [0, 0.1, 0.5, 1]).astype(int):
            found = derive(space, probabilities, int(cap))
            fits = sizes <= cap
            # with or without an SR trellis is decided first, by its own probability
            use = likelier if (fits & (uses == likelier)).any() else not likelier
            assert (found["sr/use"] == "trellis") == use
            best = scores[fits & (uses == use)].max()
            assert log_probability(space, probabilities, found) == pytest.approx(best, abs=1e-9)
            assert size_of(space, found) <= cap
    with pytest.raises(DeriveError):
        derive(space, some_probabilities(space, 0), int(sizes.min()) - 1)


def test_a_sample_without_sr_trellis_computes_none_of_it() -> None:
    space = RICH_FUSED
    logits = Logits(space, seed=0)
    seen = set()
    for seed in range(12):
        weights = gumbel(space, logits, np.random.default_rng(seed), 1.0)
        (use,) = weights.active["sr/use"]
        seen.add(use)
        drawn = [n for n, kept in weights.active.items() if n.startswith("sr/") and kept]
        assert (drawn == ["sr/use"]) == (space.framed("sr/use")[use] == "none")
        assert all(len(weights.active[n]) == 1 for n in FRAME if n in weights.active)
    assert seen == {0, 1}


@pytest.mark.parametrize("relaxation", [softmax, gumbel])
def test_every_decision_of_the_frame_gets_a_gradient(relaxation: Relaxation) -> None:
    space = RICH_FUSED
    logits = Logits(space, seed=0)
    net = FaceSR(space)
    for conv in (*net.direct.from_fusion.convs.values(), net.feedback):
        torch.nn.init.normal_(
            conv.get_parameter("weight")
        )  # they start at zero: passes would be equal
    lq, maps = torch.rand(1, 3, 16, 16), {"heat": torch.rand(1, 26, 16, 16)}
    for seed in range(6):
        weights = relaxation(space, logits, np.random.default_rng(seed), 1.0)
        torch.stack([image.square().mean() for image in net(lq, maps, weights)]).sum().backward()
    for name in ("sr/use", "join/after", "tail/kind", "skip/kind", "passes"):
        gradient = logits.vectors[name].grad
        assert gradient is not None, name
        assert bool(gradient.abs().sum() > 0), name


def test_undecided_is_what_no_gradient_asked_for() -> None:
    space = PLAIN
    agreement = {d.name: [0.5] * len(d.options) for d in space.decisions()}
    asked = "sr/cell/node0/s0/op"
    agreement[asked] = [STANDARD_ERRORS, -STANDARD_ERRORS]
    assert asked not in {d.name for d in undecided(space, agreement)}
    probabilities = some_probabilities(space, 1)
    after = settled(space, probabilities, agreement)
    assert after[asked] == probabilities[asked]
    names = {d.name for d in undecided(space, agreement)}
    for decision in space.decisions():
        assert math.isclose(sum(after[decision.name]), 1.0)
        if decision.name in names:
            best = decision.options[int(np.argmax(after[decision.name]))]
            assert best == by_cost(decision)[0]


def test_a_search_of_noise_finds_the_plain_stack() -> None:
    """With the logits anywhere: what was not shown to help is not paid for."""
    space = space_of(filled(SearchConfig(priors=()), "lab"))
    chances = settled(space, some_probabilities(space, 0), {})
    found = fit_width(space.restrict(derive(space, chances)))
    torch.manual_seed(0)
    ours = FaceSR(found).eval()
    torch.manual_seed(0)
    plain = build("rdb-plain-full").eval()
    lq = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(ours(lq)[0], plain(lq))


def test_operations_and_exits_are_ordered_by_what_they_compute() -> None:
    order = by_cost(Decision("sr/cell/node0/s0/op", tuple(OPERATIONS)))
    macs = [operation_macs(name) for name in order]
    assert order[0] == "skip"
    assert macs == sorted(macs)
    assert by_cost(Decision("heat/layer0/depth1/exit", ("same", "up", "down")))[0] == "down"


def test_t_of_every_logit_is_mean_over_standard_error() -> None:
    rows = torch.randn(20, 5, generator=torch.Generator().manual_seed(0)).double()
    signal = GradientSignal([2, 3])
    for row in rows:
        signal.add([row[:2], row[2:]])
    expected = rows.mean(0) / (rows.std(0) / math.sqrt(20))
    torch.testing.assert_close(
        torch.cat([torch.tensor(part).double() for part in signal.each()]), expected
    )
    assert [len(part) for part in GradientSignal([2, 3]).each()] == [2, 3]
