"""Stopping cleanly: SIGTERM and SIGINT ask the loop to finish its step, save and leave."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(RuntimeError):  # noqa: N818 - it is not an error
    """The run was asked to stop and has saved; `code` is the exit status, 130 or 143."""

    def __init__(self, number: int, step: int) -> None:
        """Remember the signal and the step that was saved."""
        self.code = 128 + number
        name = signal.Signals(number).name
        super().__init__(f"stopped by {name} after step {step}; --resume goes on from there")


class StopRequest:
    """Context manager: inside it a signal is noted in `number`; a second one acts at once."""

    def __init__(self) -> None:
        """Nothing asked yet."""
        self.number: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        """Take over the two signals."""
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number in SIGNALS:
            signal.signal(number, self._before[number])  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        signal.signal(number, signal.SIG_DFL)
