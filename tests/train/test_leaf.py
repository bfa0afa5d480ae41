"""How commands on finished networks end, and what they say to a wrong flag."""

from __future__ import annotations

import pytest

from models.device import choose_device
from train.leaf import ended, network_parser


def _stopped() -> int:
    raise KeyboardInterrupt


def _elsewhere() -> int:
    choose_device("abacus")
    return 0


def _broken() -> int:
    raise ZeroDivisionError


def test_stops_and_known_errors_are_told_and_others_are_raised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended("restore", lambda: 0, ()) == 0
    assert ended("restore", _stopped, ()) == 130
    assert "restore: stopped" in capsys.readouterr().err
    assert ended("restore", _elsewhere, ()) == 2
    assert "restore: --device abacus: choose one of" in capsys.readouterr().err
    assert ended("restore", _broken, (ZeroDivisionError,)) == 2
    with pytest.raises(ZeroDivisionError):
        ended("restore", _broken, ())


def test_a_wrong_flag_is_answered_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        network_parser("Restore.", "folder").parse_args(["--chekpoint", "x"])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert "--chekpoint" in told
    assert told.count("\n") == 1
