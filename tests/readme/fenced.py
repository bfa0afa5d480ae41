"""Fenced blocks and links of a Markdown text."""

from __future__ import annotations

import re
from dataclasses import dataclass

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language ("" where none is given) and its text."""

    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The block's commands, one per line; comments and empty lines left out, joined at \\."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def blocks(markdown: str, language: str) -> list[Block]:
    """Return the fenced blocks of one language, in order."""
    found = [Block(name, text) for name, text in FENCE.findall(markdown)]
    return [block for block in found if block.language == language]


def links(markdown: str) -> list[str]:
    """Return the targets of links and pictures that are files of the repository."""
    return [target for target in LINK.findall(markdown) if "://" not in target]
