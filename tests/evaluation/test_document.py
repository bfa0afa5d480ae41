"""The report's three forms say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.folders import write_png
from evaluation.document import Heading, Paragraph, Picture, Table, to_html, to_markdown, to_pdf
from evaluation.submission_report import draw_curves, report_blocks

TEXTS = ("Model", "small & plain", "part", "12,345", "a caption")


@pytest.fixture
def blocks(tmp_path: Path) -> list[Heading | Paragraph | Table | Picture]:
    write_png(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    return [
        Heading("Model"),
        Paragraph("small & plain"),
        Table([("part", "parameters"), ("tail", "12,345")]),
        Picture(tmp_path / "a.png", "a caption"),
    ]


def test_markdown_links_its_pictures(blocks: list[object], tmp_path: Path) -> None:
    text = to_markdown("Report", blocks, tmp_path)  # type: ignore[arg-type]
    assert all(word in text for word in TEXTS)
    assert "](a.png)" in text


def test_html_holds_its_pictures_and_escapes(blocks: list[object]) -> None:
    text = to_html("Report", blocks)  # type: ignore[arg-type]
    assert "small &amp; plain" in text
    assert "data:image/png;base64," in text
    assert "http" not in text


def test_pdf_counts_its_pages(blocks: list[object], tmp_path: Path) -> None:
    assert to_pdf("Report", blocks, tmp_path / "r.pdf") == 1  # type: ignore[arg-type]
    assert to_pdf("Report", blocks * 12, tmp_path / "r.pdf") > 2  # type: ignore[arg-type]
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")


def test_the_report_shows_settings_scores_and_curves(tmp_path: Path) -> None:
    rows = [{"kind": "train", "step": s, "loss": 1.0 / s} for s in (1, 2, 3)]
    rows.append({"kind": "final", "step": 3, "subset_psnr": 28.0})
    assert draw_curves(rows, tmp_path / "curves.png")
    assert not draw_curves([], tmp_path / "none.png")
    metadata = {
        "kind": "zoo",
        "model": "srcnn",
        "scale": 4,
        "config": {"loss": ["l1"], "lr": 2e-4, "augment": []},
        "training": {"step": 3, "psnr": 28.1234567},
    }
    text = to_markdown(
        "Report",
        report_blocks(
            metadata,
            modules=[("conv1", 15616)],
            findings=["every rule kept"],
            pictures=[(tmp_path / "curves.png", "Curves.")],
        ),
        tmp_path,
    )
    for expected in ("srcnn, x4", "15,616", "0.0002", "28.1235", "none", "every rule kept"):
        assert expected in text
