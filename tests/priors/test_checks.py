"""The checks of the priors: each passes what is good and fails the trivial solution it names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.synthetic import render_face
from data.validation import fixed_lq
from priors import check_priors
from priors.checks import check, nme
from priors.decode import box_psnr
from priors.fitted import FittedPriors
from priors.geometry import move_points, small_similarity, warp_image
from priors.truth import mapped_nme, matched_iou
from priors.verdict import ahead, at_least, at_most, between, table
from tests.priors.conftest import Faces
from train import ending


def test_a_verdict_is_the_comparison() -> None:
    assert at_least("a", 0.8, 0.8).passed
    assert not at_least("a", 0.79, 0.8).passed
    assert at_most("a", 0.8, 0.8).passed
    assert not at_most("a", 0.81, 0.8).passed
    assert between("a", 0.2, 0.15, 0.4).passed
    assert not between("a", 0.1, 0.15, 0.4).passed
    assert ahead("a", 2.0, 1.0, 1.0).passed
    assert not ahead("a", 1.9, 1.0, 1.0).passed
    text = table([at_least("good", 1, 0, 0.5), at_least("bad", 0, 1)])
    assert [line.endswith("FAILED") for line in text.splitlines()] == [False, False, True]


def test_a_similarity_moves_pixels_and_points_alike() -> None:
    side = 128
    for seed in range(4):
        move = small_similarity(np.random.default_rng(seed))
        for x, y in ((0.3, 0.4), (0.7, 0.6)):
            grid = (np.arange(side) + 0.5) / side
            dot = np.exp(-((grid[None] - x) ** 2 + (grid[:, None] - y) ** 2) / (2 * 0.02**2))
            moved = warp_image(dot.astype(np.float32), move)
            found = np.array([(moved.sum(0) * grid).sum(), (moved.sum(1) * grid).sum()])
            wanted = move_points(np.array([x, y]), move)
            np.testing.assert_allclose(found / moved.sum(), wanted, atol=0.5 / side)
            assert np.abs(wanted - (x, y)).max() > 1e-4


def test_the_student_that_never_moves_fails(fitted: FittedPriors, faces: Faces) -> None:
    hqs = [faces.image(i) for i in range(6)]
    pairs = [(fixed_lq(hq, i, degradation="first-order", scale=4), hq) for i, hq in enumerate(hqs)]
    found = {one.name: one for one in check(fitted, pairs, faces.images[:8])}
    assert len(found) == 17
    codes = found["dict: PSNR in part boxes, decoded HQ codes"]
    assert codes.partner is not None
    assert codes.value > codes.partner, "a face's own codes rebuild it better than another's"
    mean = (fitted.teachers.heat.mean + 0.5) / 128  # type: ignore[union-attr]
    assert nme(mean[None], mean[None]) == 0
    moves = found["heat: how far points are from their mean, %"]
    assert moves.partner == 0


def test_decoding_tells_own_codes_from_noise(fitted: FittedPriors, faces: Faces) -> None:
    codes = fitted.teachers.dict
    assert codes is not None
    own, other = box_psnr(codes, faces.images[:10], [faces.image(i) for i in range(10, 14)])
    assert own > other + 0.5
    deaf = replace(codes, codebook=np.zeros_like(codes.codebook))
    same, shuffled = box_psnr(deaf, faces.images[:10], [faces.image(i) for i in range(10, 14)])
    assert same == pytest.approx(shuffled)


def test_truth_is_met_by_itself_and_not_by_noise() -> None:
    drawn = [render_face(i, 48) for i in range(40)]
    parse = np.stack([face.parse for face in drawn])
    assert matched_iou(parse, parse) > 0.98
    shuffled = np.random.default_rng(0).permutation(parse.max() + 1)[parse]
    same = pytest.approx(matched_iou(parse, parse))
    assert matched_iou(shuffled, parse) == same, "names of classes do not matter"
    noise = np.random.default_rng(0).integers(0, 12, parse.shape)
    assert matched_iou(noise, parse) < 0.2
    rng = np.random.default_rng(1)
    points = rng.normal(0.5, 0.02, (80, 6, 2))
    landmarks = points[:, ::-1] * 0.5 + 0.1
    assert mapped_nme(points, landmarks) < 0.2
    assert mapped_nme(np.full_like(points, 0.5), landmarks) > 2.0


def test_the_command_writes_tables_and_pictures_and_exits_by_what_fails(
    fitted: FittedPriors,
    run_root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_priors, "told_fit", lambda *_, **__: fitted)
    monkeypatch.setattr(check_priors, "TRUE_FACES", 8)
    monkeypatch.setattr(check_priors, "CHECKED", 4)
    few = ["--synthetic-count", "12", "--synthetic-val", "4", "--preset", "quick"]
    assert ending.run(check_priors.main, [*few, "--out", "out", "--threads", "2"]) == 1
    told = capsys.readouterr().out
    assert "checks fail" in told
    content = json.loads(Path("out/checks.json").read_text())["checks"]
    assert set(content) == {"validation", "training", "embedded truth"}
    assert {"faces.png", "sweep.png", "codes.png"} <= {p.name for p in Path("out").iterdir()}
