"""Train a network of the zoo: `python train/train_baseline.py --model msrresnet-16`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from models.size import check_cap  # noqa: E402
from models.zoo import build  # noqa: E402
from train import ending, session  # noqa: E402
from train.config import BaselineConfig  # noqa: E402
from train.initial import colours, load_initial  # noqa: E402
from train.loop import train  # noqa: E402

COMMAND = "train_baseline"


def main(argv: Sequence[str]) -> int:
    """Train as the flags say; return the exit status (130 or 143 after a signal)."""
    begun = time.monotonic()
    config, found = session.read_flags(BaselineConfig, COMMAND, argv, __doc__ or COMMAND)
    device = session.set_up_torch(config)
    scale = session.preset_of(config).scale
    net = build(config.model, scale, normalised=config.normalise)
    print(ending.size_table(net, config.cap))
    check_cap(net, config.cap)
    data = session.open_faces(config, scale=scale)
    if config.normalise:
        net.load_state_dict(colours(data.train), strict=False)
    origin = load_initial(net, config.init) if config.init is not None else None
    if config.dry_run:
        print("Dry run: all is there. Leave out --dry-run to train.")
        return 0
    folder = session.open_folder(config, COMMAND, found)
    outcome = train(
        net,
        batches=session.batches_of(config, data.train, scale, device),
        validation=data.val,
        folder=folder,
        options=session.loop_options(config, device, begun),
        metadata={**session.facts(config, COMMAND, folder, data), "init": origin},
        device=device,
        resume=config.resume,
    )
    print(ending.result_table(outcome, data.val, folder, time.monotonic() - begun))
    return 0


if __name__ == "__main__":
    sys.exit(ending.run(main, sys.argv[1:]))
