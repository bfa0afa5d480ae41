"""The report: means, files, ranking, and the sheet of faces."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from evaluation.metrics import METRIC_DEFINITION
from evaluation.pictures import BAR, Row, sheet
from evaluation.report import ImageScores, Report, Score, results, table, write_results


def report() -> Report:
    images = tuple(
        ImageScores(name, (Score(p, 0.5), Score(p + 1, s)), Score(20.0, 0.4))
        for name, p, s in (("a", 24.0, 0.6), ("b", 28.0, 0.8), ("c", 23.0, 0.7))
    )
    return Report(images, 123, {"data": "somewhere"})


def test_results_are_means_of_the_last_pass() -> None:
    values = results(report())
    assert values["psnr"] == pytest.approx(26.0)
    assert values["ssim"] == pytest.approx(0.7)
    assert values["bicubic_psnr"] == 20.0
    assert (values["images"], values["parameters"]) == (3, 123)
    assert values["passes"][0] == {"psnr": pytest.approx(25.0), "ssim": 0.5}
    assert values["metric"] == METRIC_DEFINITION
    assert values["data"] == "somewhere"


def test_files_hold_what_the_report_says(tmp_path: Path) -> None:
    json_path, csv_path = write_results(report(), tmp_path / "new")
    assert json.loads(json_path.read_text()) == results(report())
    rows = list(csv.DictReader(csv_path.open()))
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert [float(row["psnr_pass2"]) for row in rows] == [25.0, 29.0, 24.0]
    assert {path.name for path in json_path.parent.iterdir()} == {"results.json", "per_image.csv"}


def test_without_lq_there_is_no_bicubic(tmp_path: Path) -> None:
    bare = Report((ImageScores("a", (Score(math.inf, 1.0),)),), None, {})
    assert results(bare)["bicubic_psnr"] is None
    assert results(bare)["psnr"] is None
    written = json.loads(write_results(bare, tmp_path)[0].read_text())
    assert written["parameters"] is None
    assert "bicubic" not in table(bare)


def test_the_table_tells_the_gain_of_every_pass() -> None:
    text = table(report())
    assert "pass 2" in text
    assert "+5.000" in text
    assert "+6.000" in text
    assert "3 images, 123 parameters" in text


def test_faces_are_ranked_by_the_last_pass() -> None:
    assert report().ranked() == [2, 0, 1]


def test_the_sheet_shows_the_very_pixels() -> None:
    rng = np.random.default_rng(0)
    hq, restored, bicubic = (rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(3))
    lq = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    row = Row("face", lq, bicubic, restored, hq)
    drawn = sheet([row, row])
    assert drawn.shape == (2 * (256 + BAR), 4 * 256, 3)
    cells = [drawn[BAR : BAR + 256, i * 256 : (i + 1) * 256] for i in range(4)]
    assert np.array_equal(cells[0][::16, ::16], lq)
    for cell, image in zip(cells[1:], (bicubic, restored, hq), strict=True):
        assert np.array_equal(cell[::4, ::4], image)
    assert sheet([Row("face", None, None, restored, hq)]).shape[1] == 2 * 256
    with pytest.raises(ValueError, match="at least one face"):
        sheet([])
