"""The rules: what a network may be, and what must be known of its weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.rules import audit
from models.zoo import build
from models.zoo.rdb_plain import RDBPlain

CLEAN: dict[str, Any] = {
    "fingerprints": {"data": "ab", "val": "cd"},
    "held_out_trained_on": [],
    "init": None,
    "commit": "0123",
    "priors": {"tier": "quick", "fingerprint": "ef"},
}


def test_a_network_trained_on_the_faces_alone_keeps_every_rule() -> None:
    findings = audit(build("srcnn"), CLEAN)
    assert all(finding.kept for finding in findings)
    assert "20,099 parameters" in findings[0].text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fingerprints": None}, "nothing is recorded about the faces"),
        ({"held_out_trained_on": ["00001", "00002"]}, "trained on 2 validation faces: 00001"),
        ({"held_out_trained_on": None}, "not recorded whether validation faces"),
        ({"priors": {"tier": "external", "fingerprint": "ef"}}, "tier 'external'"),
        ({"priors": {"fingerprint": "ef"}}, "tier None"),
        ({"init": "somewhere"}, "unknown origin"),
        ({"perceptual": {"noncompliant": "VGG-16 features"}}, "perceptual loss with VGG-16"),
        ({"perceptual": {"file": "b.pth", "metadata": {}}}, "b.pth: nothing is recorded"),
        ({"init": {"file": "a.pth", "sha256": "0", "metadata": {}}}, "a.pth: nothing is recorded"),
        (
            {
                "init": {
                    "file": "a.pth",
                    "sha256": "0",
                    "metadata": {**CLEAN, "priors": {"tier": "external"}},
                }
            },
            "a.pth: priors of the tier 'external'",
        ),
    ],
)
def test_what_the_rules_forbid_is_found(change: dict[str, Any], said: str) -> None:
    broken = [f.text for f in audit(build("srcnn"), {**CLEAN, **change}) if not f.kept]
    assert len(broken) == 1
    assert said in broken[0]


@pytest.mark.parametrize(("channels", "kept"), [(68, True), (69, False)])
def test_the_cap_is_strict(channels: int, kept: bool) -> None:
    with torch.device("meta"):
        net = RDBPlain(channels=channels)
    assert audit(net, CLEAN)[0].kept is kept
