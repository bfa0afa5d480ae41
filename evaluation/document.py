"""A short report as Markdown, as one self-contained HTML file, and as PDF on A4."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from fpdf import FPDF
from fpdf.fonts import FontFace

MARGIN = 20.0
"""mm on every side of the PDF's pages."""
BODY = 12
LINE = 5.5
"""mm from line to line of the body text."""


@dataclass(frozen=True)
class Heading:
    """A section's title."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells, the first row the column names."""

    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A PNG file with a caption, as wide as the page unless `height` in mm bounds it in the PDF."""

    path: Path
    caption: str
    height: float = 120.0


Block = Heading | Paragraph | Table | Picture


def to_markdown(title: str, blocks: Sequence[Block], folder: Path) -> str:
    """The report as Markdown; pictures are linked relative to `folder`."""
    parts = [f"# {title}"]
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"## {block.text}")
        elif isinstance(block, Paragraph):
            parts.append(block.text)
        elif isinstance(block, Table):
            head, *rows = ["| " + " | ".join(row) + " |" for row in block.rows]
            parts.append("\n".join([head, "|" + "---|" * len(block.rows[0]), *rows]))
        else:
            place = block.path.relative_to(folder).as_posix()
            parts.append(f"![{block.caption}]({place})\n\n*{block.caption}*")
    return "\n\n".join(parts) + "\n"


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """The report as one HTML file with its pictures inside."""
    body = "\n".join(_html(block) for block in blocks)
    style = (
        "body{font:12pt Arial,sans-serif;max-width:45em;margin:2em auto;padding:0 1em}"
        "img{max-width:100%}td,th{text-align:left;padding:.1em 1em .1em 0}figure{margin:1em 0}"
    )
    name = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f"<style>{style}</style></head>\n<body>\n<h1>{name}</h1>\n{body}\n</body></html>\n"
    )


def to_pdf(title: str, blocks: Sequence[Block], path: Path) -> int:
    """Write the report to `path` in Helvetica (Arial's metrics) 12, one column; return its pages.

    Letters outside Latin-1 become question marks.
    """
    pdf = FPDF(format="A4")
    pdf.set_margin(MARGIN)
    pdf.set_auto_page_break(True, MARGIN)
    pdf.set_title(title)
    pdf.add_page()
    _line(pdf, title, 16, "B")
    for block in blocks:
        if isinstance(block, Heading):
            if pdf.will_page_break(5 * LINE):  # never the last line of a page
                pdf.add_page()
            pdf.ln(2)
            _line(pdf, block.text, 13, "B")
        elif isinstance(block, Paragraph):
            _line(pdf, block.text, BODY)
        elif isinstance(block, Table):
            _table(pdf, block)
        else:
            _picture(pdf, block)
    pdf.output(str(path))
    return pdf.page_no()


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h2>{html.escape(block.text)}</h2>"
    if isinstance(block, Paragraph):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Table):
        kinds = ["th", *["td"] * (len(block.rows) - 1)]
        rows = [
            "<tr>" + "".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in row) + "</tr>"
            for kind, row in zip(kinds, block.rows, strict=True)
        ]
        return "<table>\n" + "\n".join(rows) + "\n</table>"
    data = base64.b64encode(block.path.read_bytes()).decode()
    caption = html.escape(block.caption)
    image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")


def _line(pdf: FPDF, text: str, size: int, style: str = "") -> None:
    pdf.set_font("Helvetica", style, size)
    height = LINE * size / BODY
    pdf.multi_cell(0, height, _latin(text), align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(1.5)


def _table(pdf: FPDF, block: Table) -> None:
    pdf.set_font("Helvetica", "", 10)
    with pdf.table(headings_style=FontFace(emphasis="BOLD"), line_height=LINE) as table:
        for cells in block.rows:
            row = table.row()
            for cell in cells:
                row.cell(_latin(cell))
    pdf.ln(2)


def _picture(pdf: FPDF, block: Picture) -> None:
    width = pdf.w - 2 * MARGIN
    rows, columns = cv2.imread(str(block.path), cv2.IMREAD_GRAYSCALE).shape  # type: ignore[union-attr]
    height = min(block.height, width * rows / columns)
    if pdf.get_y() + height + 2 * LINE > pdf.h - MARGIN:  # the caption stays with its picture
        pdf.add_page()
    pdf.image(str(block.path), x=MARGIN, w=width, h=height, keep_aspect_ratio=True)
    pdf.ln(1)
    _line(pdf, block.caption, 10, "I")
