"""What every entry script does first: flags, run folder, device, faces."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TypeVar

import torch

from data import augmentations
from data.batches import Batch, BatchMaker, batch_stream
from data.sources import FaceSource, OpenedData, open_data, trained_and_held_out
from models.device import DeviceError, choose_device, compiler_missing
from train.adversary import GanOptions
from train.checkpoint import write_bytes
from train.config import CommonConfig, TrainingConfig
from train.flags import filled, from_dict, merged, parse_flags, to_dict
from train.learner import FROZEN, StepOptions
from train.loop import Batches
from train.losses import Loss
from train.optimizers import OptimizerOptions
from train.perceptual import perceptual_loss
from train.presets import PRESETS, Preset, default_preset
from train.progress import LoopOptions
from train.run_folder import RunFolder, find_run, start_run

Config = TypeVar("Config", bound=CommonConfig)
LONG_RUN = 2000 * 8 * 512**2
"""HQ pixels of a training from which compiling pays: 2,000 steps of 8 whole faces of 512."""
LONG_MINUTES = 10.0
SHARED_FIELDS = (
    "first_pass_share",
    "lr",
    "lr_min",
    "warmup",
    "validate_every",
    "validate_pairs",
    "snapshot_every",
)
"""Flags of a training run that are the loop's options under the same name."""


def read_flags(
    cls: type[Config], command: str, argv: Sequence[str], description: str
) -> tuple[Config, RunFolder | None]:
    """Return the whole configuration and, with `--resume`, the folder to go on in.

    Raises ConfigError or RunFolderError, with the fix in the message.
    """
    search = command == "search"
    typed = parse_flags(cls, argv, description)
    if not typed.get("resume", False):
        config = from_dict(cls, typed)
        device = choose_device(config.device).type
        fallback = default_preset(search=search, has_data=config.data is not None, device=device)
        return filled(config, config.preset or fallback), None
    folder = find_run(command, typed.get("out"))
    config = from_dict(cls, merged(folder.read_config(), typed))
    return dataclasses.replace(config, resume=True, out=folder.path), folder


def open_folder(config: CommonConfig, command: str, found: RunFolder | None) -> RunFolder:
    """Return the run's folder: the one found by `read_flags`, or a new one with `config.json`."""
    if found is not None:
        return found
    folder = start_run(command, config.out)
    folder.write_config(command, to_dict(config))
    return folder


def keep_file(folder: RunFolder, source: Path) -> None:
    """Copy a file that the run is started with into its folder."""
    if kept_file(folder, source).resolve() != source.resolve():
        write_bytes(kept_file(folder, source), source.read_bytes())


def kept_file(folder: RunFolder, source: Path) -> Path:
    """Return the run's own copy of a file that it was started with."""
    return folder.path / source.name


def wants_bf16(switch: str, device: torch.device) -> bool:
    """Return whether to use bfloat16 autocast.

    `auto` means where the hardware multiplies it: GPUs that say so, and CPUs with AVX512-BF16 or
    AMX, where a training step measured 1.8 to 2.1 times faster. Emulated it is slower.
    """
    if switch != "auto":
        return switch == "on"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def wants_compile(config: TrainingConfig, device: torch.device) -> bool:
    """Return whether to compile the network.

    `auto` means where it pays: on CUDA, in runs of at least `LONG_RUN` pixels or `LONG_MINUTES`.
    Raises DeviceError where `on` is asked for and the compiler is not there.
    """
    if config.compile == "off":
        return False
    missing = compiler_missing(device)
    if config.compile == "on":
        if missing:
            raise DeviceError(f"--compile on: this machine has {missing}; use --compile auto")
        return True
    preset = preset_of(config)
    side = config.lq_crop * preset.scale if config.lq_crop else preset.hq_side
    images = (config.steps or 0) * (config.faces or 1) * (config.crops or 1)
    long = images * side**2 >= LONG_RUN or (config.max_minutes or 0) >= LONG_MINUTES
    return device.type == "cuda" and long and not missing


def set_up_torch(config: CommonConfig) -> torch.device:
    """Set threads and the first seed, make the log readable; return the device.

    On CUDA the fastest convolution of every shape is looked for: training has few shapes.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if config.threads > 0:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    device = choose_device(config.device)
    torch.backends.cudnn.benchmark = device.type == "cuda"
    return device


def preset_of(config: CommonConfig) -> Preset:
    """Return the preset of a whole configuration."""
    assert config.preset is not None
    return PRESETS[config.preset]


def open_faces(config: CommonConfig, *, scale: int) -> OpenedData:
    """Return training faces and validation pairs; raises DataError listing every bad file."""
    preset = preset_of(config)
    return open_data(
        config.data,
        config.val,
        hq_side=preset.hq_side,
        scale=scale,
        degradation=config.degradation,
        synthetic_count=config.synthetic_count or preset.synthetic_count,
        synthetic_val=config.synthetic_val or preset.synthetic_val,
        remake_val_lq=preset.remake_val_lq,
        cache_dir=config.cache / "faces",
    )


def batches_of(
    config: TrainingConfig, source: FaceSource, scale: int, device: torch.device
) -> Batches:
    """Return the function (start, stop) -> batches of these steps, on their way to the device."""
    maker = BatchMaker(
        source,
        seed=config.seed,
        faces=config.faces or 1,
        crops=config.crops or 1,
        lq_crop=config.lq_crop or None,
        degradation=config.degradation,
        scale=scale,
        degradation_values=config.degradation_values,
        augmentation=augmentations.parse(config.augment),
        sharpened=config.target == "sharpened",
    )
    workers = config.workers or 0

    gpu = device.type == "cuda"
    make = maker.in_bytes if gpu else maker

    def batches(start: int, stop: int) -> Generator[Batch]:
        yield from batch_stream(make, start, stop, workers, pinned=gpu)

    return batches


def loop_options(config: TrainingConfig, device: torch.device, begun: float) -> LoopOptions:
    """Return the loop's options of a whole configuration; `begun`: monotonic start of the run."""
    given = {name: value for name in SHARED_FIELDS if (value := getattr(config, name)) is not None}
    step = StepOptions(
        loss=config.loss or ("l1",),
        perceptual=perceptual(config, device)[0],
        gan=GanOptions(
            weight=config.gan_weight,
            loss=config.gan_loss,
            discriminator=config.discriminator,
            start=config.gan_start,
            ratio=config.gan_ratio,
            r1=config.gan_r1,
            lr=config.gan_lr,
        ),
        optimizer=OptimizerOptions(
            name=config.optimizer or "adam",
            weight_decay=config.weight_decay,
            momentum=config.momentum,
        ),
        pass_weights=config.pass_weights,
        clip=config.clip,
        ema=0.999 if config.ema is None else config.ema,
        bf16=wants_bf16(config.amp, device),
        compiled=wants_compile(config, device),
        channels_last=config.channels_last != "off",
        dropout=config.dropout,
        student=getattr(config, "student", FROZEN),
        seed=config.seed,
    )
    return LoopOptions(
        steps=config.steps,
        seconds=None if config.max_minutes is None else 60.0 * config.max_minutes,
        begun=begun,
        checkpoint_every=config.checkpoint_every or 200,
        schedule=config.learning_rate_shape(),
        step=step,
        **given,
    )


def perceptual(
    config: TrainingConfig, device: torch.device
) -> tuple[Loss | None, dict[str, object] | None]:
    """Return the perceptual loss on the device and where its features are from, if there is one."""
    if config.perceptual_net is None:
        return None, None
    allowed = config.allow_noncompliant
    loss, origin = perceptual_loss(config.perceptual_net, allow_noncompliant=allowed)
    return loss.to(device), origin


def facts(
    config: TrainingConfig, command: str, folder: RunFolder, data: OpenedData
) -> dict[str, object]:
    """Return the provenance that a network's file carries."""
    whole = json.loads((folder.path / "config.json").read_text())
    return {
        "command": command,
        "config": to_dict(config),
        "commit": whole.get("commit"),
        "torch": whole.get("torch"),
        "fingerprints": {"data": data.train.fingerprint, "val": data.val.fingerprint},
        "held_out_trained_on": trained_and_held_out(data),
        "perceptual": perceptual(config, torch.device("cpu"))[1],
    }
