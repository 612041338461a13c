"""What representations must be like."""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _num_samples

__all__ = ["POSITIVE", "check_as_many", "check_rows"]

POSITIVE = Interval(Real, 0, None, closed="neither")


def check_rows(name: str, rows: ArrayLike, *, min_samples: int = 1) -> NDArray[Any]:
    """Check that rows are a finite matrix of floats with rows enough."""
    if np.ndim(rows) != 2 or np.shape(rows)[0] < min_samples:
        raise ValueError(
            f"{name} must have shape (n_samples, n_dims) with n_samples of "
            f"{min_samples} or more. Got shape {np.shape(rows)!r}."
        )
    return check_array(rows, dtype=[np.float64, np.float32], input_name=name)


def check_as_many(name: str, values: Any, other_name: str, other: Any) -> None:
    """Check that one thing is as long as another; None is as long as anything."""
    if values is not None and _num_samples(values) != _num_samples(other):
        raise ValueError(
            f"{name} has {_num_samples(values)} entries, but {other_name} has "
            f"{_num_samples(other)}."
        )
