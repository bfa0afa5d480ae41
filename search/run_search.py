"""Search an architecture: `python search/run_search.py --priors parse heat dict`."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch  # noqa: E402

from data.batches import Batch, BatchMaker, batch_stream  # noqa: E402
from data.sources import OpenedData, Subset  # noqa: E402
from data.splits import half  # noqa: E402
from models.genotype import Genotype, save_genotype  # noqa: E402
from models.network import FaceSR  # noqa: E402
from models.size import fit_width, format_table, meta_count  # noqa: E402
from models.space import FRAME, Space  # noqa: E402
from priors.fitted import FittedPriors  # noqa: E402
from search.config import SearchConfig, preset_of, resolved, space_of  # noqa: E402
from search.derive import derive  # noqa: E402
from search.logits import Logits  # noqa: E402
from search.loop import Batches, SearchOutcome, SearchPlan, search  # noqa: E402
from search.picture import draw_genotype  # noqa: E402
from search.searcher import SearchOptions  # noqa: E402
from search.settle import settled, undecided  # noqa: E402
from train import ending, session  # noqa: E402
from train.prior_fit import fitted_priors  # noqa: E402
from train.run_folder import RunFolder, provenance  # noqa: E402

COMMAND = "search"
FOUND = "found.json"


def main(argv: Sequence[str]) -> int:
    """Search as the flags say; return the exit status (130 or 143 after a signal)."""
    begun = time.monotonic()
    config, found = session.read_flags(SearchConfig, COMMAND, argv, __doc__ or COMMAND)
    device = session.set_up_torch(config)
    config = resolved(config, device.type)
    space = space_of(config)
    print(describe(space, config.cap))
    data = session.open_faces(config, scale=space.scale)
    if config.dry_run:
        print("Dry run: all is there. Leave out --dry-run to search.")
        return 0
    folder = session.open_folder(config, COMMAND, found)
    fitted = fitted_priors(
        config, space.priors, data, size=space.student_size, scale=space.scale, device=device
    )
    torch.manual_seed(config.seed)
    net = FaceSR(space)
    if fitted is not None and net.student is not None:
        fitted.load_into(net.student)
    outcome = search(
        net,
        Logits(space, seed=config.seed),
        weight_batches=batches_of(config, space, data, 0, device),
        logit_batches=batches_of(config, space, data, 1, device),
        folder=folder,
        plan=plan_of(config, device),
        metadata=facts(config, data, fitted),
        device=device,
        resume=config.resume,
    )
    genotype = found_genotype(config, space, data, fitted, outcome)
    write(folder, space, genotype, outcome)
    print(summary(config, folder, genotype, outcome, time.monotonic() - begun))
    return 0


def describe(space: Space, cap: int) -> str:
    """Return the size of the space, and the modules of a network that it holds, as text."""
    decisions = [d for d in space.decisions() if len(d.options) > 1]
    uniform = {d.name: [1 / len(d.options)] * len(d.options) for d in decisions}
    example = space.restrict(derive(space, uniform, cap))
    with torch.device("meta"):
        table = format_table(FaceSR(example))
    return (
        f"{len(decisions)} open decisions; the supernet has {meta_count(space).total:,} "
        f"parameters, one network of it:\n{table}"
    )


def batches_of(
    config: SearchConfig, space: Space, data: OpenedData, which: int, device: torch.device
) -> Batches:
    """Return (start, stop) -> batches of one half of the training faces: 0 weights, 1 logits."""
    train, preset = data.train, preset_of(config)
    maker = BatchMaker(
        Subset(train, [i for i, name in enumerate(train.names) if half(name) == which]),
        seed=config.seed,
        faces=config.search_faces or preset.search_faces,
        crops=1,
        lq_crop=preset.search_lq_crop,
        degradation=config.degradation,
        scale=space.scale,
        stream=1 + which,
    )
    workers = (config.workers or 0) // 2

    gpu = device.type == "cuda"
    make = maker.in_bytes if gpu else maker

    def batches(start: int, stop: int) -> Generator[Batch]:
        yield from batch_stream(make, start, stop, workers, pinned=gpu)

    return batches


def plan_of(config: SearchConfig, device: torch.device) -> SearchPlan:
    """Return length and rates of a whole configuration."""
    preset = preset_of(config)
    options = SearchOptions(
        strategy=config.strategy,
        logits_lr=config.logits_lr or preset.logits_lr,
        bf16=session.wants_bf16(config.amp, device),
        seed=config.seed,
    )
    warmup = preset.search_warmup if config.search_warmup is None else config.search_warmup
    return SearchPlan(
        steps=config.steps,
        warmup=warmup,
        lr=config.search_lr or preset.search_lr,
        log_every=config.log_every,
        checkpoint_every=config.checkpoint_every or preset.checkpoint_every,
        cap=config.cap,
        options=options,
    )


def facts(
    config: SearchConfig, data: OpenedData, fitted: FittedPriors | None
) -> dict[str, str | int | None]:
    """Return where a genotype comes from, as its file keeps it."""
    return {
        "data": data.fingerprint,
        "train_data": data.train.fingerprint,
        "seed": config.seed,
        "strategy": config.strategy,
        "operations": config.operations,
        "preset": config.preset,
        "degradation": config.degradation,
        "prior_tier": None if fitted is None else fitted.info.tier,
        **{name: str(value) for name, value in provenance().items()},
    }


def found_genotype(
    config: SearchConfig,
    space: Space,
    data: OpenedData,
    fitted: FittedPriors | None,
    outcome: SearchOutcome,
) -> Genotype:
    """Return the most probable genotype under the cap, widened if the configuration says so."""
    chances = settled(space, outcome.probabilities, outcome.agreement)
    derived = space.restrict(derive(space, chances, config.cap))
    if config.fit_width == "on":
        derived = fit_width(derived, config.cap)
    return Genotype(
        space=derived,
        counts=meta_count(derived).named(),
        priors=dict.fromkeys(space.priors, "" if fitted is None else fitted.fingerprint),
        provenance={
            **facts(config, data, fitted),
            "architecture_steps": outcome.architecture_steps,
            "distance_from_uniform": outcome.distance,
            "entropy": outcome.entropy,
            "signal": outcome.signal,
            "undecided": len(undecided(space, outcome.agreement)),
        },
    )


def write(folder: RunFolder, space: Space, genotype: Genotype, outcome: SearchOutcome) -> None:
    """Write the genotype to the run and to ./found.json, and its picture to the run."""
    title = f"{folder.path.name}: {genotype.counts['total']:,} parameters"
    picture = folder.pictures / "found.png"
    draw_genotype(picture, space, genotype.space.choices(), outcome.probabilities, title)
    save_genotype(folder.path / FOUND, genotype)
    save_genotype(Path(FOUND), genotype)


def summary(
    config: SearchConfig,
    folder: RunFolder,
    genotype: Genotype,
    outcome: SearchOutcome,
    seconds: float,
) -> str:
    """Return what was found, how far the logits moved, and the next command."""
    found = genotype.space
    paths = (
        f"  {m:<7}{'-'.join(map(str, (found.trellis(m).start, *found.path(m))))}"
        for m in found.modules
    )
    frame = (f"  {n:<12}{option}" for n, option in found.choices().items() if n in FRAME)
    own = folder.path / FOUND
    file = FOUND if config.out is None else own.as_posix()
    flags = "".join(
        f" --{name} {value}"
        for name, value in (("data", config.data), ("val", config.val))
        if value is not None
    )
    lines = [
        "",
        "levels or depths along each path:",
        *paths,
        "around them:",
        *frame,
        f"architecture steps: {outcome.architecture_steps}",
        f"mean total-variation distance from uniform: {outcome.distance:.4f}",
        f"mean entropy (1 = uniform): {outcome.entropy:.4f}",
        f"agreement of the logits' gradients, rms t (1 = noise): {outcome.signal:.2f}",
        f"decisions left to the cheapest option: {genotype.provenance['undecided']}",
        f"parameters: {genotype.counts['parameters']:,}, with learned buffers "
        f"{genotype.counts['total']:,} (cap {config.cap:,})",
        f"genotype: {own} and {FOUND}",
        f"picture:  {folder.pictures / 'found.png'}",
        f"{seconds / 60:.1f} minutes",
        "",
        f"next: python train/train_derived.py --genotype {file}{flags}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(ending.run(main, sys.argv[1:]))
