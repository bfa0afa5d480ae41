"""Time the parts of the project that set the pace of training; one line per thing measured."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    import numpy as np

# Heavy imports happen inside each benchmark, after it has chosen its number of threads.


def load_faces(count: int, side: int) -> list[np.ndarray]:
    """The first `count` faces of $FACES/train at `side`, uint8 RGB, or embedded faces without."""
    from data.folders import list_images, read_rgb
    from data.synthetic import render_face

    root = os.environ.get("FACES")
    if not root:
        return [render_face(index, size=side).image for index in range(count)]
    import cv2

    paths = list_images(Path(root) / "train")[:count]
    return [cv2.resize(read_rgb(path), (side, side), interpolation=3) for path in paths]


def benchmark_degradation(args: argparse.Namespace) -> dict[str, Any]:
    """Mean time of one call of `degrade` on one core, in ms, by preset.

    It is processor time of the whole process: equal to wall time on an idle machine, and not
    lengthened by other programs. The wall time stands in the file of `--out`.
    """
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import cv2

    from data.degradation import PRESETS, degrade
    from data.sampling import sample_rng

    cv2.setNumThreads(1)
    if args.dry_run:
        print(f"would time {args.faces} faces of {args.side} for {', '.join(PRESETS)}")
        return {}
    images = load_faces(min(args.faces, 16), args.side)
    result, wall = {}, {}
    for preset in PRESETS:
        for index in range(20):  # tables and caches are filled before the clock starts
            degrade(images[index % len(images)], sample_rng(args.seed, 0, index, 1), preset)
        begin, begin_wall = time.process_time(), time.perf_counter()
        for index in range(args.faces):
            degrade(images[index % len(images)], sample_rng(args.seed, 0, index), preset)
        result[preset] = 1e3 * (time.process_time() - begin) / args.faces
        wall[preset] = 1e3 * (time.perf_counter() - begin_wall) / args.faces
        print(f"{preset} mean_ms={result[preset]:.2f}", flush=True)
    return {"mean_ms": result, "mean_wall_ms": wall, "side": args.side, "faces": args.faces}


def benchmark_faces(args: argparse.Namespace) -> dict[str, Any]:
    """Mean time of drawing one embedded face on one core, in ms (processor time, as above)."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import cv2

    from data.synthetic import render_face

    cv2.setNumThreads(1)
    if args.dry_run:
        print(f"would time {args.faces} embedded faces of {args.side}")
        return {}
    render_face(0, size=args.side)
    begin = time.process_time()
    for index in range(args.faces):
        render_face(index, size=args.side)
    mean = 1e3 * (time.process_time() - begin) / args.faces
    print(f"embedded faces mean_ms={mean:.1f}, {1e3 / mean:.1f} a second")
    return {"mean_ms": mean, "side": args.side, "faces": args.faces}


def benchmark_size(args: argparse.Namespace) -> dict[str, Any]:
    """Sizes of random genotypes at the search's width, as shares of the cap."""
    import random
    import statistics

    from models.size import meta_count
    from models.space import CAP, PRIORS
    from search.config import SearchConfig, space_of
    from search.sample import random_genotype
    from train.flags import filled

    space = space_of(filled(SearchConfig(priors=PRIORS), args.preset))
    if args.dry_run:
        print(f"would count {args.genotypes} random genotypes of the {args.preset} space")
        return {}
    rng = random.Random(args.seed)
    shares = [meta_count(random_genotype(space, rng)).total / CAP for _ in range(args.genotypes)]
    median = statistics.median(shares)
    print(f"{args.preset} median={median:.3f} least={min(shares):.3f} most={max(shares):.3f}")
    return {"median": median, "shares": shares, "preset": args.preset}


def benchmark_networks(args: argparse.Namespace) -> dict[str, Any]:
    """Parameters and multiply-accumulates of the zoo, and of a searched network, as Markdown."""
    import torch

    from models.genotype import load_genotype
    from models.macs import count_macs
    from models.network import FaceSR
    from models.size import count
    from models.zoo import ZOO, build

    rows: dict[str, dict[str, float]] = {}
    with torch.device("meta"):
        nets = {} if args.dry_run else {name: build(name) for name in ZOO}
        for path in args.genotype:
            nets[str(path)] = FaceSR(load_genotype(path).space)
    print(f"| network | parameters | learned buffers | GMACs at {args.side} |")
    print("|---|---|---|---|")
    for name, net in nets.items():
        size, macs = count(net), count_macs(net, args.side)
        rows[name] = {**vars(size), "macs": macs}
        print(f"| {name} | {size.parameters:,} | {size.learned_buffers:,} | {macs / 1e9:.2f} |")
    return {"networks": rows, "side": args.side}


def benchmark_gpu(args: argparse.Namespace) -> dict[str, Any]:
    """Training steps a second on one device, the loader stubbed, and faces a second of the loader.

    float32, bfloat16 channels last, and the same compiled (on CUDA).
    """
    import dataclasses

    from data.batches import BatchMaker
    from models.device import choose_device
    from models.genotype import load_genotype
    from models.network import FaceSR
    from models.zoo import build
    from train.throughput import MODES, Pictures, loader_rate, measure, stub_batch

    device = choose_device(args.device)
    modes = args.modes or (list(MODES) if device.type == "cuda" else list(MODES)[:2])
    path = args.genotype
    name = args.model if path is None else str(path)
    what = f"{name}, batch {args.batch}, HQ {args.side}, {args.optimizer}, {device}"
    if args.dry_run:
        print(f"would time {args.steps} steps of {what}: {', '.join(modes)}")
        return {}
    import torch

    torch.backends.cudnn.benchmark = device.type == "cuda"
    batch = stub_batch(args.batch, args.side, 4, seed=args.seed)
    rows: dict[str, Any] = {}
    print(f"{what}\n| mode | steps/s | faces/s | in kernels | peak GiB | first steps s |")
    print("|---|---|---|---|---|---|")
    for mode in modes:
        row = measure(
            lambda: build(args.model) if path is None else FaceSR(load_genotype(path).space),
            mode,
            batch,
            steps=args.steps,
            device=device,
            optimizer=args.optimizer,
        )
        rows[mode] = dataclasses.asdict(row)
        share = "-" if row.kernel_share is None else f"{row.kernel_share:.0%}"
        peak = "-" if row.peak_bytes is None else f"{row.peak_bytes / 2**30:.2f}"
        print(
            f"| {mode} | {row.steps_per_second:.2f} | {row.faces_per_second:.1f} | {share} "
            f"| {peak} | {row.settling_seconds:.1f} |",
            flush=True,
        )
    rates = {}
    for degradation in args.degradations:
        maker = BatchMaker(
            Pictures(load_faces(16, args.side)),
            seed=args.seed,
            faces=args.batch,
            crops=1,
            lq_crop=None,
            degradation=degradation,
            scale=4,
        )
        rates[degradation] = loader_rate(maker, args.workers, args.batches)
        print(f"loader, {args.workers} workers, {degradation}: {rates[degradation]:.1f} faces/s")
    return {"what": what, "rows": rows, "workers": args.workers, "faces_per_second": rates}


BENCHMARKS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "degradation": benchmark_degradation,
    "faces": benchmark_faces,
    "size": benchmark_size,
    "networks": benchmark_networks,
    "gpu": benchmark_gpu,
}


def parse_args() -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--seed", type=int, default=0)
    common.add_argument("--out", type=Path, help="also write the numbers to this JSON file")
    common.add_argument("--device", default="auto", help="for what runs on a device (auto = best)")
    common.add_argument("--dry-run", action="store_true", help="say what would be timed, and stop")
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    degradation = what.add_parser(
        "degradation", parents=[common], help="HQ to LQ, on one core (always on the CPU)"
    )
    degradation.add_argument("--faces", type=int, default=300, help="calls per preset")
    degradation.add_argument("--side", type=int, default=512, help="HQ side in pixels")
    faces = what.add_parser("faces", parents=[common], help="embedded faces, on one core")
    faces.add_argument("--faces", type=int, default=60, help="faces drawn")
    faces.add_argument("--side", type=int, default=512, help="side in pixels")
    size = what.add_parser("size", parents=[common], help="random genotypes against the cap")
    size.add_argument("--genotypes", type=int, default=41, help="genotypes drawn")
    size.add_argument("--preset", choices=("lab", "cpu", "full"), default="lab")
    networks = what.add_parser("networks", parents=[common], help="sizes and costs of networks")
    networks.add_argument("--genotype", type=Path, nargs="*", default=[], help="found.json files")
    networks.add_argument("--side", type=int, default=128, help="LQ side in pixels")
    gpu = what.add_parser("gpu", parents=[common], help="training steps and the loader")
    gpu.add_argument("--model", default="msrresnet-16", help="network of the zoo")
    gpu.add_argument("--genotype", type=Path, help="found.json, instead of --model")
    gpu.add_argument("--batch", type=int, default=16, help="whole faces per step")
    gpu.add_argument("--side", type=int, default=512, help="HQ side in pixels")
    gpu.add_argument("--steps", type=int, default=40, help="timed steps")
    gpu.add_argument("--optimizer", default="adam", help="adam, adamw, sgd or muon")
    gpu.add_argument("--modes", nargs="*", choices=("fp32", "bf16", "compiled"))
    gpu.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="loader processes")
    gpu.add_argument("--batches", type=int, default=40, help="timed batches of the loader")
    gpu.add_argument("--degradations", nargs="*", default=["first-order", "second-order"])
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    result = BENCHMARKS[args.what](args)
    if args.out and result:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps({"benchmark": args.what, **result}, indent=1) + "\n")
    print("next: python search/run_search.py")


if __name__ == "__main__":
    main()
