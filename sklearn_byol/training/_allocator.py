"""Keeping memory between the steps of a training on processors."""

import ctypes
import sys
import threading

__all__ = ["KEPT_MEMORY"]

# Parameters of mallopt(3), and what glibc's own adaptation ends in.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
NEVER = 2**31 - 1
USUAL_TRIM, USUAL_MMAP = 64 * 2**20, 32 * 2**20


class KeptMemory:
    """Lets glibc keep freed memory for a while, then give it back.

    A training frees and takes tensors of the same sizes over and over. glibc returns
    large ones to the operating system each time, which then has to clear every page of
    the next one: a tenth of the time of a step at 32 and 64 pixels. Other libraries for
    memory, and other systems than Linux, are left alone. Trainings may overlap: memory
    is given back when the last one leaves.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_inside = 0

    def __enter__(self) -> None:
        """Keep what is freed from now on."""
        with self.lock:
            self.n_inside += 1
            _set_thresholds(NEVER, NEVER)

    def __exit__(self, *error: object) -> None:
        """Give back what is free."""
        with self.lock:
            self.n_inside -= 1
            if not self.n_inside:
                _set_thresholds(USUAL_TRIM, USUAL_MMAP)


def _set_thresholds(trim: int, mmap: int) -> None:
    """Set from how many bytes on freed memory is given back."""
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    library.mallopt(TRIM_THRESHOLD, trim)
    library.mallopt(MMAP_THRESHOLD, mmap)
    if trim != NEVER:
        library.malloc_trim(0)


KEPT_MEMORY = KeptMemory()
