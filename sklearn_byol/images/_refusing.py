"""Why X is no array of pixels: said before scikit-learn or numpy say it less well."""

import re
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["naming_x", "refuse_strings", "refuse_what_is_no_array"]

WANTED = (
    "Pass rows (n_samples, n_features), gray images (n_samples, height, width), images "
    "(n_samples, height, width, n_channels), a list of images or paths, a folder, or a "
    "map-style Dataset."
)
N_NESTED = 8  # lists in lists that are looked through


@contextmanager
def naming_x(X: Any) -> Iterator[None]:
    """Name X in what numpy says of frames whose columns are no numbers."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if not hasattr(X, "columns") or re.search(r"\bX\b|sample|feature", str(error)):
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(
            f"X has columns that are no numbers: {str(error)[:200]}. Pass the columns "
            "of pixels only, or the one column that holds paths."
        ) from error


def refuse_strings(X: Any) -> None:
    """Say that strings are no images, before they are called one-dimensional."""
    first = X[:1].to_numpy().flat[0] if hasattr(X, "to_numpy") and len(X) else X
    for _ in range(N_NESTED):
        if not (isinstance(first, (list, tuple)) and len(first)):
            break
        first = first[0]
    else:
        raise ValueError(f"X is nested more than {N_NESTED} lists deep. {WANTED}")
    dtype = getattr(X, "dtype", None)
    is_text = isinstance(first, (str, bytes)) or (
        isinstance(dtype, np.dtype) and dtype.kind in "US"
    )
    if not is_text and isinstance(X, np.ndarray) and X.dtype == object and X.size:
        is_text = isinstance(X.flat[0], (str, bytes))
    if is_text:
        raise ValueError(
            "X holds strings where pixels are expected. Pass images as an array of "
            "shape (n_samples, height, width, n_channels), or one list of paths."
        )


def refuse_what_is_no_array(X: Any, min_samples: int) -> None:
    """Refuse what is no array of numbers, or has too few axes or samples.

    Parameters
    ----------
    X : object
        What is to be an array, as it was passed or made of lists and tensors.
    min_samples : int
        How many samples it must have.

    Raises
    ------
    ValueError
        If X has one axis or none, an empty one, too few samples, or masked or complex
        values.
    TypeError
        If X is no array at all, or holds dates or other objects.
    """
    if hasattr(X, "toarray"):  # sparse: scikit-learn refuses it well
        return
    if isinstance(X, type) or not (_is_array(X) or hasattr(X, "columns")):
        raise TypeError(f"X is of type {type(X).__name__}. {WANTED}")
    _refuse_shape(_shape(X), min_samples)
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            f"X is a masked array with {np.ma.count_masked(X)} masked values, which "
            "have no meaning here. Pass X.filled(value)."
        )
    if isinstance(X, np.ndarray):
        _refuse_values(X)


def _is_array(X: Any) -> bool:
    """Tell arrays, and what is as long and can be indexed as a list, from the rest."""
    is_array = hasattr(X, "__array__") or hasattr(X, "__array_namespace__")
    return is_array or (isinstance(X, Sized) and hasattr(X, "__getitem__"))


def _shape(X: Any) -> tuple[int, ...]:
    """Return the shape of an array or a frame, of other things that of their array."""
    shape = getattr(X, "shape", None)
    return tuple(shape) if isinstance(shape, tuple) else np.shape(X)


def _refuse_shape(shape: tuple[int, ...], min_samples: int) -> None:
    """Refuse one axis or none, empty axes, and too few samples."""
    if not shape:
        raise ValueError(f"X is a single value. {WANTED}")
    if len(shape) == 1 and shape[0]:
        raise ValueError(
            f"X has one axis, of {shape[0]} values. Reshape your data: "
            f"X.reshape(1, -1) is one image, X.reshape(-1, 1) are images of one pixel. "
            f"{WANTED}"
        )
    if 0 in shape:
        _refuse_empty(shape)
    if shape[0] < min_samples:
        raise ValueError(
            f"X has {shape[0]} sample(s) (shape={shape}) while a minimum of "
            f"{min_samples} is required to learn from. Pass more images."
        )


def _refuse_empty(shape: tuple[int, ...]) -> None:
    """Say which axis is empty."""
    if shape[0] == 0:
        raise ValueError(
            f"X holds no images: found 0 sample(s), its shape is {shape}. {WANTED}"
        )
    if len(shape) == 2:
        raise ValueError(
            f"X has 0 feature(s) (shape={shape}) while a minimum of 1 is required. "
            "Pass rows with a value for each pixel."
        )
    raise ValueError(
        f"X has an axis of length 0: its shape is {shape}. Pass images with pixels."
    )


def _refuse_values(X: NDArray[Any]) -> None:
    """Refuse values that are no real numbers."""
    if X.dtype.kind == "c":
        raise ValueError(
            f"X holds {X.dtype} values: Complex data not supported. Pass X.real or "
            "np.abs(X)."
        )
    if X.dtype.kind in "mMV":
        raise TypeError(
            f"X holds values of the type {X.dtype}, which are no pixels. Pass numbers, "
            "as a field of a structured array or X.astype(float)."
        )
    if X.dtype.kind == "O":
        try:
            X.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"X holds objects that are no numbers: {error}. Pass an array of "
                "numbers, or a list of images."
            ) from error
