"""X that is one image, or one example with its label, where several are expected."""

import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from PIL import Image
from skorch.helper import SliceDict

from sklearn_byol.images._causes import UNREADABLE
from sklearn_byol.images._decode import ARRAY_ENDING, endings, look
from sklearn_byol.images._examples import (
    BY_NAME,
    ENCODED_NAMES,
    IMAGES,
    OF_BYTES,
    PATH,
    is_missing,
    kind_of,
)

LONGEST = 4  # entries of an example: an image, its label, and what goes with them
ARRAYS = (np.ndarray, torch.Tensor)


def refuse_one(X: object) -> None:
    """Refuse one image or one example, and say how it is passed."""
    if isinstance(X, Image.Image):
        raise TypeError(
            f"X is one image, a PIL image of mode {X.mode} and {X.height}x{X.width} "
            "pixels, and no batch of images: pass [X], or several in one list."
        )
    is_other = isinstance(X, SliceDict) or hasattr(X, "toarray")  # some sparse matrices
    if isinstance(X, Mapping) and not is_other:
        _refuse_dict(X)
    elif isinstance(X, (list, tuple)):
        _refuse_with_label(X)
    elif isinstance(X, (*OF_BYTES, io.IOBase)):
        _refuse_bytes(X)


def refuse_file(path: str | os.PathLike[str]) -> None:
    """Refuse the path of a file in place of a folder, and say how it is passed."""
    text = os.fspath(path)
    if not os.path.isfile(os.path.expanduser(text)):  # noqa: PTH111, PTH113  of any str
        return
    ending = os.path.splitext(text)[1].lower()  # noqa: PTH122
    what, way_out = "file", "[X] if it is an image"
    if ending == ARRAY_ENDING:
        what, way_out = "array", "[X] if it is one image, np.load(X) if it is several"
    elif ending in endings():
        what, way_out = "image", "[X]"
    raise ValueError(
        f"X is the path {text!r}, which is not a folder but one {what}: pass "
        f"{way_out}, a list of several paths, or a folder."
    )


def _refuse_bytes(X: Any) -> None:
    """Refuse one file that is open, or was read; what is no image is left."""
    if isinstance(X, io.IOBase) and not isinstance(X, io.BytesIO):
        raise TypeError(
            f"X is one open file, a {type(X).__name__}, and no batch of images: pass "
            "[X.read()] if it is an image that was opened in mode 'rb', or a list of "
            "paths."
        )
    is_image = False
    with suppress(BufferError, *UNREADABLE):
        is_image = bool(look(X if isinstance(X, io.BytesIO) else io.BytesIO(X)))
    if is_image:
        raise TypeError(
            "X is one image, the bytes of a file, and no batch of images: pass [X], or "
            "several in one list."
        )


def _refuse_dict(X: Mapping[Any, Any]) -> None:
    """Refuse one example of a Dataset, or the columns of some, where it is plain."""
    if {"bytes"} <= set(X) <= ENCODED_NAMES:
        raise TypeError(
            "X is one image, a dict with the bytes of a file or its path, and no batch "
            "of images: pass [X], or several in one list."
        )
    name = next((name for name in BY_NAME if name in X), None)
    if name is None:
        return
    held = f"X[{name!r}]"
    way_out = f"[{held}] if that is one image, {held} if it is several"
    if kind_of(X[name]) in {*IMAGES, PATH} and getattr(X[name], "ndim", 2) < 3:
        way_out = f"[{held}]"
    raise TypeError(
        "X is a dict, which has no first, second and third image, but may be one "
        f"example of a Dataset: pass {way_out}, or the Dataset."
    )


def _refuse_with_label(X: Sequence[Any]) -> None:
    """Refuse an image with its label, and images with theirs."""
    if not 2 <= len(X) <= LONGEST:
        return
    axes = [it.ndim if isinstance(it, ARRAYS) else None for it in X]
    if len(X) == 2 and axes[1] == 1 and (axes[0] or 0) > 1 and len(X[0]) == len(X[1]):
        raise ValueError(
            "X is a pair of arrays, as of images and their labels: pass X[0], and X[1] "
            "as y where it is asked for."
        )
    kinds = [kind_of(it) for it in X]
    images = [place for place, kind in enumerate(kinds) if kind in IMAGES]
    places = images or [place for place, kind in enumerate(kinds) if kind is PATH]
    others = [it for place, it in enumerate(X) if [place] != places]
    is_label = _is_label if isinstance(X, tuple) else _is_class
    if len(places) == 1 and all(map(is_label, others)):
        raise ValueError(
            "X is one image with its label, as one example of a Dataset, and no batch "
            f"of images: pass [X[{places[0]}]], or the Dataset."
        )


def _is_class(item: object) -> bool:
    """Tell whether an item is a class that is counted."""
    is_value = isinstance(item, ARRAYS) and not item.ndim
    return is_value or isinstance(item, (int, np.integer))


def _is_label(item: object) -> bool:
    """Tell whether an item is what goes with the image of an example."""
    of_others = (str, float, np.generic, *ARRAYS, Mapping)
    return _is_class(item) or (isinstance(item, of_others) and not is_missing(item))
