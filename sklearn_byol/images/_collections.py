"""Images that come one by one: files, PIL images, arrays of any size, Datasets.

What is an array already, or becomes one, is no concern of this file.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skorch.helper import SliceDataset, SliceDict
from torch.utils.data import DataLoader, Dataset, IterableDataset

__all__ = ["EXTENSIONS", "Items", "as_items"]

# Files that a folder is searched for; a list may name any file that Pillow reads.
EXTENSIONS = (
    *(".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm"),
    *(".png", ".ppm", ".tif", ".tiff", ".webp"),
)
PATH, PICTURE, ARRAY, PAIR = "paths", "PIL images", "arrays", "tuples"


class Items:
    """Images that are read one at a time.

    Parameters
    ----------
    source : sequence
        What has a length and can be indexed: paths, PIL images, arrays, tensors, pairs
        (image, label) or dicts with an image.
    is_files : bool, default=False
        Whether the source holds paths.
    chosen : sequence of int, default=None
        Which of the source are images of these; None takes all.
    within : str, default=None
        The real path of the folder that files must not lead out of.
    """

    def __init__(
        self,
        source: Any,
        *,
        is_files: bool = False,
        chosen: Sequence[int] | None = None,
        within: str | None = None,
    ) -> None:
        self.source = source
        self.is_files = is_files
        self.within = within
        self.chosen = range(len(source)) if chosen is None else chosen

    def take(self, chosen: Sequence[int]) -> "Items":
        """Choose some of the images; errors name them as before."""
        places = [self.chosen[index] for index in chosen]
        return Items(
            self.source, is_files=self.is_files, chosen=places, within=self.within
        )

    def __len__(self) -> int:
        """Count the images."""
        return len(self.chosen)

    def __getitem__(self, index: int) -> Any:
        """Return a path, a PIL image, or an array; of a pair or a dict, its image.

        Raises
        ------
        ValueError
            If it is something else, or a link that leads out of the folder.
        """
        item = self.source[self.chosen[index]]
        if self.within and not _is_within(os.path.realpath(item), self.within):
            raise ValueError(
                "it is a link that leads out of the folder; a list of paths is followed"
            )
        if isinstance(item, (tuple, list)) and len(item):
            item = item[0]
        if isinstance(item, dict):
            item = _image_of_dict(item)
        if _kind(item) is None:
            raise ValueError(f"it is of type {type(item).__name__}, no image")
        return item

    def name(self, index: int) -> str:
        """Name an image in errors: its path, or its place."""
        place = self.chosen[index]
        return os.fspath(self.source[place]) if self.is_files else f"X[{place}]"


def as_items(X: Any, shape: tuple[int, ...] | None = None) -> Items | None:
    """Tell whether X holds images that are to be read one by one, and which.

    Parameters
    ----------
    X : object
        A folder; a list, tuple, array, Series or frame of one column with paths, PIL
        images or arrays of different sizes; a map-style Dataset, or the list of tuples
        that cross-validation makes of one.
    shape : tuple of int or None
        (height, width), with the channels before or after them, if it is known: a list
        of arrays of another shape is to be resized.

    Returns
    -------
    Items or None
        The images; None where X is an array or becomes one.

    Raises
    ------
    ValueError
        If kinds are mixed, a folder holds no images or is none, a frame has several
        columns of paths, or a path has been cut into its letters.
    TypeError
        If X cannot be indexed by numbers, as a generator, a dict or a DataLoader.
    """
    if isinstance(X, (str, os.PathLike)):
        return _items_below(X)
    _check_is_indexed(X)
    if _is_dataset(X):
        return Items(X)
    column = _column(X)
    if column is None or not len(column):
        return None
    kinds = {_kind(item) for item in column}
    is_list = isinstance(X, (list, tuple))
    if kinds == {None} or (kinds == {ARRAY} and is_list and _stacks(column, shape)):
        return None
    if kinds == {PATH} and is_list and len(X) > 1 and all(_is_letter(x) for x in X):
        raise ValueError(
            "X is a list of letters: a path that was cut like an array. Pass a "
            "pathlib.Path, or UnlabeledPool(path) for a pool."
        )
    if len(kinds) > 1:
        names = ", ".join(sorted(kind or "other objects" for kind in kinds))
        raise ValueError(f"X mixes {names}. Pass images of one kind.")
    return Items(column, is_files=kinds == {PATH})


def _items_below(path: str | os.PathLike[str]) -> Items:
    """Find the images below a folder; links that lead out of it are not followed."""
    text = os.fspath(path)
    if not text or "\0" in text or not Path(path).is_dir():
        raise ValueError(
            f"X is the path {text!r}, which is no folder. Pass a folder, or a "
            "list of paths of images."
        )
    return Items(_files_of(Path(path)), is_files=True, within=os.path.realpath(path))


def _files_of(folder: Path) -> list[str]:
    """List the images below a folder, sorted by path, but for what is hidden.

    Folders that are reached by a link that leads out are listed in place of what they
    hold, so that the link is told, or skipped, as a file that cannot be read.
    """
    top = os.path.realpath(folder)
    seen, files = set(), []
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link has led back
            folders.clear()
            continue
        seen.add(real)
        if not _is_within(real, top):
            files.append(place)
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [
            str(Path(place) / name)
            for name in names
            if name.lower().endswith(EXTENSIONS) and not name.startswith(".")
        ]
    if not files:
        raise ValueError(
            f"The folder {str(folder)!r} holds no images: no file below it ends in "
            f"{', '.join(EXTENSIONS)}."
        )
    return sorted(files)


def _is_within(path: str, folder: str) -> bool:
    """Tell whether a real path is that of a folder, or below it."""
    return path == folder or Path(folder) in Path(path).parents


def _check_is_indexed(X: Any) -> None:
    """Refuse what has no first, second and third image."""
    if hasattr(X, "toarray"):  # sparse, some as dicts: scikit-learn refuses it better
        return
    is_dataset = isinstance(X, Dataset) and not hasattr(X, "__len__")
    unordered = (IterableDataset, SliceDict, DataLoader, Iterator, dict, set, bytes)
    if is_dataset or isinstance(X, unordered):
        raise TypeError(
            f"X is a {type(X).__name__}, which has no first, second and third image. "
            "Pass a map-style Dataset, an array, or a list of images."
        )


def _is_dataset(X: Any) -> bool:
    """Tell Datasets of torch, skorch and Hugging Face from sequences and arrays.

    A Column is what Hugging Face's make of `dataset["image"]`.
    """
    if isinstance(X, (Dataset, SliceDataset)):
        return True
    kind = type(X)
    is_theirs = kind.__module__.split(".")[0] == "datasets"
    return is_theirs and kind.__name__ in {"Dataset", "Column"}


def _column(X: Any) -> Sequence[Any] | None:
    """Return what holds one object an image as a sequence, else None."""
    if isinstance(X, (list, tuple)):
        return X
    if isinstance(X, np.ndarray) and X.dtype.kind in "OUS":
        values = X
    elif hasattr(X, "to_numpy"):
        values = np.asarray(X.to_numpy())
    else:
        return None
    if values.dtype.kind not in "OUS" or values.ndim > 2 or not values.size:
        return None
    if values.ndim == 2 and values.shape[1] != 1:
        if all(_kind(value) is PATH for value in values[0]):
            raise ValueError(
                f"X has {values.shape[1]} columns of strings. Pass the one column that "
                "holds the paths."
            )
        return None
    return values.ravel().tolist()


def _kind(item: Any) -> str | None:
    """Name what an item is, None where it is no image."""
    if isinstance(item, (str, os.PathLike)):
        return PATH
    if isinstance(item, Image.Image):
        return PICTURE
    if isinstance(item, (np.ndarray, torch.Tensor)):
        return ARRAY if item.ndim in {2, 3} else None
    if isinstance(item, tuple) and item and _kind(item[0]) not in {None, PAIR}:
        return PAIR
    return None


def _stacks(column: Sequence[Any], shape: tuple[int, ...] | None) -> bool:
    """Tell whether arrays are of one shape, and that the one that is known."""
    shapes = {tuple(item.shape) for item in column}
    if len(shapes) > 1 or shape is None:
        return len(shapes) == 1
    found = shapes.pop()
    sides = {found} if len(found) == 2 else {found[:2], found[1:], found}
    return bool(sides & {tuple(shape), tuple(shape[:2]), tuple(shape[1:])})


def _is_letter(item: Any) -> bool:
    """Tell strings of one character."""
    return isinstance(item, str) and len(item) == 1


def _image_of_dict(item: dict[str, Any]) -> Any:
    """Find the image in an example of Hugging Face's."""
    for name in ("image", "img", *item):
        if _kind(item.get(name)) in {PICTURE, ARRAY}:
            return item[name]
    return item
