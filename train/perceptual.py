"""Perceptual loss: how far two pictures are apart in the features of another network.

Johnson et al., Perceptual Losses for Real-Time Style Transfer and Super-Resolution (ECCV 2016).
Inside the challenge's rules the other network is one of ours, trained from scratch on the given
faces; VGG-16 of torchvision, trained on ImageNet, is outside and must be asked for by name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.artifact import load_network
from train.losses import LossError

VGG = "vgg16"
VGG_LAYERS = 16
"""Layers up to relu3_3, the ones that Johnson et al. take the content from."""
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Colours that VGG-16 was trained with."""


class Perceptual(nn.Module):
    """Mean absolute difference of features, over their mean size in the HQ, so that it has no unit.

    features: (B,3,h,w) in [0,1] -> (B,C,h',w'). It is frozen; gradients reach the restored image.
    """

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features.eval().requires_grad_(False)

    def forward(self, restored: Tensor, hq: Tensor) -> Tensor:
        """The loss of images (B,3,h,w), a scalar."""
        with torch.no_grad():
            wanted = self.features(hq)
        difference = (self.features(restored) - wanted).abs().mean()
        return difference / wanted.abs().mean().clamp_min(1e-6)


def perceptual_loss(source: str, *, allow_noncompliant: bool) -> tuple[Perceptual, dict[str, Any]]:
    """The loss with the features of `source`, and what the rules must know of them.

    source: a network's file of this project (MSRResNet or EDSR), or `vgg16`. Raises LossError for
    another network, and for VGG-16 unless it is allowed.
    """
    if source == VGG:
        if not allow_noncompliant:
            raise LossError(
                "VGG-16 was trained on ImageNet: outside the challenge's rules. Name a network of "
                "your own with --perceptual-net FILE, or add --allow-noncompliant"
            )
        return Perceptual(_vgg()), {"noncompliant": "VGG-16 features, trained on ImageNet"}
    path = Path(source)
    loaded = load_network(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    origin = {"file": path.name, "sha256": digest, "metadata": loaded.metadata}
    return Perceptual(first_half(loaded.net, path)), origin


def first_half(net: nn.Module, path: Path) -> nn.Module:
    """The first convolution and the first half of the blocks of an MSRResNet or EDSR."""
    body = getattr(net, "body", None)
    first = getattr(net, "conv_first", None)
    if not isinstance(body, nn.Sequential) or not isinstance(first, nn.Conv2d):
        raise LossError(f"--perceptual-net {path}: give an MSRResNet or EDSR, such as msrresnet-16")
    if first.in_channels != 3:
        raise LossError(f"--perceptual-net {path}: its first convolution takes no RGB")
    return nn.Sequential(first, nn.LeakyReLU(0.1), *list(body)[: max(1, len(body) // 2)])


class _Normalised(nn.Module):
    """Images in [0,1] brought to the colours that VGG-16 knows."""

    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor(SPREAD).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.spread


def _vgg() -> nn.Module:
    from torchvision.models import VGG16_Weights, vgg16  # takes long, and few need it

    try:
        whole = vgg16(weights=VGG16_Weights.IMAGENET1K_V1)
    except OSError as error:
        raise LossError(f"VGG-16's weights could not be downloaded ({error})") from error
    return nn.Sequential(_Normalised(), *list(whole.features)[:VGG_LAYERS])
