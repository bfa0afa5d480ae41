"""Names of tensors in other tools' files, to ours and back.

BasicSR names MSRResNet and EDSR as we do (`conv_first`, `body.0.conv1`, `upconv1`, ...). MMEditing
wraps the generator and names its parts `trunk_net` and `upsample1.upsample_conv`. Data-parallel
and compiled modules put a prefix before every name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

WRAPPERS = ("module.", "_orig_mod.")
GENERATOR = "generator."
STATES = ("params_ema", "params", "state_dict")
"""Keys under which a .pth keeps its state dict, the best first: BasicSR, BasicSR, MMEditing."""


def own_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a network under our names.

    Of a file with a generator and other networks (discriminator, feature networks) only the
    generator is kept. Names that no other tool is known to use stay as they are.
    """
    plain = {_unwrapped(name): tensor for name, tensor in state.items()}
    if any(name.startswith(GENERATOR) for name in plain):
        inside = {n[len(GENERATOR) :]: t for n, t in plain.items() if n.startswith(GENERATOR)}
        plain = {_unwrapped(name): tensor for name, tensor in inside.items()}
    return {_from_mmediting(name): tensor for name, tensor in plain.items()}


def mmediting_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of an MSRResNet of ours under the names of MMEditing's restorer."""
    return {GENERATOR + _to_mmediting(name): tensor for name, tensor in state.items()}


def _unwrapped(name: str) -> str:
    while name.startswith(WRAPPERS):
        name = name.split(".", 1)[1]
    return name


def _from_mmediting(name: str) -> str:
    name = re.sub(r"^trunk_net\.", "body.", name)
    return re.sub(r"^upsample(\d+)\.upsample_conv\.", r"upconv\1.", name)


def _to_mmediting(name: str) -> str:
    name = re.sub(r"^body\.", "trunk_net.", name)
    return re.sub(r"^upconv(\d+)\.", r"upsample\1.upsample_conv.", name)
