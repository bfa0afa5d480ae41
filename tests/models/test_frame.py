"""The frame around trellises and cells: the plain stack is a point of the space."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.genotype import Genotype, load_genotype
from models.macs import count_macs
from models.mixing import MixWeights
from models.network import FaceSR
from models.size import count, fit_width, meta_count
from models.space import FRAME, PRIOR_CHANNELS, CellSpace, FrameSpace, Space, SpaceError, Trellis
from models.zoo import build
from search.sample import random_genotype
from tests.models.helpers import SMALL, TINY

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "genotypes"
OPEN = FrameSpace(
    sr=("none", "trellis"),
    join=("0", "1", "2"),
    tail=("shuffle", "resize"),
    slope=("0.1", "0.2"),
    skip=("bilinear", "bicubic"),
    passes=("1", "2", "3"),
)
RICH = replace(SMALL, frame=OPEN, student_size=32)
DIRECT = {"sr/use": "none", "passes": "1"}


def _lq() -> torch.Tensor:
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def _maps(space: Space) -> dict[str, torch.Tensor]:
    """Maps in the student's place, which takes longer than all else here."""
    rng = torch.Generator().manual_seed(1)
    return {p: torch.rand(1, PRIOR_CHANNELS[p], 16, 16, generator=rng) for p in space.priors}


class _Maps(torch.nn.Module):
    """The maps of `_maps`, in a student's place."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def forward(self, face: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: maps.to(face.device) for name, maps in _maps(self.space).items()}


def _names(space: Space) -> set[str]:
    return {d.name for d in space.decisions()}


def _drawn(space: Space, seed: int = 0) -> Space:
    return random_genotype(space, random.Random(seed))


@pytest.mark.parametrize("name", ["rdb-plain", "rdb-plain-full"])
def test_the_plain_stack_is_a_point_of_the_space(name: str) -> None:
    genotype = load_genotype(EXAMPLES / f"{name}.json")
    torch.manual_seed(3)
    ours = FaceSR(genotype.space).eval()
    torch.manual_seed(3)
    plain = build(name).eval()
    assert count(ours) == count(plain)
    assert genotype.counts["total"] == count(plain).total
    with torch.no_grad():
        # the same seed: it starts as the plain stack does
        assert torch.equal(ours(_lq())[0], plain(_lq()))
        trained = {n: torch.randn_like(t) / 20 for n, t in plain.state_dict().items()}
        plain.load_state_dict(trained)
        shapes = zip(ours.state_dict().items(), trained.values(), strict=True)
        ours.load_state_dict({own: tensor for (own, _), tensor in shapes})
        assert torch.equal(ours(_lq())[0], plain(_lq()))


def test_the_plain_stack_filled_to_the_cap_is_the_full_one() -> None:
    plain = load_genotype(EXAMPLES / "rdb-plain.json").space
    assert fit_width(plain) == load_genotype(EXAMPLES / "rdb-plain-full.json").space


@pytest.mark.parametrize("passes", [1, 2])
def test_examples_with_priors_are_what_they_say(passes: int) -> None:
    name = f"rdb-plain-priors-{passes}-pass.json"
    genotype = load_genotype(EXAMPLES / name)
    assert genotype.space.passes == passes
    assert genotype.counts["total"] == meta_count(genotype.space).total
    assert fit_width(genotype.space) == genotype.space


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("priors", [(), ("parse",)])
def test_one_hot_supernet_equals_derived_network(seed: int, priors: tuple[str, ...]) -> None:
    space = RICH.with_priors(priors)
    genotype = _drawn(space, seed)
    supernet, derived = FaceSR(space).eval(), FaceSR(genotype).eval()
    tensors = supernet.state_dict()
    tensors |= {n: torch.randn_like(t) / 9 for n, t in tensors.items() if n.startswith("direct")}
    supernet.load_state_dict(tensors)
    derived.load_state_dict({name: tensors[name] for name in derived.state_dict()})
    with torch.no_grad():
        ours = supernet(_lq(), _maps(space), MixWeights.one_hot(space, genotype.choices()))
        theirs = derived(_lq(), _maps(space))
    assert len(ours) == len(theirs) == genotype.passes
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["skip/kind", "passes", "tail/kind"])
def test_open_options_are_mixed_by_their_weights(name: str) -> None:
    rich = RICH.with_priors(("parse",))
    fixed = _drawn(rich.restrict({"sr/use": "none"})).choices()
    space = rich.restrict({"sr/use": "none"})
    space = space.restrict({n: o for n, o in fixed.items() if n != name})
    assert [d.name for d in space.decisions() if len(d.options) > 1] == [name]
    net = FaceSR(space).eval()
    options = space.framed(name)
    shares = torch.arange(1.0, len(options) + 1) / sum(range(1, len(options) + 1))

    def last(weights: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return net(_lq(), _maps(space), MixWeights({name: weights}, {}))[-1]

    parts = [last(row) for row in torch.eye(len(options))]
    mixed = torch.stack([w * part for w, part in zip(shares, parts, strict=True)]).sum(0)
    torch.testing.assert_close(last(shares), mixed, rtol=1e-4, atol=1e-5)


def test_without_sr_trellis_and_priors_their_decisions_are_gone() -> None:
    plain = RICH.restrict({"sr/use": "none"})
    assert plain.modules == (*RICH.priors, "fusion")
    names = {d.name for d in plain.with_priors(()).decisions()}
    assert names == {"sr/use", "tail/kind", "tail/slope", "skip/kind"}
    assert "passes" not in {d.name for d in RICH.with_priors(()).decisions()}
    genotype = _drawn(plain)
    assert Space().restrict({}).restrict(_drawn(Space()).choices()).is_genotype
    assert plain.opened().restrict(genotype.choices()) == genotype


def test_priors_in_one_pass_start_as_the_network_without_them() -> None:
    space = _drawn(RICH.with_priors(("parse", "dict")).restrict(DIRECT))
    net = FaceSR(space).eval()
    plain = FaceSR(space.with_priors(())).eval()
    tensors = net.state_dict()
    plain.load_state_dict({name: tensors[name] for name in plain.state_dict()})
    with torch.no_grad():
        (joined,) = net(_lq(), _maps(space))
        assert torch.equal(joined, plain(_lq())[0])
        name = f"direct.from_fusion.convs.{space.ends('fusion')[0]}.weight"
        net.get_parameter(name).normal_()
        assert not torch.equal(net(_lq(), _maps(space))[0], joined)


@pytest.mark.parametrize(
    ("passes", "use"), [("1", "none"), ("1", "trellis"), ("2", "none"), ("3", "trellis")]
)
def test_every_number_of_passes_restores_and_learns(passes: str, use: str) -> None:
    space = _drawn(RICH.with_priors(("parse",)).restrict({"passes": passes, "sr/use": use}))
    net = FaceSR(space)
    maps = _maps(space)
    images = net(_lq(), maps)
    assert [tuple(image.shape) for image in images] == [(1, 3, 64, 64)] * int(passes)
    torch.stack([image.square().mean() for image in images]).sum().backward()
    dead = [n for n, p in net.named_parameters() if p.grad is None]
    assert [n for n in dead if not n.startswith("student.")] == []
    (first,) = net(_lq(), maps, first_only=True)
    assert torch.equal(first, images[0])


@pytest.mark.parametrize("name", ["sr/use", "passes", "tail/kind", "tail/slope", "skip/kind"])
def test_options_are_declared_from_the_cheapest_on(name: str) -> None:
    space = RICH.with_priors(("parse",) if name == "passes" else ())
    macs = []
    for option in space.framed(name):
        same = {n: o[-1] for n in FRAME if (o := space.framed(n)) and n in _names(space)}
        genotype = _drawn(space.restrict(same | {name: option}))
        with torch.device("meta"):
            net = FaceSR(genotype)
        if space.priors:
            net.student = _Maps(genotype)
        macs.append(count_macs(net, 16))
    assert macs == sorted(macs)


def test_files_of_version_1_have_the_published_frame() -> None:
    data = json.loads(json.dumps(Genotype(space=_drawn(SMALL), counts=_counts()).to_json()))
    del data["space"]["frame"], data["space"]["width"]["extra"]
    data |= {"version": 1, "priors": dict.fromkeys(SMALL.priors, "")}
    space = Genotype.from_json(data).space
    assert space == _drawn(SMALL)
    assert space.frame == FrameSpace()
    assert space.passes == 2


def _counts() -> dict[str, int]:
    return {"parameters": 1, "learned_buffers": 0, "total": 1}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"sr": ["some"]}, "frame.sr"),
        ({"passes": []}, "frame.passes"),
        ({"tail": ["resize", "resize"]}, "frame.tail"),
        ({"join": ["3"]}, "of 2 dense blocks"),
        ({"join": ["2", "1"]}, "rise"),
        ({"join": ["-1"]}, "frame.join"),
        ({"tail": "resize"}, "space.frame.tail"),
        ({"colour": ["red"]}, "unknown key 'colour'"),
    ],
)
def test_wrong_frames_are_named(frame: dict[str, object], message: str) -> None:
    data = SMALL.to_dict()
    with pytest.raises(SpaceError, match=message):
        Space.from_dict({**data, "frame": {**data["frame"], **frame}})


def test_extra_blocks_stand_after_the_published_place() -> None:
    space = replace(
        SMALL.with_priors(()),
        width=replace(TINY, extra=2),
        sr_trellis=Trellis(layers=1, levels=2, axis="level"),
        cell=CellSpace(nodes=1, operations=("skip",)),
    )
    net = FaceSR(_drawn(space))
    assert (len(net.extract), len(net.blocks), space.blocks) == (1, 3, 4)
