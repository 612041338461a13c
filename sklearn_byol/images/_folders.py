"""The images below a folder: which, in which order, and what is passed over."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sklearn_byol.exceptions import ImagesWarning, warn
from sklearn_byol.images._decode import endings

N_ENDINGS = 5  # that a warning names
OF_SYSTEMS = frozenset({"thumbs.db", "desktop.ini"})  # what Windows writes everywhere


def list_images(
    folder: str | os.PathLike[str], *, follow_links: bool = False
) -> list[str]:
    """List the images below a folder, in the order in which fit and transform read it.

    Names are compared folder by folder, as `sorted(Path(folder).rglob("*"))` does it,
    but on Windows, where that takes "B" for "b"; where each class has a folder of its
    own that holds files only, this is the order of torchvision's `ImageFolder` too. So
    labels can be made before a fit, and are the same on all systems.

    Parameters
    ----------
    folder : str or PathLike
        The folder; "~" is that of the user.
    follow_links : bool, default=False
        Whether links that lead out of the folder are followed, also to other folders.
        A folder that `fit` is given is read without them: they are listed themselves
        then, and `fit` names them as what it does not read.

    Returns
    -------
    list of str
        The paths of all files whose ending Pillow knows, and of those that end in .npy.
        Hidden files and folders are passed over.

    Raises
    ------
    ValueError
        If there is no such folder, or no image below it.

    Warns
    -----
    ImagesWarning
        If other files are passed over; it counts them by their endings.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from PIL import Image
    >>> from sklearn_byol import list_images
    >>> photos = Path(mkdtemp())
    >>> for name in ("cell", "cell wall"):
    ...     (photos / name).mkdir()
    ...     Image.new("L", (8, 8)).save(photos / name / "0.png")
    >>> [Path(path).parent.name for path in list_images(photos)]
    ['cell', 'cell wall']
    """
    path = checked_folder(folder)
    found = Found()
    _walk(path, found, follow_links=follow_links)
    found.tell(path)
    return sorted(found.files, key=_parts)


@dataclass
class Found:
    """What a folder holds: images, and what is no image, by its cause."""

    files: list[str] = field(default_factory=list)
    by_ending: Counter[str] = field(default_factory=Counter)
    n_hidden: int = 0
    closed: list[OSError] = field(default_factory=list)  # folders that are not read

    def take(self, place: str, name: str) -> None:
        """Count a file among the images, or among what is passed over."""
        ending = os.path.splitext(name)[1].lower()  # noqa: PTH122  once for each file
        is_hidden = name.startswith(".")
        if ending not in endings():
            is_told = not is_hidden and name.lower() not in OF_SYSTEMS
            self.by_ending[ending] += is_told
        elif is_hidden:
            self.n_hidden += 1
        else:
            self.files.append(os.path.join(place, name))  # noqa: PTH118  as above

    def tell(self, folder: Path) -> None:
        """Warn of what is passed over; raise where nothing else is there."""
        causes = self._causes()
        if not self.files:
            there = f" It holds {causes}." if causes else ""
            raise ValueError(
                f"The folder {str(folder)!r} holds no images: no file below it ends in "
                f".png, .jpg, .tif, .npy or what else Pillow reads.{there} For other "
                "formats write a Dataset: see the user guide, Images."
            )
        if causes:
            warn(
                f"Below {str(folder)!r} {len(self.files)} images are read. Passed "
                f"over: {causes}. Silence this by filtering "
                "sklearn_byol.exceptions.ImagesWarning, or pass the list of paths.",
                ImagesWarning,
            )

    def _causes(self) -> str:
        """Say in words what is passed over, and why."""
        causes = []
        if n_others := self.by_ending.total():
            most = self.by_ending.most_common(N_ENDINGS)
            named = ", ".join(f"{ending or 'none'} {n}" for ending, n in most if n)
            causes.append(f"{n_others} with other endings ({named})")
        if self.n_hidden:
            causes.append(f"{self.n_hidden} hidden")
        if self.closed:
            causes.append(f"{len(self.closed)} folders that may not be read")
        return " and ".join(causes)


def checked_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the path of a folder that is there; "~" is that of the user."""
    text = os.fspath(folder)
    path = Path(os.path.expanduser(text))  # noqa: PTH111  of a name without a home too
    if not text or "\0" in text or not path.is_dir():
        raise ValueError(
            f"X is the path {text!r}, which is not a folder. Pass a folder, or a list "
            "of paths of images."
        )
    return path


def is_within(path: str, folder: str) -> bool:
    """Tell whether a path really is that of a folder, or below it."""
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _walk(path: Path, found: Found, *, follow_links: bool) -> None:
    """Go through a folder and what is linked within it, each real folder once.

    A folder that is reached by a link that leads out is taken in place of what it
    holds, so that the link is told, or skipped, as a file that cannot be read.
    """
    top, seen = os.path.realpath(path), set[str]()
    walk = os.walk(path, followlinks=True, onerror=found.closed.append)
    for place, folders, names in walk:
        real = os.path.realpath(place)
        if (
            place != str(path)
            and Path(place).is_symlink()
            and _is_read_itself(real, top)
        ):
            folders.clear()  # the folder itself is read anyway
            continue
        is_out = not (follow_links or is_within(real, top))
        if is_out:
            found.files.append(place)
        if is_out or real in seen:  # a link has led back: it is read already
            folders.clear()
            continue
        seen.add(real)
        folders[:] = _not_hidden(folders)
        for name in names:
            found.take(place, name)


def _is_read_itself(real: str, top: str) -> bool:
    """Tell whether a folder is below the top one, with no part of its path hidden."""
    below = Path(real).relative_to(top).parts if is_within(real, top) else (".",)
    return not any(name.startswith(".") for name in below)


def _parts(path: str) -> list[str]:
    """Cut a path into its names, by which paths are sorted."""
    return path.split(os.sep)  # noqa: PTH206  in a tenth of the time


def _not_hidden(folders: list[str]) -> Iterator[str]:
    """Leave out folders that are hidden, in the order of their names."""
    return (name for name in sorted(folders) if not name.startswith("."))
