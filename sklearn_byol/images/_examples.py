"""The image in an example of a Dataset or a list, where there is one and no other."""

import io
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from sklearn_byol.images._causes import NoImageError, NotReadError
from sklearn_byol.images._decode import Item

PATH, PICTURE, ARRAY = "paths", "PIL images", "arrays"
PAIR, ENCODED, MISSING = "tuples", "encoded files", "missing values"
BY_NAME = ("image", "img", "pixel_values")  # what an image is called among others
MOST_COLUMNS = 5  # of boxes, with a class or a score
NUMBERS = (list, int, float)
OF_BYTES = (bytes, bytearray, memoryview)
FOR_LISTS = "; of Hugging Face's pass dataset.with_format('numpy')"
ENCODED_NAMES = {"bytes", "path"}  # of an image of Hugging Face's that is not decoded


def kind_of(item: object) -> str | None:
    """Name what an item is, None where it is no image."""
    if isinstance(item, (str, os.PathLike)):
        return PATH
    if isinstance(item, Image.Image):
        return PICTURE
    if isinstance(item, (np.ndarray, torch.Tensor)):
        return ARRAY if item.ndim in {2, 3} else None
    if isinstance(item, (*OF_BYTES, io.BytesIO)) or _is_encoded(item):
        return ENCODED
    if is_missing(item):
        return MISSING
    if isinstance(item, tuple) and any(kind_of(it) in {*IMAGES, PATH} for it in item):
        return PAIR
    return None


IMAGES = {PICTURE, ARRAY, ENCODED}


def image_of(example: Any) -> Item:
    """Return the image of an example: itself, or the only one that it holds.

    Of a tuple, such as (image, label) or (index, image), the one that is an image; of a
    dict the one called "image", "img" or "pixel_values", or the only one.
    """
    if _is_encoded(example):
        return _encoded(example)
    if isinstance(example, Mapping):
        way_out = "pass a Dataset that returns one of them"
        return image_of(_only(_named(example), way_out))
    if isinstance(example, (tuple, list)) and len(example):
        return image_of(_of_sequence(example))
    kind = kind_of(example)
    if kind is MISSING and example is not None:
        raise NoImageError(f"it is {example}, no image")
    if kind is ENCODED:
        return io.BytesIO(example) if isinstance(example, OF_BYTES) else example
    if kind in {None, MISSING}:
        _refuse(example)
    return example


def _of_sequence(example: tuple[Any, ...] | list[Any]) -> Any:
    """Choose the image of a sequence; a path stands for one where there is no other."""
    held = {f"[{place}]": it for place, it in enumerate(example)}
    images = {name: it for name, it in held.items() if _holds_image(it)}
    paths = [it for it in example if kind_of(it) is PATH]
    if not images and len(paths) == 1:
        return paths[0]
    is_numbers = isinstance(example, list) and isinstance(example[0], NUMBERS)
    if is_numbers and not images:
        raise NotReadError(f"it is a list of numbers, no array{FOR_LISTS}")
    if not images and kind_of(example[0]) in {PATH, MISSING, None}:
        return example[0]
    return _only(
        images or held,
        "pass a Dataset of single images: views of them are drawn in training, "
        "and masks have no part in it",
    )


def _named(example: Mapping[str, Any]) -> dict[str, Any]:
    """Find the images of a dict: the one with a known name, or all."""
    images = {f"{key!r}": it for key, it in example.items() if _holds_image(it)}
    known = (name for name in BY_NAME if _is_image_or_path(example.get(name)))
    called = {f"{name!r}": example[name] for name in known}
    if not (images or called):
        missing = [name for name in BY_NAME if name in example]
        if missing and example[missing[0]] is None:
            raise NoImageError(f"its {missing[0]!r} is None")
        types = ((key, type(it).__name__) for key, it in example.items())
        kinds = ", ".join(f"{key!r}: {name}" for key, name in types)
        hint = FOR_LISTS if any(isinstance(it, list) for it in example.values()) else ""
        raise NotReadError(f"it is a dict without an image ({kinds}){hint}")
    return called or images


def _is_image_or_path(item: object) -> bool:
    """Tell whether an item is an image, or the path of one."""
    return _holds_image(item) or kind_of(item) is PATH


def _holds_image(item: object) -> bool:
    """Tell whether an item is an image, or a sequence of images."""
    if isinstance(item, (tuple, list)) and len(item):
        return all(_holds_image(part) for part in item)
    is_stack = isinstance(item, (np.ndarray, torch.Tensor)) and item.ndim > 3
    return is_stack or kind_of(item) in IMAGES


def _only(images: Mapping[str, Any], way_out: str) -> Any:
    """Return the only image, or say which there are; boxes and points are none."""
    if len(images) > 1:
        images = {n: it for n, it in images.items() if not _is_table(it)} or images
    if len(images) > 1:
        named = ", ".join(f"{name} {_in_words(it)}" for name, it in images.items())
        raise NotReadError(f"it holds {len(images)} images: {named}; {way_out}")
    return next(iter(images.values()))


def _is_table(item: Any) -> bool:
    """Tell whether an array has a row for each of some boxes or points."""
    return getattr(item, "ndim", 0) == 2 and item.shape[1] <= MOST_COLUMNS


def _in_words(item: Any) -> str:
    """Say what an image is, by its shape or its type."""
    if isinstance(item, Image.Image):
        return f"{item.mode} {item.height}x{item.width}"
    shape = getattr(item, "shape", None)
    return type(item).__name__ if shape is None else "x".join(map(str, shape))


def _refuse(example: Any) -> None:
    """Say why an example is no image."""
    if isinstance(example, (np.ndarray, torch.Tensor)) and example.ndim > 3:
        raise NotReadError(
            f"its shape is {tuple(example.shape)}, of a batch; return single images, "
            "such as batch[0]"
        )
    if isinstance(example, (np.ndarray, torch.Tensor)):
        raise NoImageError(f"its shape is {tuple(example.shape)}, of no image")
    raise NoImageError(f"it is of type {type(example).__name__}, no image")


def _is_encoded(item: object) -> bool:
    """Tell whether a dict is an image of Hugging Face's that is not decoded."""
    return isinstance(item, Mapping) and {"bytes"} <= set(item) <= ENCODED_NAMES


def _encoded(example: Mapping[str, Any]) -> Item:
    """Return the bytes of an image, or its path where it has none."""
    if example["bytes"] is not None:
        return io.BytesIO(example["bytes"])
    if example.get("path") is None:
        raise NoImageError("it has neither bytes nor a path")
    return example["path"]


def is_missing(item: object) -> bool:
    """Tell whether an item is None, NaN or pandas' NA."""
    is_nan = isinstance(item, float) and math.isnan(item)
    return item is None or is_nan or type(item).__name__ in {"NAType", "NaTType"}


def kinds_of(column: Iterable[object]) -> set[str | None]:
    """Name the kinds of the items of a column, without those that are missing."""
    kinds = {kind_of(item) for item in column}
    return kinds - {MISSING} or kinds
