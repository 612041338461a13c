"""From tensors, data frames, lists and arrays to one numpy array of numbers."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

__all__ = ["as_array", "tensor_as_array"]


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
        If X is empty, has NaN, infinite or complex values, strings, one axis or more
        than four, or other features than at fit.
    TypeError
        If X is sparse or holds what is no number.
    """
    if isinstance(X, (list, tuple)) and all(isinstance(x, torch.Tensor) for x in X):
        X = torch.stack(list(X)) if X else X
    if isinstance(X, torch.Tensor):
        X = tensor_as_array(X)
    _refuse_strings(X)
    X = _sequence_as_array(X)
    n_axes = _count_axes(X)
    if n_axes <= 2:
        return validate_data(
            estimator, X, reset=reset, dtype="numeric", ensure_min_samples=min_samples
        )
    if n_axes > 4:
        raise ValueError(
            f"X has {n_axes} axes. Pass rows (n_samples, n_features), gray images "
            "(n_samples, height, width) or images (n_samples, height, width, "
            "n_channels)."
        )
    array = check_array(
        X,
        dtype="numeric",
        allow_nd=True,
        ensure_min_samples=min_samples,
        estimator=estimator,
        input_name="X",
    )
    if 0 in array.shape:
        raise ValueError(f"X has an axis of length 0: its shape is {array.shape}.")
    return array


def tensor_as_array(X: torch.Tensor) -> NDArray[Any]:
    """View a tensor as an array; bfloat16, which numpy lacks, becomes float32."""
    X = X.detach().cpu()
    if X.dtype == torch.bfloat16:
        X = X.float()
    return X.numpy()


def _refuse_strings(X: Any) -> None:
    """Say that strings are no images, before they are called one-dimensional."""
    first = X[:1].to_numpy().flat[0] if hasattr(X, "to_numpy") and len(X) else X
    while isinstance(first, (list, tuple)) and len(first):
        first = first[0]
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


def _count_axes(X: Any) -> int:
    """Count the axes of X; what is no array is left to scikit-learn, as rows."""
    return X.ndim if hasattr(X, "ndim") else 2


def _sequence_as_array(X: Any) -> Any:
    """Convert lists and what only knows how to become an array, unless ragged."""
    if not isinstance(X, (list, tuple)) and (
        hasattr(X, "ndim") or hasattr(X, "columns") or not hasattr(X, "__array__")
    ):
        return X
    try:
        return np.asarray(X)
    except ValueError:
        return X
