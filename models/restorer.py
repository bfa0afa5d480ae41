"""From one LQ picture to restored pictures, by any network.

Padding, tiles, flip ensemble, clamping and rounding live here only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import repeat

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.ensemble import Ensemble
from models.prior_source import LabelError, labelled_maps
from models.tiles import TILE, restore_tiles


def pass_count(net: nn.Module) -> int:
    """How many restorations `net` makes of one LQ, each from the one before."""
    space = getattr(net, "space", None)
    return 1 if space is None else int(space.passes)


def passes_of(
    net: nn.Module,
    lq: Tensor,
    maps: Mapping[str, Tensor] | None = None,
    *,
    first_only: bool = False,
) -> list[Tensor]:
    """The restored batches `(B, 3, h*s, w*s)` of every pass, first to last, not clamped.

    A network of the zoo returns one tensor and knows no prior maps; `FaceSR` returns a list. `maps`
    are the prior maps of this `lq`; None lets the network predict them itself. `first_only` leaves
    out every pass but the first, and what only the others need.
    """
    if first_only and pass_count(net) > 1:
        return list(net(lq, first_only=True))
    restored = net(lq) if maps is None else net(lq, maps)
    return [restored] if isinstance(restored, Tensor) else list(restored)


@torch.no_grad()
def restore(
    net: nn.Module,
    lq: NDArray[np.uint8],
    *,
    name: str | None = None,
    flip_ensemble: bool = False,
    device: torch.device | str = "cpu",
) -> list[NDArray[np.uint8]]:
    """The restored picture of every pass, uint8 RGB `(h*s, w*s, 3)`, last pass last.

    `lq` is uint8 RGB `(h, w, 3)` of any size: it is padded to the network's `lq_multiple` and the
    result cropped; what is larger than `models.tiles.TILE` is restored in tiles that overlap.
    `flip_ensemble` averages with the restoration of the mirrored picture. The network must be on
    `device`; it is used in evaluation mode and left in the mode it came in. `name` is the
    picture's: a network of external labels looks them up by it.
    Raises `ValueError` for an array that is not such a picture, `LabelError` without its labels.
    """
    if lq.dtype != np.uint8 or lq.ndim != 3 or lq.shape[2] != 3 or 0 in lq.shape:
        raise ValueError(f"restore takes uint8 RGB (h, w, 3), not {lq.dtype} {lq.shape}")
    batch = to_batch(lq, device)
    was_training = net.training
    net.eval()
    try:
        passes = _restore_batch(net, batch, name)
        if flip_ensemble:
            mirrored = _restore_batch(net, batch.flip(-1), name, mirrored=True)
            passes = [(a + b.flip(-1)) / 2 for a, b in zip(passes, mirrored, strict=True)]
    finally:
        net.train(was_training)
    return [to_picture(restored[0]) for restored in passes]


def restore_each(
    net: nn.Module,
    lqs: Iterable[NDArray[np.uint8]],
    *,
    names: Iterable[str] | None = None,
    flip_ensemble: bool = False,
    device: torch.device | str = "cpu",
) -> Iterator[list[NDArray[np.uint8]]]:
    """`restore` of every picture, in order; `names`: as many as pictures.

    On a CPU as many pictures at once as torch has threads, with one thread each: these networks'
    operations are too small to share. While the iterator is used torch has one thread.
    """
    threads = torch.get_num_threads() if torch.device(device).type == "cpu" else 1
    both = partial(restore, net, flip_ensemble=flip_ensemble, device=device)
    named = zip(lqs, repeat(None)) if names is None else zip(lqs, names, strict=True)

    def work(picture: tuple[NDArray[np.uint8], str | None]) -> list[NDArray[np.uint8]]:
        return both(picture[0], name=picture[1])

    if threads == 1:
        yield from map(work, named)
        return
    was_training = net.training
    net.eval()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            coming: deque[Future[list[NDArray[np.uint8]]]] = deque()
            for picture in named:
                coming.append(pool.submit(work, picture))
                if len(coming) > 2 * threads:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
    finally:
        torch.set_num_threads(threads)
        net.train(was_training)


def to_batch(picture: NDArray[np.uint8], device: torch.device | str = "cpu") -> Tensor:
    """One uint8 RGB picture `(H, W, 3)` as a float32 batch `(1, 3, H, W)` in [0, 1]."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(device)
    # The pixels keep their order in memory: a channels-last batch.
    # A GPU multiplies by the inverse of a number, but divides by a tensor, as a CPU does.
    return pixels.permute(2, 0, 1)[None].float().div(torch.full((), 255.0, device=device))


def to_picture(restored: Tensor) -> NDArray[np.uint8]:
    """uint8 RGB `(H, W, 3)` of `(3, H, W)`: clamped to [0, 1], times 255, rounded."""
    rounded = restored.detach().float().clamp(0, 1).mul(255.0).round().to(torch.uint8)
    return np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy())


def _restore_batch(
    net: nn.Module, lq: Tensor, name: str | None, mirrored: bool = False
) -> list[Tensor]:
    """Every pass of `lq` `(1, 3, h, w)` of any size; of an ensemble the mean of the last ones."""
    if isinstance(net, Ensemble):
        each = (_restore_batch(member, lq, name, mirrored)[-1] for member in net.members)
        last = [restored.clamp(0, 1) for restored in each]
        return [torch.stack(last).mean(0)]
    height, width = lq.shape[-2:]
    multiple, scale = int(getattr(net, "lq_multiple", 1)), int(net.scale)  # type: ignore[arg-type]
    bottom, right = -height % multiple, -width % multiple
    maps = labelled_maps(net, lq, (name,), (mirrored,), trained=False)
    if maps is not None and (bottom or right):
        raise LabelError(
            f"{name}: the LQ is {width}x{height} px; with external labels both sides must be "
            f"multiples of {multiple}"
        )
    if bottom or right:
        # Reflection needs more pixels than it adds; a tiny picture repeats its border instead.
        mode = "reflect" if bottom < height and right < width else "replicate"
        lq = F.pad(lq, (0, right, 0, bottom), mode=mode)
    if max(lq.shape[-2:]) > TILE:
        predict = getattr(net, "prior_maps", None)
        if maps is None and predict is not None:
            maps = predict(lq)
        passes = restore_tiles(lambda tile, cut: passes_of(net, tile, cut), lq, maps, scale)
    else:
        passes = passes_of(net, lq, maps)
    return [out[..., : height * scale, : width * scale] for out in passes]
