"""Ctrl-C told from callbacks that ask to stop, as both raise KeyboardInterrupt."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self


class NotedInterrupts:
    """Notes whether a handler of a signal has raised, or may have, while inside.

    Any signal may be an interrupt, as SIGTERM is where its handler is Python's own for
    SIGINT. Handlers run in the main thread only; what is ignored stays ignored.
    """

    def __enter__(self) -> Self:
        """Put a handler around each that is there."""
        self.was_raised = False
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        if threading.current_thread() is threading.main_thread():
            for number in signal.valid_signals():
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Call the handler that was there, and note that it raises."""
        try:
            self._handlers[number](number, frame)
        except BaseException:
            self.was_raised = True
            raise

    def __exit__(self, *error: object) -> None:
        """Put handlers back, unless others have been put in their places meanwhile.

        Those may have raised as well.
        """
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)
            else:
                self.was_raised = True


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Let signals wait until what is inside is done; Ctrl-C is forgotten then.

    It is for the end of a training that an interrupt ends anyway.
    """
    came: list[int] = []
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        every = {number: signal.getsignal(number) for number in signal.valid_signals()}
        handlers = {number: it for number, it in every.items() if callable(it)}
    for number in handlers:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number in came:
        if number != signal.SIGINT:
            signal.raise_signal(number)
