"""A batch is a pure function of (seed, step), and its parts fit together."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import data.batches as batches_module
from data.batches import Batch, BatchMaker, batch_stream
from data.cache import packed
from data.errors import DataError
from data.sources import FaceSource, FolderSource

SIDE = 64


class Ramps:
    """Faces whose pixels say which face and which place they are from."""

    side = SIDE
    fingerprint = "0" * 16

    def __init__(self, count: int) -> None:
        self.names: Sequence[str] = [f"ramp-{i}" for i in range(count)]

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> np.ndarray:
        y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.uint8)
        return np.dstack([np.full_like(x, i), y, x])


def maker(source: FaceSource, **changed: Any) -> BatchMaker:
    settings: dict[str, Any] = {
        "seed": 3,
        "faces": 2,
        "crops": 3,
        "lq_crop": 8,
        "degradation": "second-order",
        "scale": 4,
    }
    return BatchMaker(source, **(settings | changed))


def digest(batch: Batch) -> str:
    parts = [batch.lq, batch.hq, batch.face, batch.owner, batch.top, batch.left]
    joined = b"".join(part.numpy().tobytes() for part in parts) + "".join(batch.names).encode()
    return hashlib.sha256(joined).hexdigest()


def nearest(hq: np.ndarray, _rng: np.random.Generator, _preset: str, scale: int) -> np.ndarray:
    return hq[::scale, ::scale]


def test_shapes_ranges_and_owners() -> None:
    batch = maker(Ramps(5))(0)
    assert batch.lq.shape == (6, 3, 8, 8)
    assert batch.hq.shape == (6, 3, 32, 32)
    assert batch.face.shape == (2, 3, 16, 16)
    assert batch.owner.tolist() == [0, 0, 0, 1, 1, 1]
    assert batch.lq.dtype == batch.hq.dtype == batch.face.dtype == torch.float32
    assert batch.top.dtype == batch.left.dtype == batch.owner.dtype == torch.int64
    assert 0 <= float(batch.lq.min()) <= float(batch.lq.max()) <= 1
    assert batch.lq.is_contiguous()
    assert batch.to("cpu").names == batch.names


def test_workers_change_nothing(tmp_path: Path, make_folder: Callable[..., Path]) -> None:
    faces = packed(FolderSource(make_folder("faces", 5), SIDE), tmp_path / "cache")
    wanted = [digest(maker(faces)(step)) for step in range(2, 8)]
    state = torch.get_rng_state()
    for workers in (0, 1, 2):
        got = [digest(batch) for batch in batch_stream(maker(faces), 2, 8, workers)]
        assert got == wanted, workers
    assert torch.equal(torch.get_rng_state(), state)
    assert len(set(wanted)) == len(wanted)


def test_order_of_calls_seed_and_stream() -> None:
    first = maker(Ramps(5))
    late = digest(first(7))
    first(0)
    assert digest(first(7)) == late
    assert digest(maker(Ramps(5), seed=4)(7)) != late
    assert digest(maker(Ramps(5), stream=1)(7)) != late


@pytest.mark.parametrize(("count", "faces"), [(7, 3), (6, 2), (2, 5)])
def test_each_face_comes_once_per_epoch(count: int, faces: int) -> None:
    made = maker(Ramps(count), faces=faces)
    steps = 3 * count
    order = [i for step in range(steps) for i in made.face_numbers(step)]
    epochs = [tuple(order[at : at + count]) for at in range(0, len(order), count)]
    assert all(Counter(epoch) == Counter(range(count)) for epoch in epochs)
    if count > 2:
        assert len(set(epochs)) > 1


def test_crops_are_cut_from_their_face_at_the_same_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches_module, "degrade", nearest)
    mirrored = set()
    for step in range(12):
        batch = maker(Ramps(5))(step)
        for n in range(6):
            k, top, left = int(batch.owner[n]), int(batch.top[n]), int(batch.left[n])
            assert top % 2 == left % 2 == 0
            assert torch.equal(batch.lq[n], batch.face[k, :, top : top + 8, left : left + 8])
            assert torch.equal(batch.lq[n], batch.hq[n, :, ::4, ::4])  # HQ crop = crop of the HQ
            number, row, column = (batch.hq[n] * 255).round().int()
            assert batch.names[k] == f"ramp-{int(number[0, 0])}"
            assert int(row[0, 0]) == 4 * top
            flipped = int(column[0, 0]) > int(column[0, -1])
            mirrored.add(flipped)
            assert int(column[0, 0]) == (SIDE - 1 - 4 * left if flipped else 4 * left)
    assert mirrored == {False, True}


def test_without_flip_nothing_is_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "degrade", nearest)
    for step in range(8):
        batch = maker(Ramps(5), flip=False, lq_crop=None, crops=1)(step)
        assert bool((batch.hq[:, 2, 0, 0] < batch.hq[:, 2, 0, -1]).all())


def test_flip_comes_before_the_degradation(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(hq: np.ndarray, rng: np.random.Generator, preset: str, scale: int) -> np.ndarray:
        seen.append(hq)
        return nearest(hq, rng, preset, scale)

    monkeypatch.setattr(batches_module, "degrade", spy)
    batch = maker(Ramps(5), lq_crop=None, crops=1)(1)
    for k in range(2):
        assert np.array_equal((batch.hq[k] * 255).round().permute(1, 2, 0).numpy(), seen[k])


def test_whole_faces_are_their_own_crop() -> None:
    batch = maker(Ramps(5), lq_crop=None, crops=1, faces=3)(0)
    assert torch.equal(batch.lq, batch.face)
    assert batch.hq.shape == (3, 3, SIDE, SIDE)
    assert batch.owner.tolist() == [0, 1, 2]
    assert batch.top.tolist() == batch.left.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"lq_crop": 20}, "at most the LQ side 16"),
        ({"lq_crop": 7}, "multiple of 2"),
        ({"lq_crop": None}, "one crop per face"),
        ({"faces": 0}, "at least one"),
        ({"degradation": "third-order"}, "one of second-order, first-order"),
        ({"scale": 3}, "multiple of the scale"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        maker(Ramps(5), **changed)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_names_the_face(workers: int) -> None:
    class Broken(Ramps):
        def image(self, i: int) -> np.ndarray:
            raise DataError("cannot be decoded")

    with pytest.raises(DataError, match="cannot be decoded") as caught:
        next(batch_stream(maker(Broken(1)), 0, 1, workers))
    whole = str(caught.value) + "".join(getattr(caught.value, "__notes__", []))
    assert "ramp-0" in whole
    assert "step 0" in whole


def test_signals_to_the_group_are_left_to_the_main_process() -> None:
    """SIGINT and SIGTERM reach the workers too; batches still come, and the end does not hang."""
    code = """
    import os, signal, sys
    sys.path.insert(0, ".")
    import numpy as np
    from data.batches import BatchMaker, batch_stream

    class Plain:
        side, names, fingerprint = 64, ["a", "b"], ""
        def __len__(self): return 2
        def image(self, i): return np.full((64, 64, 3), i, np.uint8)

    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, lambda number, _: print("asked to stop", number, flush=True))
    made = BatchMaker(Plain(), seed=0, faces=2, crops=1, lq_crop=None,
                      degradation="first-order", scale=4)
    for step, batch in enumerate(batch_stream(made, 0, 8, 1)):
        if step in (2, 7):
            os.killpg(os.getpgrp(), signal.SIGINT if step == 2 else signal.SIGTERM)
    print("steps", step + 1)
    held = batch_stream(made, 0, 8, 1)  # still running when the program ends
    next(held)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )
    lines = done.stdout.splitlines()
    assert lines == ["asked to stop 2", "asked to stop 15", "steps 8"], done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_bytes_for_a_gpu_become_the_same_batches_bit_for_bit(workers: int) -> None:
    made = maker(Ramps(4))
    for step, sent in enumerate(batch_stream(made.in_bytes, 0, 3, workers)):
        assert sent.hq.dtype == sent.lq.dtype == sent.face.dtype == torch.uint8
        assert digest(sent.to("cpu")) == digest(made(step))
