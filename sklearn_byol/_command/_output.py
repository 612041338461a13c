"""Where the command prints: a screen, a file, or what has stopped to listen."""

import os
from typing import Any, TextIO


class Output:
    """An output that goes on in silence where nobody reads it any more.

    A program such as `head` ends when it has read enough; hours of training should not
    end with it.
    """

    def __init__(self, output: TextIO) -> None:
        self.output = output

    def write(self, text: str) -> int:
        """Write a text, or nothing."""
        try:
            return self.output.write(text)
        except BrokenPipeError:
            self._close()
            return len(text)

    def flush(self) -> None:
        """Write what was kept back."""
        try:
            self.output.flush()
        except BrokenPipeError:
            self._close()

    def _close(self) -> None:
        """Let all that follows go nowhere."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.output.fileno())

    def __getattr__(self, name: str) -> Any:
        """Be like the output in all else."""
        return getattr(self.output, name)
