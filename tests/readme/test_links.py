"""The documents' links lead somewhere, and the README shows what its tests can run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.readme.fenced import Block, blocks, links

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document: Path) -> None:
    gone = [link for link in links(document.read_text()) if not (document.parent / link).exists()]
    assert not gone


def test_blocks_are_told_apart_by_language() -> None:
    text = "x\n```bash\na \\\n  b\n# no\n\nc\n```\n```sh\nd\n```\n"
    assert [block.commands for block in blocks(text, "bash")] == [["a    b", "c"]]
    assert blocks(text, "sh") == [Block("sh", "d\n")]


def test_readme_names_scripts_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    commands = [
        command
        for language in ("bash", "sh")
        for block in blocks(text, language)
        for command in block.commands
    ]
    scripts = [word for command in commands for word in command.split() if "/" in word]
    named = [script for script in scripts if script.endswith((".py", ".sh"))]
    assert {"scripts/quickstart.sh", "scripts/test.sh"} <= set(named)
    assert not [script for script in named if not (ROOT / script).is_file()]
