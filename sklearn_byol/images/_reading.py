"""From tensors, data frames, lists and arrays to one numpy array of numbers."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from sklearn_byol.images._refusing import (
    naming_x,
    refuse_strings,
    refuse_what_is_no_array,
)

__all__ = ["as_array", "tensor_as_array"]

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
