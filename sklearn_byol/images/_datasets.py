"""Images that come one by one: files, PIL images, arrays of any size, Datasets.

What is an array already, or becomes one, is no concern of this file.
"""

import array
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self, TypeGuard

import numpy as np
import torch
from skorch.helper import SliceDataset, SliceDict
from torch.utils.data import DataLoader, Dataset, IterableDataset

from sklearn_byol.exceptions import UnreadableImagesError
from sklearn_byol.images import _decode
from sklearn_byol.images._array_images import Decoded
from sklearn_byol.images._causes import (
    UNREADABLE,
    Cause,
    NotReadError,
    cause_in_dataset,
    cause_of,
)
from sklearn_byol.images._examples import (
    ARRAY,
    MISSING,
    PATH,
    image_of,
    kind_of,
    kinds_of,
)
from sklearn_byol.images._folders import checked_folder, is_within, list_images
from sklearn_byol.images._layout import Pixels, Shape
from sklearn_byol.images._one_image import refuse_file, refuse_one

# But for sparse ones, some of which are dicts: scikit-learn refuses them better.
UNORDERED = (IterableDataset, SliceDict, DataLoader, Iterator, dict, set, bytes)
N_LETTERS = 36  # of a cause that is said once for several images
N_NAMED = 5  # unreadable images that an error names

N_LOOKED_AT = 64  # images, evenly spaced, to find one that is like most

Failures = dict[int, Cause]  # why images cannot be decoded, by their indices


@dataclass(frozen=True)
class Items:
    """Images that are read one at a time: those of a source that are chosen.

    The source has a length and can be indexed: paths, PIL images, arrays, tensors,
    pairs (image, label) or dicts with an image. Files do not lead out of a folder,
    where they are within one: its real path.
    """

    source: Any
    chosen: Sequence[int]
    is_files: bool = False
    within: str | None = None
    is_computed: bool = False  # as those of a Dataset are, at each access
    column: str | None = None  # its name, where they are the one of a frame

    def take(self, indices: Iterable[int]) -> Self:
        """Choose some of the images; errors name them as before."""
        return replace(self, chosen=[self.chosen[index] for index in indices])

    def __len__(self) -> int:
        """Count the images."""
        return len(self.chosen)

    def item(self, index: int) -> _decode.Item:
        """Return an image as it is; of a pair or a dict, its image."""
        item = self.source[self.chosen[index]]
        if self.within and not is_within(item, self.within):
            raise NotReadError(
                "it is a link that leads out of the folder; pass "
                "list_images(folder, follow_links=True) to follow it"
            )
        return image_of(item)

    @property
    def names(self) -> list[str]:
        """Name the images in errors: their paths, or their places."""
        if self.is_files:
            held = ((place, self.source[place]) for place in self.chosen)
            return [
                os.fspath(it) if kind_of(it) is PATH else f"X[{n}]" for n, it in held
            ]
        return [f"X[{place}]" for place in self.chosen]

    def name(self, index: int) -> str:
        """Name one image in errors."""
        return self.take([index]).names[0]

    def decode(self, index: int, shape: Shape | None, mode: str) -> Decoded | Cause:
        """Decode one image, or say in a few words why it cannot be."""
        try:
            item = self.item(index)
        except UNREADABLE as error:
            return cause_of(error) if self.is_files else cause_in_dataset(error)
        try:
            return _decode.decode(item, shape, mode)
        except UNREADABLE as error:
            return cause_of(error)

    def first(
        self, shape: Shape | None, mode: str, start: int = 0
    ) -> tuple[int, Decoded]:
        """Decode the first image that can be, and say which; one error if none can.

        The search begins with the image at `start`.
        """
        if not len(self):
            raise ValueError("X holds no images: found 0 sample(s).")
        failures = {}
        for index in (start, *range(start), *range(start + 1, len(self))):
            found = self.decode(index, shape, mode)
            if not isinstance(found, Cause):
                return self.chosen[index], found
            failures[index] = found
        raise self.unreadable(failures)

    def typical(self) -> int:
        """Find an image like most of those in colour, or of all where none is.

        Some are looked at, evenly spaced, as far as that takes no decoding.
        """
        looks = {}
        places = np.linspace(0, len(self) - 1, min(len(self), N_LOOKED_AT))
        for index in () if self.is_computed else map(int, places):
            with suppress(*UNREADABLE):
                looks[index] = _decode.look(self.item(index))
        in_colour = {index: it for index, it in looks.items() if it.is_colour}
        counts = Counter((in_colour or looks).values())
        most = next((look for look, _ in counts.most_common(1)), None)
        return next((index for index, look in looks.items() if look == most), 0)

    def unreadable(self, failures: Failures) -> UnreadableImagesError:
        """Name the first few images in one error, and say how many there are."""
        first = sorted(failures)[:N_NAMED]
        named = _named(self.take(first).names, [failures[index] for index in first])
        n_more = len(failures) - len(first)
        more = f", and {n_more} more" if n_more else ""
        return UnreadableImagesError(
            f"{len(failures)} of {len(self)} images cannot be read: {named}{more}."
            f"{_way_out(failures, can_skip=self._can_skip(failures))}"
        )

    def _can_skip(self, failures: Failures) -> bool:
        """Tell whether it would help to skip images that cannot be read."""
        return len(failures) < len(self)


def _named(names: list[str], causes: list[Cause]) -> str:
    """Put the cause behind each name; a long one behind all that have it."""
    together: dict[tuple[Cause, int], list[str]] = {}
    for place, (name, cause) in enumerate(zip(names, causes, strict=True)):
        key = cause, 0 if len(cause) > N_LETTERS else place
        together.setdefault(key, []).append(name)
    return "; ".join(f"{', '.join(some)} ({key[0]})" for key, some in together.items())


def _way_out(failures: Failures, *, can_skip: bool) -> str:
    """Say what to do about images that cannot be read, where their causes do not."""
    remedies = dict.fromkeys(cause.remedy for cause in failures.values())
    several = [remedy for remedy in remedies if remedy]
    if not several:
        return ""
    first, *others = several
    more = "".join(f", {remedy[0].lower()}{remedy[1:]}" for remedy in others)
    skip = ", or pass on_error='skip'" if can_skip else ""
    return f" {first}{more}{skip}."


def as_items(X: object, shape: tuple[int, ...] | None = None) -> Items | None:
    """Find the images that are to be read one by one; None where X is an array.

    A list of arrays of one shape is an array too, unless another `image_shape` is known
    to which they are to be resized.
    """
    if isinstance(X, Items):
        return X
    refuse_one(X)
    if isinstance(X, (str, os.PathLike)):
        return _items_below(X)
    if _is_dataset(X):
        return Items(X, range(len(X)), is_computed=True)
    column = _column(X)
    if column is None:
        return None
    kinds = _kinds(column)
    is_list = isinstance(X, (list, tuple))
    is_array = is_list and set(map(kind_of, column)) == {ARRAY}
    is_nothing = is_list and kinds == {MISSING}
    if is_nothing:
        return Items(column, range(len(column)))
    if kinds <= {None, MISSING} or (is_array and _stacks(column, shape)):
        return None
    _refuse_column(column, kinds)
    if kinds != {PATH}:
        return Items(column, range(len(column)))
    paths = [_without_tilde(it) if kind_of(it) is PATH else it for it in column]
    return Items(paths, range(len(paths)), is_files=True)


def column_name(X: object) -> str | None:
    """Return the name of the one column of a frame, if it has one."""
    columns = getattr(X, "columns", ())
    names = [*columns] if isinstance(columns, Iterable) else []
    return str(names[0]) if len(names) == 1 and isinstance(names[0], str) else None


def _kinds(column: Sequence[Any]) -> set[str | None]:
    """Name the kinds of items, without few others, which are named or skipped then."""
    kinds = kinds_of(column)
    if len(kinds) == 2 and None in kinds:
        n_others = sum(kind_of(item) is None for item in column)
        return kinds - {None} if n_others < len(column) / 2 else kinds
    return kinds


def _refuse_column(column: Sequence[Any], kinds: set[str | None]) -> None:
    """Refuse a path that was cut into letters, and images of several kinds."""
    is_cut = all(isinstance(item, str) and len(item) == 1 for item in column)
    if is_cut and isinstance(column, (list, tuple)) and len(column) > 1:
        raise ValueError(
            "X is a list of letters: a path that was cut like an array. Pass a "
            "pathlib.Path, or UnlabeledPool(path) for a pool."
        )
    if len(kinds) > 1:
        names = ", ".join(sorted(kind or "other objects" for kind in kinds))
        raise ValueError(f"X mixes {names}. Pass images of one kind.")


def _items_below(folder: str | os.PathLike[str]) -> Items:
    """Find the images below a folder."""
    refuse_file(folder)
    files = list_images(folder)
    top = os.path.realpath(checked_folder(folder))
    return Items(files, range(len(files)), is_files=True, within=top)


def _without_tilde(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Put the user's folder in place of "~", where a path begins with it."""
    is_short = os.fspath(path).startswith("~")
    return os.path.expanduser(path) if is_short else path  # noqa: PTH111


def _is_dataset(X: object) -> TypeGuard[Sized]:
    """Tell Datasets, and what is indexed like one, from sequences and arrays.

    What has no first, second and third image is refused.
    """
    library, name = type(X).__module__.partition(".")[0], type(X).__name__
    # A Column is what Hugging Face's make of `dataset["image"]`.
    is_theirs = library == "datasets" and name in {"Dataset", "Column"}
    is_alike = hasattr(X, "__getitem__") and not _is_known(X)
    is_dataset = is_theirs or is_alike or isinstance(X, (Dataset, SliceDataset))
    is_unordered = isinstance(X, UNORDERED) and not hasattr(X, "toarray")
    if is_unordered or (is_dataset and not hasattr(X, "__len__")):
        raise TypeError(
            f"X is a {name}, which has no first, second and third image. Pass a "
            "map-style Dataset, an array, or a list of images."
        )
    return is_dataset


def _is_known(X: object) -> bool:
    """Tell whether X is a sequence of Python, or an array of some library."""
    if isinstance(X, torch.Tensor):  # nested ones have no shape
        return True
    names = ("shape", "dtype", "__array__", "to_numpy", "columns", "toarray")
    is_sequence = isinstance(X, (list, tuple, str, bytes, bytearray, memoryview, type))
    is_other = isinstance(X, (array.array, range, Mapping))
    return is_sequence or is_other or any(hasattr(X, name) for name in names)


def _column(X: object) -> Sequence[Any] | None:
    """Return what holds one object an image as a sequence, else None."""
    if isinstance(X, (list, tuple)):
        return X
    values = np.asarray(X.to_numpy()) if hasattr(X, "to_numpy") else X
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "OUS":
        return None
    if values.ndim > 2 or not values.size:
        return None
    if values.ndim == 2 and values.shape[1] != 1:
        if all(kind_of(value) is PATH for value in values[0]):
            raise ValueError(
                f"X has {values.shape[1]} columns of strings. Pass the one column that "
                "holds the paths."
            )
        return None
    return values.ravel().tolist()


def _stacks(column: Sequence[Pixels], shape: tuple[int, ...] | None) -> bool:
    """Tell whether arrays are of one type and shape, and that the one that is known."""
    shapes = {tuple(item.shape) for item in column}
    are_one = len(shapes) == len({item.dtype for item in column}) == 1
    if not are_one or shape is None:
        return are_one
    found = shapes.pop()
    sides = {found} if len(found) == 2 else {found[:2], found[1:], found}
    return bool(sides & {tuple(shape), tuple(shape[:2]), tuple(shape[1:])})
