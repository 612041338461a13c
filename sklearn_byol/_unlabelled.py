"""Which values of y mark an image without a label: -1, None, NaN and their like."""

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite, column_or_1d

Labels = NDArray[Any]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

UNLABELLED = -1
MARK = "Unlabelled images are marked by the number -1, None or NaN"
BESIDE_STRINGS = "beside strings in a list or an array with dtype=object"
MADE_OF_MARKS = {"-1": "the number -1", "nan": "NaN"}  # by numpy, beside strings
TYPES_OF_MISSING = {"NAType", "NaTType"}  # pandas', which is not imported for them
NUMBERS: tuple[type, ...] = (Number, np.bool_)  # what numpy brings to one type


def as_labels(name: str, y: Any, *, warn: bool = False) -> Labels:
    """Make an array (n_samples,) of y, in which labels and marks stay what they are."""
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        raise ValueError(f"{name} has masked values. {MARK}: pass {name}.filled(-1).")
    try:
        values = column_or_1d(_without_casts(y), warn=warn)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} must be one label per image: {error} {MARK}.") from error
    _check_type(name, values)
    if values.dtype.kind in "OUT":
        _check_texts(name, values)
    return values


def is_missing(values: Labels) -> Mask:
    """Tell where there is None, NaN, NaT or NA, whatever the shape."""
    if values.dtype.kind in "fmM":
        return np.isnan(values)
    if values.dtype.kind not in ("O", "T"):  # objects, texts of any length
        return np.zeros(values.shape, dtype=bool)
    missing = [_is_missing(value) for value in values.flat]
    return np.array(missing, dtype=bool).reshape(values.shape)


def is_labelled(values: Labels) -> Mask:
    """Tell where there is a label, none of the marks, whatever the shape."""
    if values.dtype.kind in "if":
        is_mark = values == UNLABELLED
    elif values.dtype.kind == "O":
        marks = [_is_minus_one(value) for value in values.flat]
        is_mark = np.array(marks, dtype=bool).reshape(values.shape)
    else:
        is_mark = np.zeros(values.shape, dtype=bool)
    return ~(is_mark | is_missing(values))


def are_minus_one_and_one(values: Labels) -> bool:
    """Tell whether all values that are not missing are -1 or 1, and both occur."""
    present = values[~is_missing(values)]
    if present.dtype.kind == "O" and all(isinstance(v, Number) for v in present):
        return set(present) == {-1, 1}
    return present.dtype.kind in "if" and set(np.unique(present)) == {-1, 1}


def labelled_part(name: str, has_label: Mask, way_out: str = "") -> Indices:
    """Return which images have a label, in ascending order; some must have one."""
    if not has_label.any():
        raise ValueError(
            f"{name} holds no label: all of its values are -1, None or NaN.{way_out}"
        )
    return np.flatnonzero(has_label)


def labels_among(name: str, values: Labels) -> tuple[Indices, Labels]:
    """Return which images have a label, and their labels; -1 is always a mark."""
    chosen = labelled_part(name, is_labelled(values))
    return chosen, of_one_type(name, values[chosen])


def of_one_type(name: str, labels: Labels) -> Labels:
    """Check that labels, without marks, are all strings or all finite numbers."""
    if labels.dtype.kind == "O" and all(isinstance(v, NUMBERS) for v in labels):
        labels = np.array(labels.tolist())
        _check_type(name, labels)
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name=name)
    if labels.dtype.kind not in "OS":
        return labels
    if any(isinstance(label, bytes) for label in labels):
        raise ValueError(
            f"{name} holds bytes, which scikit-learn does not take for labels. Pass "
            "strings, as label.decode() makes of each."
        )
    types = {str if isinstance(label, str) else type(label) for label in labels}
    if len(types) == 1:  # strings, or what scikit-learn refuses
        return labels
    names = ", ".join(sorted(kind.__name__ for kind in types))
    raise ValueError(
        f"{name} mixes labels of the types {names}. Pass strings only, or numbers "
        f"only. {MARK}, {BESIDE_STRINGS}."
    )


def _without_casts(y: Any) -> Any:
    """Keep numpy from casting numbers to strings, or whole numbers to floats."""
    if hasattr(y, "detach") and not getattr(y, "is_meta", True):  # a tensor
        return y.detach().cpu()
    if len(getattr(y, "columns", ())) == 1:  # a frame
        return np.array(list(y[y.columns[0]]), dtype=object)[:, np.newaxis]
    if isinstance(y, Sequence):
        is_mixed = len({isinstance(label, str) for label in y}) > 1
        return np.array(y, dtype=object) if is_mixed else y
    # A column with a type of pandas or polars, where numpy would make NaN of NA.
    is_column = hasattr(y, "to_numpy") and hasattr(y, "dtype")
    if is_column and not isinstance(y.dtype, np.dtype):
        return np.array(list(y), dtype=object)
    return y


def _check_type(name: str, values: Labels) -> None:
    """Refuse numbers of two parts, and records."""
    if values.dtype.kind in "cV":
        raise ValueError(
            f"{name} has values of the type {values.dtype}. Pass strings, or whole "
            "numbers."
        )


def _check_texts(name: str, values: Labels) -> None:
    """Refuse strings that numpy has made of marks."""
    for value in values:
        if isinstance(value, str) and value in MADE_OF_MARKS:
            raise ValueError(
                f"{name} holds the string {str(value)!r}, which numpy makes of "
                f"{MADE_OF_MARKS[value]} beside strings. {MARK}, {BESIDE_STRINGS}."
            )


def _is_minus_one(value: Any) -> bool:
    """Tell -1; what is no number may have a comparison that is no bool."""
    return isinstance(value, NUMBERS) and bool(value == UNLABELLED)


def _is_missing(value: Any) -> bool:
    """Tell None, NaN, NaT and NA from anything else."""
    if value is None or type(value).__name__ in TYPES_OF_MISSING:
        return True
    # NaN and NaT alone differ from themselves.
    return isinstance(value, Number | np.generic) and bool(value != value)
