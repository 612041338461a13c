"""What representations, labels and numbers must be like."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, column_or_1d
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _num_samples

__all__ = ["POSITIVE", "check_as_many", "check_labels", "check_rows", "check_whole"]

POSITIVE = Interval(Real, 0, None, closed="neither")


def check_rows(name: str, rows: ArrayLike, *, min_samples: int = 1) -> NDArray[Any]:
    """Check that rows are a finite matrix of floats with rows enough."""
    rows = _as_plain(name, rows)
    shape = np.shape(rows)
    if len(shape) != 2 or shape[0] < min_samples or shape[1] < 1:
        raise ValueError(
            f"{name} must have shape (n_samples, n_dims) with n_samples of "
            f"{min_samples} or more. Got shape {shape!r}."
        )
    return check_array(rows, dtype=[np.float64, np.float32], input_name=name)


def _as_plain(name: str, rows: Any) -> Any:
    """Take tensors to arrays; refuse what is ragged, masked or no real number."""
    if isinstance(rows, torch.Tensor):
        if rows.layout != torch.strided or rows.is_meta:
            raise TypeError(
                f"{name} must be a dense tensor with values. Got the layout "
                f"{rows.layout} on {rows.device}."
            )
        rows = rows.detach().cpu()
        is_of_numpy = rows.dtype in {torch.float32, torch.float64}
        return (rows if is_of_numpy else rows.float()).numpy()
    if hasattr(rows, "toarray"):
        raise TypeError(f"{name} must be dense. Pass {name}.toarray().")
    try:
        array = rows if hasattr(rows, "columns") else np.asarray(rows)
        kind = getattr(getattr(array, "dtype", None), "kind", "f")
        if kind == "O":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a matrix of numbers, all rows of one length: {error}."
        ) from error
    if kind not in "biufO":
        raise ValueError(f"{name} must be real numbers. Got values of {array.dtype}.")
    if np.ma.is_masked(rows):
        raise ValueError(f"{name} must not have masked values. Pass {name}.filled(0).")
    return array


def check_labels(name: str, y: Any) -> NDArray[Any]:
    """Check that labels are one value a row, none of them missing."""
    try:
        labels = column_or_1d(y)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be one label an image: {error}") from error
    is_missing = labels != labels  # NaN alone differs from itself
    if labels.dtype.kind == "O":
        is_missing = np.array([label is None or label != label for label in labels])
    if np.any(is_missing):
        raise ValueError(
            f"{name} has {np.sum(is_missing)} missing labels. Leave their images out."
        )
    return labels


def check_whole(name: str, value: Any, least: int = 1) -> None:
    """Check that a number is whole and not too small."""
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value < least:
        raise ValueError(
            f"{name} must be a whole number, {least} or more. Got {value!r}."
        )


def check_as_many(name: str, values: Any, other_name: str, other: Any) -> None:
    """Check that one thing is as long as another; None is as long as anything."""
    if values is not None and _num_samples(values) != _num_samples(other):
        raise ValueError(
            f"{name} has {_num_samples(values)} entries, but {other_name} has "
            f"{_num_samples(other)}."
        )
