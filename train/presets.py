"""The four presets of one configuration: sizes of images, networks, batches and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Sizes and lengths of a run; a flag of an entry may replace any field that it names."""

    name: str
    hq_side: int
    """Side of the HQ faces in pixels; the LQ side is `hq_side / scale`."""
    scale: int = 4

    # training of one network
    faces: int
    """Faces read and degraded per step."""
    crops: int
    """Crops cut from each face; the batch has `faces * crops` images."""
    lq_crop: int | None
    """Side of an LQ crop in pixels; None trains on whole faces."""
    steps: int
    """Training steps unless `--steps` or `--max-minutes` says otherwise."""
    lr: float
    """Peak learning rate, reached after `warmup` steps, then a cosine to `lr_min`."""
    lr_min: float = 1e-7
    warmup: int = 0
    """Steps over which the learning rate climbs linearly."""
    first_pass_share: float = 0.6
    """Share of the steps, the first ones, that train the first pass alone, which costs less than
    half; the second pass begins as the first one and goes on from there."""
    loss: tuple[str, ...] = ("l1",)
    """Terms of the training loss, see `train.losses.parse_terms`."""
    optimizer: str = "adam"
    """A name of `train.optimizers.OPTIMIZERS`."""
    ema: float = 0.999
    """Decay of the weight average."""
    validate_every: int
    """Steps between validations on `validate_pairs` pairs; the last step is always validated."""
    validate_pairs: int
    """Pairs of a validation during training; the last one takes the full set."""
    checkpoint_every: int
    """Steps between checkpoints."""
    workers: int
    """Loader processes; 0 loads in the training process."""

    # the embedded faces, used without `--data`
    synthetic_count: int
    synthetic_val: int

    # the student and its fit
    student_size: int
    """Side in pixels to which the LQ face is resized for the student."""
    student_steps: int

    # the search space; channels, growth and blocks are such that a network without SR trellis and
    # priors, filled up to the cap, is `rdb-plain-full`
    layers: int
    """Layers of every trellis."""
    channels: int
    growth: int
    blocks: int
    """Residual dense blocks before the search module, and again after it."""
    sr_filters: int
    prior_filters: int
    fusion_filters: int

    # the architecture search
    search_faces: int
    """Faces per step and half of the data."""
    search_lq_crop: int | None
    search_steps: int
    """Bilevel steps: one weight step and one architecture step each."""
    search_warmup: int
    """Weight-only steps before the first bilevel step."""
    search_lr: float
    """Peak learning rate of the supernet's weights."""
    logits_lr: float
    """Learning rate of the logits."""

    # validation pairs
    remake_val_lq: bool
    """Whether LQ of `--val` are made anew from its HQ, reduced to `hq_side` (seed 2024)."""


QUICK = Preset(
    name="quick",
    hq_side=128,
    faces=4,
    crops=1,
    lq_crop=None,
    steps=1200,
    lr=2e-3,
    warmup=50,
    loss=("mse",),
    optimizer="muon",
    ema=0.99,
    validate_every=200,
    validate_pairs=8,
    checkpoint_every=200,
    workers=1,
    synthetic_count=600,
    synthetic_val=20,
    student_size=64,
    student_steps=150,
    layers=3,
    channels=64,
    growth=32,
    blocks=3,
    sr_filters=16,
    prior_filters=4,
    fusion_filters=4,
    search_faces=2,
    search_lq_crop=None,
    search_steps=60,
    search_warmup=20,
    search_lr=1e-3,
    logits_lr=5e-2,
    remake_val_lq=True,
)

LAB = Preset(
    name="lab",
    hq_side=128,
    faces=8,
    crops=1,
    lq_crop=None,
    steps=4000,
    lr=2e-3,
    warmup=100,
    loss=("mse",),
    optimizer="muon",
    ema=0.999,
    validate_every=500,
    validate_pairs=20,
    checkpoint_every=250,
    workers=1,
    synthetic_count=1000,
    synthetic_val=50,
    student_size=128,
    student_steps=400,
    layers=6,
    channels=64,
    growth=32,
    blocks=3,
    sr_filters=32,
    prior_filters=4,
    fusion_filters=5,
    search_faces=2,
    search_lq_crop=None,
    search_steps=1000,
    search_warmup=100,
    search_lr=1e-3,
    logits_lr=4e-2,
    remake_val_lq=True,
)

CPU = replace(
    LAB,
    name="cpu",
    hq_side=512,
    faces=2,
    crops=2,
    lq_crop=64,
    first_pass_share=0.9,
    ema=0.995,
    warmup=50,
    validate_pairs=10,
    checkpoint_every=200,
    synthetic_count=300,
    synthetic_val=20,
    search_faces=1,
    search_lq_crop=64,
    remake_val_lq=False,
)

FULL = replace(
    LAB,
    name="full",
    hq_side=512,
    steps=300_000,
    lr=4e-4,
    warmup=1000,
    loss=("l1",),
    optimizer="adam",
    validate_every=5000,
    validate_pairs=100,
    checkpoint_every=5000,
    workers=8,
    synthetic_count=5000,
    synthetic_val=100,
    student_steps=20_000,
    search_faces=4,
    search_steps=20_000,
    search_warmup=2000,
    search_lr=0.0004,
    logits_lr=0.003,
    remake_val_lq=False,
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in (QUICK, LAB, CPU, FULL)}


def default_preset(*, search: bool, has_data: bool, device: str) -> str:
    """Name of the preset used when `--preset` is left out.

    quick without `--data`; with it lab for the search, cpu for training, and full on a GPU.
    """
    if not has_data:
        return "quick"
    if search:
        return "lab"
    return "full" if device == "cuda" else "cpu"


def trained_side(metadata: Mapping[str, object], scale: int) -> int:
    """Side in px of the LQ faces that a network was trained for; 128 where it is not recorded.

    metadata: of the network's file.
    """
    config = metadata.get("config")
    preset = PRESETS.get(str(config.get("preset"))) if isinstance(config, dict) else None
    return preset.hq_side // scale if preset else 128
