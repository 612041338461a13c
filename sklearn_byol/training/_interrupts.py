"""Ctrl-C told from callbacks that ask to stop, as both raise KeyboardInterrupt."""

import signal
import threading
from types import FrameType
from typing import Self


class NotedInterrupts:
    """Notes whether the handler of SIGINT that is there has raised, while inside.

    Handlers run in the main thread only: in any other nothing has to be noted, and
    nothing is changed where the program ignores the signal.
    """

    was_raised = False

    def __enter__(self) -> Self:
        """Put a handler around the one that is there."""
        self._handler = signal.getsignal(signal.SIGINT)
        is_main = threading.current_thread() is threading.main_thread()
        self._is_set = is_main and callable(self._handler)
        if self._is_set:
            signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Call the handler that was there, and note what it raises."""
        try:
            self._handler(number, frame)  # type: ignore[operator, misc]
        except BaseException:
            self.was_raised = True
            raise

    def __exit__(self, *error: object) -> None:
        """Put the handler back, unless another has been put in its place meanwhile."""
        if self._is_set and signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, self._handler)
