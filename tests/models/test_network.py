"""One wiring: the supernet with one-hot weights is the derived network."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from models.mixing import MixWeights
from models.network import FaceSR
from models.operations import OPERATIONS, build_operation
from models.size import meta_count
from models.space import OPERATION_SETS, CellSpace, Space, SpaceError, Trellis
from search.sample import random_genotype
from tests.models.helpers import SMALL, TINY, published_choices


def _lq(scale: int = 4, batch: int = 1) -> torch.Tensor:
    side = {1: 32, 2: 16, 4: 16, 8: 8}[scale]
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("priors", [(), ("heat",), ("parse", "heat", "dict")])
def test_one_hot_supernet_equals_derived_network(seed: int, priors: tuple[str, ...]) -> None:
    space = SMALL.with_priors(priors)
    genotype = random_genotype(space, random.Random(seed))
    torch.manual_seed(seed)
    supernet, derived = FaceSR(space).eval(), FaceSR(genotype).eval()
    tensors = supernet.state_dict()
    derived.load_state_dict({name: tensors[name] for name in derived.state_dict()})
    weights = MixWeights.one_hot(space, genotype.choices())
    with torch.no_grad():
        from_supernet, from_derived = supernet(_lq(), weights=weights), derived(_lq())
    assert len(from_derived) == genotype.passes
    for a, b in zip(from_supernet, from_derived, strict=True):
        assert torch.equal(a, b)


def test_a_supernet_without_weights_says_so() -> None:
    with pytest.raises(SpaceError, match="open options"):
        FaceSR(SMALL.with_priors(()))(_lq())


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_every_scale_restores_to_its_size(scale: int) -> None:
    space = replace(SMALL, scale=scale)
    net = FaceSR(random_genotype(space, random.Random(scale)))
    lq = _lq(scale, batch=2)
    out = net(lq)
    assert [tuple(o.shape) for o in out] == [(2, 3, lq.shape[2] * scale, lq.shape[3] * scale)] * 2


@pytest.mark.parametrize("scale", [1, 8])
def test_every_end_of_the_fusion_trellis_returns_to_the_base_grid(scale: int) -> None:
    space = replace(SMALL, scale=scale, fusion_trellis=Trellis(layers=3), priors=("dict",))
    for path in space.fusion_trellis.paths():
        node, choices = 0, {}
        for layer, transition in enumerate(path):
            choices[space.exit_name("fusion", layer, node)] = transition
            node = space.fusion_trellis.target(node, transition)
        net = FaceSR(random_genotype(space.restrict(choices), random.Random(0)))
        assert net(_lq(scale))[1].shape[-1] == _lq(scale).shape[-1] * scale


def test_every_parameter_of_a_derived_network_gets_a_gradient() -> None:
    net = FaceSR(random_genotype(SMALL, random.Random(5)))
    torch.stack([o.square().mean() for o in net(_lq(batch=2))]).sum().backward()
    dead = [n for n, p in net.named_parameters() if p.grad is None]
    assert dead == []


def test_lq_sides_off_the_grid_are_refused() -> None:
    net = FaceSR(random_genotype(SMALL, random.Random(0)))
    with pytest.raises(ValueError, match="multiples of 8"):
        net(torch.rand(1, 3, 20, 20))


def test_given_maps_replace_the_students() -> None:
    net = FaceSR(random_genotype(SMALL, random.Random(0))).eval()
    lq = _lq()
    with torch.no_grad():
        maps = net.prior_maps(lq)
        own, given = net(lq), net(lq, maps)
        other = net(lq, {k: torch.zeros_like(v) for k, v in maps.items()})
    assert torch.equal(own[1], given[1])
    assert torch.equal(own[0], other[0])
    assert not torch.equal(own[1], other[1])


def test_the_second_pass_begins_as_the_first_and_can_be_left_out() -> None:
    net = FaceSR(random_genotype(SMALL, random.Random(5)))
    lq = _lq()
    with torch.no_grad():
        first, second = net(lq)
        (alone,) = net(lq, first_only=True)
        skip = torch.nn.functional.interpolate(lq, scale_factor=4.0, mode="bicubic")
    assert torch.equal(alone, first)
    assert 0 < (second - first).std() < 0.2 * (first - skip).std()


def test_priors_weights_are_logged_per_prior() -> None:
    space = SMALL.restrict({"fusion/weighting": "gate"})
    net = FaceSR(random_genotype(space, random.Random(0)))
    assert net.prior_weights() == {}
    with torch.no_grad():
        net.fusion.weighting.gate[1] = 1.0
        net(_lq())
    weights = net.prior_weights()
    assert weights["parse"] == pytest.approx(1.0)
    assert weights["heat"] == pytest.approx(2 * torch.sigmoid(torch.tensor(1.0)).item())


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operations_keep_the_shape(name: str, norm: str) -> None:
    x = torch.rand(2, 6, 9, 11)
    assert build_operation(name, 6, norm)(x).shape == x.shape


def test_operation_sets_name_existing_operations() -> None:
    for operations in OPERATION_SETS.values():
        assert set(operations) <= set(OPERATIONS)
    assert set(OPERATION_SETS["paper"]) == {"skip", "conv3", "conv5", "conv7"}


def test_the_published_genotype_fits_the_cap_at_the_design_width() -> None:
    space = Space(cell=CellSpace(operations=OPERATION_SETS["paper"]))
    size = meta_count(space.restrict(published_choices(space)))
    assert 2_200_000 < size.total <= 2_276_355


def test_batch_norm_is_the_same_in_supernet_and_derived() -> None:
    space = replace(SMALL, norm="batch", priors=(), width=TINY)
    supernet = FaceSR(space).state_dict()
    derived = FaceSR(random_genotype(space, random.Random(1))).state_dict()
    assert {n: t.shape for n, t in derived.items()} == {n: supernet[n].shape for n in derived}
