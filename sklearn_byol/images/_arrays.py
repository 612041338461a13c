"""Why X is no array of pixels: said before scikit-learn or numpy say it less well."""

import re
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

__all__ = [
    "as_array",
    "naming_x",
    "refuse_strings",
    "refuse_what_is_no_array",
    "tensor_as_array",
]

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


OF_NUMPY = {torch.float16, torch.float32, torch.float64}


def as_array(
    estimator: BaseEstimator, X: Any, *, reset: bool, min_samples: int
) -> NDArray[Any]:
    """Check X as scikit-learn does and return it as an array, not copied if it is one.

    Rows set or check `n_features_in_` and `feature_names_in_`. Images leave that to the
    caller, who knows how many values an image has. Integers keep their type.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose attributes are set or compared, and who is named in errors.
    X : array-like or Tensor
        Rows (n_samples, n_features) or images with three or four axes.
    reset : bool
        Whether to set the attributes (fit) or to compare with them (transform).
    min_samples : int
        How many samples X must have.

    Returns
    -------
    ndarray of shape (n_samples, ...)
        X with two to four axes, of a real dtype.

    Raises
    ------
    ValueError
        If X is empty, has NaN, infinite, complex or masked values, strings, one axis or
        more than four, or other features than at fit.
    TypeError
        If X is sparse or no array, or holds what is no number.
    """
    X = _plain(X)
    refuse_what_is_no_array(X, min_samples)
    n_axes = _count_axes(X)
    if n_axes > 4:
        raise ValueError(
            f"X has {n_axes} axes. Pass rows (n_samples, n_features), gray images "
            "(n_samples, height, width) or images (n_samples, height, width, "
            "n_channels)."
        )
    if n_axes <= 2:
        with naming_x(X):
            return validate_data(
                estimator,
                X,
                reset=reset,
                dtype="numeric",
                ensure_min_samples=min_samples,
            )
    return check_array(
        X,
        dtype="numeric",
        allow_nd=True,
        ensure_min_samples=min_samples,
        estimator=estimator,
        input_name="X",
    )


def tensor_as_array(X: torch.Tensor) -> NDArray[Any]:
    """View a tensor as an array; floats that numpy lacks become float32.

    Raises
    ------
    TypeError
        If it is sparse, nested or quantized, or has no values.
    """
    kind = "nested" if X.is_nested else str(X.layout)
    is_plain = kind == "torch.strided" and not X.is_quantized and not X.is_meta
    if not is_plain:
        what = "quantized" if X.is_quantized else "meta" if X.is_meta else kind
        raise TypeError(
            f"X is a tensor that is {what}, of which no array can be made. Pass a "
            "tensor of plain numbers, as to_dense() or dequantize() returns it."
        )
    X = X.detach().cpu()
    if X.is_floating_point() and X.dtype not in OF_NUMPY:
        X = X.float()
    return X.resolve_conj().resolve_neg().numpy()


def _plain(X: Any) -> Any:
    """Make an array of tensors, lists and what only knows how to become an array."""
    if isinstance(X, (list, tuple)) and all(isinstance(x, torch.Tensor) for x in X):
        X = _stacked(X)
    if isinstance(X, torch.Tensor):
        return tensor_as_array(X)
    refuse_strings(X)
    if not isinstance(X, (list, tuple)) and (
        hasattr(X, "ndim") or hasattr(X, "columns") or not hasattr(X, "__array__")
    ):
        return _of_doubles(X)
    try:
        return np.asarray(X)
    except ValueError as error:
        raise ValueError(
            f"X holds rows or images of different sizes: {error} Pass rows of one "
            "length, or a list of arrays with image_shape=(height, width) to resize "
            "them."
        ) from error


def _of_doubles(X: Any) -> Any:
    """Shorten long doubles, in which older scikit-learn does not find NaN."""
    if isinstance(X, np.ndarray) and X.dtype.kind == "f" and X.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            return X.astype(np.float64)
    return X


def _stacked(tensors: Any) -> Any:
    """Stack tensors of one shape."""
    shapes = sorted({tuple(x.shape) for x in tensors if not x.is_nested})
    if len(shapes) > 1:
        raise ValueError(
            f"X is a list of tensors of the shapes {', '.join(map(str, shapes))}. Pass "
            "rows of one length, or images of two or three axes with "
            "image_shape=(height, width) to resize them."
        )
    return torch.stack(list(tensors)) if tensors else np.empty(0)


def _count_axes(X: Any) -> int:
    """Count the axes of X; what is no array is left to scikit-learn, as rows."""
    return X.ndim if isinstance(getattr(X, "ndim", None), int) else 2
