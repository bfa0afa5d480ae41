"""Train a searched network: `python train/train_derived.py --genotype found.json`."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch  # noqa: E402

from data.sources import OpenedData  # noqa: E402
from models.genotype import load_genotype  # noqa: E402
from models.network import FaceSR  # noqa: E402
from models.prior_source import EXTERNAL, ORACLE, stand_in  # noqa: E402
from models.size import check_cap, meta_count  # noqa: E402
from priors.external import ExternalLabels  # noqa: E402
from train import ending, session  # noqa: E402
from train.checkpoint import has_checkpoint, load_latest  # noqa: E402
from train.config import DerivedConfig  # noqa: E402
from train.derived import chosen_genotype  # noqa: E402
from train.flags import ConfigError  # noqa: E402
from train.initial import fit_stand_in, fresh_network, load_initial  # noqa: E402
from train.labels import give_labels, marks, training_labels  # noqa: E402
from train.loop import train  # noqa: E402
from train.prior_fit import fitted_priors  # noqa: E402
from train.run_folder import RunFolder  # noqa: E402

COMMAND = "train_derived"


def main(argv: Sequence[str]) -> int:
    """Train as the flags say; return the exit status (130 or 143 after a signal)."""
    begun = time.monotonic()
    config, found = session.read_flags(DerivedConfig, COMMAND, argv, __doc__ or COMMAND)
    device = session.set_up_torch(config)
    file = config.genotype if found is None else session.kept_file(found, config.genotype)
    genotype = chosen_genotype(
        file, priors=config.priors, refit_width=config.refit_width, cap=config.cap
    )
    with torch.device("meta"):
        print(ending.size_table(FaceSR(genotype.space), config.cap))
        check_cap(FaceSR(genotype.space), config.cap)
    net = fresh_network(genotype.space, load_genotype(file).space, config.seed)
    if config.prior_source == ORACLE and config.lq_crop:
        raise ConfigError("--prior-source oracle needs whole faces: --lq-crop 0 --crops 1")
    data = session.open_faces(config, scale=net.scale)
    labels = training_labels(config, net.space.priors, data, device)
    if config.dry_run:
        print("Dry run: all is there. Leave out --dry-run to train.")
        return 0
    folder = session.open_folder(config, COMMAND, found)
    if found is None:
        session.keep_file(folder, config.genotype)
    saved = _saved_origin(folder)
    origin = saved or _first_weights(net, config, data, device)
    stand_in(net, config.prior_source)
    if labels:
        give_labels(net, labels)
        origin["priors"] = _marks(labels[True], saved)
    elif saved is None:
        fit_stand_in(net, data.train, config.degradation)
    outcome = train(
        net,
        batches=session.batches_of(config, data.train, net.scale, device),
        validation=data.val,
        folder=folder,
        options=session.loop_options(config, device, begun),
        metadata={
            **session.facts(config, COMMAND, folder, data),
            **origin,
            "counts": vars(meta_count(genotype.space)),
            "provenance": dict(genotype.provenance),
        },
        device=device,
        resume=config.resume,
    )
    print(ending.result_table(outcome, data.val, folder, time.monotonic() - begun))
    return 0


def _saved_origin(folder: RunFolder) -> dict[str, Any] | None:
    """Return where the weights of an interrupted run came from; None without a checkpoint."""
    if not has_checkpoint(folder.checkpoints):
        return None
    metadata = load_latest(folder.checkpoints)[1]["metadata"]
    return {name: metadata[name] for name in ("init", "priors")}


def _marks(labels: ExternalLabels, saved: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the checkpoint says of its labels; a run goes on with those that it began with."""
    found = marks(labels)
    if saved is not None and saved["priors"] != found:
        raise ConfigError(f"--resume: the labels were {saved['priors']}, now {found}")
    return found


def _first_weights(
    net: FaceSR, config: DerivedConfig, data: OpenedData, device: torch.device
) -> dict[str, Any]:
    """Load `--init`, or the student of the fitted priors; return where the weights come from."""
    if config.init is not None:
        return {"init": load_initial(net, config.init), "priors": None}
    if config.prior_source == EXTERNAL:  # no student of the faces is needed
        return {"init": None, "priors": None}
    size, priors = net.space.student_size, net.space.priors
    fitted = fitted_priors(config, priors, data, size=size, scale=net.scale, device=device)
    if fitted is None or net.student is None:
        return {"init": None, "priors": {}}
    fitted.load_into(net.student)
    marks = {"fingerprint": fitted.fingerprint, "tier": fitted.info.tier}
    return {"init": None, "priors": marks}


if __name__ == "__main__":
    sys.exit(ending.run(main, sys.argv[1:]))
