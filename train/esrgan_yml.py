"""Options files of Real-ESRGAN and BasicSR, read as flags of `train_baseline.py`.

Every key is either turned into a flag, known to mean nothing here, or named and refused: a setting
is never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from data.degradation_values import NAMES

LOSS_NAMES = {"L1Loss": "l1", "MSELoss": "mse", "CharbonnierLoss": "charbonnier"}
OPTIMIZER_NAMES = {"Adam": "adam", "AdamW": "adamw", "SGD": "sgd"}
SCHEDULE_NAMES = {
    "CosineAnnealingRestartLR": "cosine-restart",
    "MultiStepLR": "multi-step",
}
WITHOUT_MEANING = {
    "name": "runs are named by --out",
    "model_type": "one loop trains every network",
    "num_gpu": "see --device",
    "queue_size": "every choice is drawn per sample",
    "dist_params": "one process trains",
    "logger": "logs are always written",
    "datasets.train.name": "",
    "datasets.train.type": "",
    "datasets.train.meta_info": "the whole folder is read",
    "datasets.train.io_backend": "the whole folder is packed",
    "datasets.train.use_shuffle": "faces are always shuffled",
    "datasets.train.dataset_enlarge_ratio": "epochs follow one another",
    "datasets.train.prefetch_mode": "workers read ahead",
    "datasets.train.pin_memory": "",
    "datasets.val": "give --val",
    "path.strict_load_g": "weights are always loaded strictly",
    "path.resume_state": "see --resume",
    "path.param_key_g": "EMA weights are taken where there are any",
    "train.optim_g.betas": "(0.9, 0.99) always",
    "train.pixel_opt.reduction": "the mean always",
    "network_g.num_in_ch": "3 always",
    "network_g.num_out_ch": "3 always",
    "val.save_img": "",
    "val.metrics": "PSNR and SSIM always",
    "val.suffix": "",
}
"""Keys (with all below them) that need no flag, and why."""


class OptionsError(ValueError):
    """An options file that cannot be turned into flags; the message names the key."""


def is_options(values: Mapping[str, Any]) -> bool:
    """Whether a YAML file is of this kind, and no recipe of flags."""
    return "network_g" in values


def flags_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags of an options file by field name; raises OptionsError."""
    flags: dict[str, Any] = {"preset": "full", "crops": 1, "warmup": 0}
    degradation: list[str] = []
    for key, value in _leaves(values, ""):
        last = key.rsplit(".", 1)[-1]
        if any(key == known or key.startswith(f"{known}.") for known in WITHOUT_MEANING):
            continue
        if last in NAMES and (key == last or key == f"datasets.train.{last}"):
            numbers = value if isinstance(value, list) else [value]
            degradation.append(f"{last}={','.join(map(str, numbers))}")
        elif key in HANDLERS:
            flags.update(HANDLERS[key](value))
        else:
            raise OptionsError(f"the key {key!r} is not known here; remove it or report it")
    flags["degradation"] = "second-order"
    flags["degradation_values"] = degradation
    return _with_network(flags)


def _leaves(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _with_network(flags: dict[str, Any]) -> dict[str, Any]:
    """The type and the number of blocks together are a name of the zoo."""
    kind, blocks = flags.pop("_type", None), flags.pop("_blocks", None)
    if kind != "MSRResNet" or blocks is None:
        raise OptionsError(f"network_g: type {kind!r} with num_block {blocks!r}; MSRResNet works")
    return {**flags, "model": f"msrresnet-{blocks}"}


def _as(name: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {name: value}


def _named(name: str, table: Mapping[str, str]) -> Callable[[Any], dict[str, Any]]:
    def handler(value: Any) -> dict[str, Any]:
        if value not in table:
            raise OptionsError(f"{name}: {value!r} is not one of {', '.join(table)}")
        return {name: table[value]}

    return handler


def _only(key: str, expected: object) -> Callable[[Any], dict[str, Any]]:
    def handler(value: Any) -> dict[str, Any]:
        if value != expected:
            raise OptionsError(f"{key}: {value!r} is not possible here, only {expected!r}")
        return {}

    return handler


HANDLERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "scale": _only("scale", 4),
    "manual_seed": _as("seed"),
    "gt_usm": lambda on: {"target": "sharpened" if on else "plain"},
    "gt_size": lambda side: {"lq_crop": 0 if side == 512 else side // 4},
    "datasets.train.gt_size": lambda side: {"lq_crop": 0 if side == 512 else side // 4},
    "datasets.train.dataroot_gt": _as("data"),
    "datasets.train.use_hflip": _only("datasets.train.use_hflip", True),
    "datasets.train.use_rot": _only("datasets.train.use_rot", False),
    "datasets.train.blur_kernel_size": _only("datasets.train.blur_kernel_size", 21),
    "datasets.train.blur_kernel_size2": _only("datasets.train.blur_kernel_size2", 21),
    "datasets.train.num_worker_per_gpu": _as("workers"),
    "datasets.train.batch_size_per_gpu": _as("faces"),
    "network_g.type": _as("_type"),
    "network_g.num_block": _as("_blocks"),
    "network_g.num_feat": _only("network_g.num_feat", 64),
    "network_g.upscale": _only("network_g.upscale", 4),
    "path.pretrain_network_g": _only("path.pretrain_network_g", None),
    "train.ema_decay": _as("ema"),
    "train.optim_g.type": _named("optimizer", OPTIMIZER_NAMES),
    "train.optim_g.lr": _as("lr"),
    "train.optim_g.weight_decay": _as("weight_decay"),
    "train.optim_g.momentum": _as("momentum"),
    "train.scheduler.type": _named("schedule", SCHEDULE_NAMES),
    "train.scheduler.periods": _as("periods"),
    "train.scheduler.restart_weights": _as("restart_weights"),
    "train.scheduler.milestones": _as("milestones"),
    "train.scheduler.gamma": _as("gamma"),
    "train.scheduler.eta_min": _as("lr_min"),
    "train.total_iter": lambda steps: {"steps": int(steps)},
    "train.warmup_iter": lambda steps: {"warmup": max(int(steps), 0)},
    "train.pixel_opt.type": lambda name: {"loss": [_named("loss", LOSS_NAMES)(name)["loss"]]},
    "train.pixel_opt.loss_weight": _only("train.pixel_opt.loss_weight", 1.0),
    "val.val_freq": lambda steps: {"validate_every": int(steps)},
}
"""Key to the flags that its value means."""
