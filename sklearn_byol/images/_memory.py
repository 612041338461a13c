"""How much memory there is for images: of the machine, or of a container on it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil

GROUPS = Path("/sys/fs/cgroup")
MINE = Path("/proc/self/cgroup")
# Files of control groups, by their version: the limit, what is used, and what of that
# the system drops when it needs room, as copies of files.
FILES = {
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def available_memory() -> int:
    """Return the bytes that this process may still take without swapping.

    Linux limits the memory of containers and of jobs by control groups, of which psutil
    does not know: there the system ends a process that takes more.
    """
    return min([psutil.virtual_memory().available, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Yield what is left in each control group that this process is in."""
    with contextlib.suppress(OSError):  # another system
        for line in MINE.read_text(encoding="utf-8").splitlines():
            number, names, place = line.split(":", 2)
            if number == "0":
                yield from _left(GROUPS, place, 2)
            elif "memory" in names.split(","):
                yield from _left(GROUPS / "memory", place, 1)


def _left(root: Path, place: str, version: int) -> Iterator[int]:
    """Yield what is left in a group and in those that it is part of.

    In a container its own group is the root, whatever it is called outside.
    """
    limit, used, droppable = FILES[version]
    inner = PurePosixPath(place.lstrip("/"))
    for group in (inner, *inner.parents):
        folder = root / group
        with contextlib.suppress(OSError, ValueError):  # no limit is "max", or no file
            most = int((folder / limit).read_text(encoding="utf-8"))
            taken = int((folder / used).read_text(encoding="utf-8"))
            stat = (folder / "memory.stat").read_text(encoding="utf-8")
            known = dict(line.split() for line in stat.splitlines())
            yield max(0, most - taken + int(known.get(droppable, 0)))
