"""Small spaces and genotypes for the tests of models and search."""

from __future__ import annotations

from models.space import Space, Trellis, Width

TINY = Width(channels=16, growth=4, blocks=1, sr=8, prior=2, fusion=2, tail=(8, 8, 8))
SMALL = Space(
    sr_trellis=Trellis(layers=3, axis="level"),
    prior_trellis=Trellis(layers=2),
    fusion_trellis=Trellis(layers=2),
    width=TINY,
    student_size=64,
)
EDGES = [(n, s) for n in range(3) for s in ("s0", "s1", *(f"n{i}" for i in range(n)))]
PUBLISHED: dict[str, tuple[list[int], list[tuple[int, int]]]] = {
    "sr": ([1, 2, 2, 2, 3, 2], [(0, 0), (1, 0), (2, 2), (3, 0), (7, 1), (8, 3)]),
    "parse": ([1, 2, 1, 0, 1, 0], [(0, 1), (1, 1), (3, 1), (4, 3), (5, 3), (7, 0)]),
    "heat": ([0, 0, 0, 1, 0, 1], [(0, 3), (1, 1), (2, 2), (3, 2), (5, 1), (7, 2)]),
    "dict": ([0, 0, 1, 2, 1, 0], [(0, 0), (1, 1), (2, 3), (4, 0), (6, 1), (7, 0)]),
    "fusion": ([0, 1, 2, 1, 1, 2], [(0, 0), (1, 0), (2, 2), (4, 2), (7, 2), (8, 3)]),
}
"""Level (depth) per layer and (edge, operation) of MFPSNet's released genotypes."""


def published_choices(space: Space | None = None) -> dict[str, str]:
    """The released MFPSNet genotypes as choices of a six-layer space."""
    space = space or Space()
    operations = ("skip", "conv3", "conv5", "conv7")
    choices = {"fusion/weighting": "none"}
    for module, (path, cell) in PUBLISHED.items():
        trellis = space.trellis(module)
        node = trellis.start
        for layer, wanted in enumerate(path):
            targets = {trellis.target(node, t): t for t in trellis.exits(node)}
            choices[space.exit_name(module, layer, node)] = targets[wanted]
            node = wanted
        kept: dict[int, list[str]] = {}
        for edge, operation in cell:
            at, source = EDGES[edge]
            kept.setdefault(at, []).append(source)
            choices[f"{module}/cell/node{at}/{source}/op"] = operations[operation]
        for at, sources in kept.items():
            choices[f"{module}/cell/node{at}/inputs"] = "+".join(sources)
    return choices
