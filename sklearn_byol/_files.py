"""Files that are there as a whole or not at all."""

import os
import uuid
from pathlib import Path


def part_of(path: Path) -> Path:
    """Name the file that becomes a path when it is whole; no two get the same name."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")


def open_new(path: Path) -> int:
    """Open a file that must not be there yet, with the user's own permissions."""
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write under another name, to the disk itself, and rename.

    Parameters
    ----------
    path : Path
        What is there is replaced.
    content : bytes or memoryview
        What is written.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is still there.
    """
    part = part_of(path)
    try:
        with os.fdopen(open_new(part), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
