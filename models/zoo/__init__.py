"""The other systems' networks by name, all called alike: `ZOO[name](scale=4)`, `net(lq)`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from models.zoo.bilinear_resnet import BilinearResNet
from models.zoo.edsr import EDSR
from models.zoo.espcn import ESPCN
from models.zoo.msrresnet import MSRResNet
from models.zoo.normalised import normalise
from models.zoo.rdb_plain import RDBPlain
from models.zoo.srcnn import SRCNN
from models.zoo.unet import UNet

ZOO: dict[str, Callable[..., nn.Module]] = {
    "msrresnet-16": partial(MSRResNet, blocks=16),
    "msrresnet-20": partial(MSRResNet, blocks=20),
    "msrresnet-24": partial(MSRResNet, blocks=24),
    "edsr-20": partial(EDSR, blocks=20),
    "rdb-plain": RDBPlain,
    "rdb-plain-full": partial(RDBPlain, channels=68, name="rdb-plain-full"),
    "bilinear-resnet": BilinearResNet,
    "unet": UNet,
    "srcnn": SRCNN,
    "espcn": ESPCN,
}


def build(name: str, scale: int = 4, *, normalised: bool = False) -> nn.Module:
    """A freshly initialised network of the zoo; it carries `name`, `scale` and `lq_multiple`.

    normalised: with buffers for the colours of the faces (`models.zoo.normalised`). Raises
    `ValueError` for a name or a scale that the zoo does not have.
    """
    if name not in ZOO:
        raise ValueError(f"no network is called {name!r}; choose one of {', '.join(ZOO)}")
    net = ZOO[name](scale=scale)
    return normalise(net) if normalised else net
