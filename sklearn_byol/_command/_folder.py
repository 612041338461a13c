"""The folder that the command is given: its images, their size and their labels."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from PIL import UnidentifiedImageError

from sklearn_byol.images._decode import ARRAY_ENDING, decode, look
from sklearn_byol.images._folders import is_within, list_images

N_LOOKED_AT = 200  # files whose size is read before training
N_COMPARED = 2_000  # images that are compared by their folders, at most
PICTURES = ("views", "neighbors")


@dataclass(frozen=True)
class Folder:
    """Where images are read from, and where the model and its pictures go."""

    name: str
    out: Path
    follows_links: bool = False

    @classmethod
    def of(cls, name: str, out: Path, *, follows_links: bool) -> Self:
        """Know the folder by its whole path, so that what is said holds anywhere."""
        whole = os.path.abspath(os.path.expanduser(name))  # noqa: PTH100, PTH111
        return cls(whole, out, follows_links)

    @property
    def pictures(self) -> dict[str, Path]:
        """Where each picture goes: beside the model."""
        return {
            name: self.out.with_name(f"{self.out.stem}_{name}.png") for name in PICTURES
        }

    def images(self) -> list[str]:
        """List the images."""
        return list_images(self.name, follow_links=self.follows_links)

    def code(self, *, skips: bool) -> str:
        """Write what lists the same images in Python, without those skipped."""
        more = ", follow_links=True" if self.follows_links else ""
        listed = f"list_images({self.name!r}{more})"
        return f"sorted(set({listed}) - set(byol.skipped_))" if skips else listed

    def holds(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether a path lies in the folder, where files would count as images."""
        inner = os.path.realpath(os.path.expanduser(path))  # noqa: PTH111  any user's
        return is_within(inner, os.path.realpath(self.name))


def shape_for(paths: Sequence[str], side: int) -> tuple[int, int] | None:
    """Choose what images are brought to: nothing if all are small and of one size."""
    sizes = set()
    for path in paths[:: -(-len(paths) // N_LOOKED_AT)]:
        try:
            sizes.add(_size(path))
        except (OSError, ValueError):
            continue  # fit says what is wrong with it
    if not sizes:
        return None
    is_small = len(sizes) == 1 and max(max(sizes)) <= side
    return None if is_small else (side, side)


def _size(path: str) -> tuple[int, ...]:
    """Return height and width of an image; decode it where nothing else tells."""
    if not path.lower().endswith(ARRAY_ENDING):
        try:
            return look(path).size[::-1]
        except UnidentifiedImageError:  # a TIFF that only tifffile reads
            pass
    return decode(path, None).pixels.shape[1:]


def folders_of(paths: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Return some of the paths and their folders' names, where several hold images.

    Folders of a single image are left out, since none is like it.
    """
    names = [Path(path).parent.name for path in paths]
    counts = Counter(names)
    kept = [i for i, name in enumerate(names) if counts[name] > 1]
    if len({names[i] for i in kept}) < 2:
        return None
    rng = np.random.default_rng(0)
    kept = sorted(rng.permutation(kept)[:N_COMPARED])
    return [paths[i] for i in kept], [names[i] for i in kept]
