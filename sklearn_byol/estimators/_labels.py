"""From the labels that a user passes to classes, codes and a held-out share."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Number, Real
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples

from sklearn_byol.exceptions import LabelsWarning, warn
from sklearn_byol.images._in_memory import Indices

UNLABELLED = -1
N_TO_HOLD_OUT = 50  # images a class, in the held-out share, from which "auto" does so
MARK = "Unlabelled images are marked by the number -1"


@dataclass(frozen=True)
class Labels:
    """Which images have a label, and of which class."""

    classes: NDArray[Any]  # the labels there are, sorted
    chosen: Indices  # which images have a label, in ascending order
    codes: Indices  # their classes, as places in `classes`

    @classmethod
    def of(cls, y: Any, n_images: int) -> Self:
        """Check labels, all that can be checked before training."""
        values = _as_labels(y)
        if len(values) != n_images:
            raise ValueError(
                f"y has {len(values)} labels, but X has {n_images} images. {MARK}."
            )
        is_labelled = _is_labelled(values)
        if not is_labelled.any():
            raise ValueError(
                "y holds no label: all of its values are -1. Label two classes of "
                "images at least, or use BYOLTransformer, which needs no labels."
            )
        labels = _of_one_type(values[is_labelled])
        check_classification_targets(labels)
        classes, codes = np.unique(labels, return_inverse=True)
        return cls(classes, np.flatnonzero(is_labelled), codes).check()

    def check(self) -> Self:
        """Refuse a single class."""
        present = self.classes[np.unique(self.codes)]
        if len(present) == 1:
            raise ValueError(
                f"y holds labels of 1 class, {present.tolist()[0]!r}, where a "
                "classifier needs two or more. Label images of another class."
            )
        return self

    def keep(self, kept: Indices) -> Self:
        """Keep some of the labelled images, and the classes that are left."""
        present, codes = np.unique(self.codes[kept], return_inverse=True)
        return type(self)(self.classes[present], self.chosen[kept], codes).check()

    def weights(self, class_weight: Any) -> NDArray[np.float64]:
        """Return the weight of each class (n_classes,)."""
        if isinstance(class_weight, dict):
            for label, weight in class_weight.items():
                is_number = isinstance(weight, Real) and not isinstance(weight, bool)
                if not is_number or not 0 < weight < np.inf:
                    raise ValueError(
                        "class_weight must have finite numbers above 0. Got "
                        f"{weight!r} for the class {label!r}."
                    )
        y = self.classes[self.codes]
        try:
            return compute_class_weight(class_weight, classes=self.classes, y=y)
        except ValueError as error:
            raise ValueError(
                f"class_weight={class_weight!r} does not fit y: {error}. Name the "
                f"labels of y, {self.classes.tolist()!r}."
            ) from error

    def are_held_out(self, early_stopping: bool | str, fraction: float) -> bool:
        """Tell whether a share of each class is held out, if each has images enough."""
        counts = np.bincount(self.codes)
        least = counts.min()
        if isinstance(early_stopping, str):
            return bool(least * fraction >= N_TO_HOLD_OUT)
        if early_stopping and least < 2:
            rare = self.classes.tolist()[counts.argmin()]
            raise ValueError(
                "early_stopping=True holds out a share of each class, but class "
                f"{rare!r} has 1 labelled image. Label more images, or pass "
                "early_stopping=False."
            )
        return bool(early_stopping)


def count_images(X: object) -> int:
    """Count the images of X, as it has been opened."""
    try:
        return int(_num_samples(X))
    except TypeError as error:
        raise TypeError(
            f"X is of type {type(X).__name__}, which holds no images: {error}. Pass an "
            "array, a list of images or paths, a folder, or a map-style Dataset."
        ) from error


def split(codes: Indices, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Hold out a share of each class: indices to train on and indices held out."""
    n_classes = len(np.unique(codes))
    n_held_out = max(n_classes, round(fraction * len(codes)))
    n_held_out = min(n_held_out, len(codes) - n_classes)
    splitter = StratifiedShuffleSplit(1, test_size=n_held_out, random_state=seed)
    train, held_out = next(splitter.split(codes, codes))
    return np.sort(train), np.sort(held_out)


def _as_labels(y: Any) -> NDArray[Any]:
    """Make an array of labels, in which numbers stay numbers beside strings."""
    if y is None:
        raise ValueError(
            f"BYOLClassifier requires y to be passed, but the target y is None. {MARK}."
        )
    if isinstance(y, Sequence) and len({isinstance(label, str) for label in y}) > 1:
        y = np.array(y, dtype=object)
    if isinstance(y, torch.Tensor) and not y.is_meta:
        y = y.detach().cpu()
    if np.ma.is_masked(y):
        raise ValueError(f"y has masked values. {MARK}: pass y.filled(-1).")
    try:
        values = column_or_1d(y, warn=True)
    except (TypeError, ValueError) as error:
        raise type(error)(f"y must be one label an image: {error} {MARK}.") from error
    if values.dtype.kind in "cV":
        raise ValueError(
            f"y has values of the type {values.dtype}. Pass strings, or whole numbers."
        )
    is_text = values.dtype.kind in "OUT"
    if is_text and any(isinstance(v, str) and v == "-1" for v in values):
        raise ValueError(
            "y holds the string '-1', which numpy makes of the number -1 beside "
            f"strings. {MARK}, in a list or an array with dtype=object."
        )
    return values


def _is_labelled(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which images have a label."""
    if values.dtype.kind == "O":
        # Labels may be of any type, whose comparison with a number may be no bool.
        is_mark = [isinstance(v, Integral) and v == UNLABELLED for v in values]
        return ~np.array(is_mark)
    if values.dtype.kind in "if":
        if set(np.unique(values).tolist()) != {-1, 1}:
            return values != UNLABELLED
        warn(
            "y holds -1 and 1 only, which are taken for two classes, since one class "
            "alone cannot be learned. Silence this by other labels, such as 0 and 1.",
            LabelsWarning,
        )
    return np.ones(len(values), dtype=bool)


def _of_one_type(labels: NDArray[Any]) -> NDArray[Any]:
    """Check that labels in an array of objects are all strings or all numbers."""
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name="y")
    if labels.dtype.kind not in "OS":
        return labels
    if any(isinstance(label, bytes) for label in labels):
        raise ValueError(
            "y holds bytes, which scikit-learn does not take for labels. Pass strings, "
            "as label.decode() makes of each."
        )
    if all(isinstance(label, Number) for label in labels):
        return np.array(labels.tolist())
    types = {str if isinstance(label, str) else type(label) for label in labels}
    if len(types) == 1:  # strings, or what scikit-learn refuses
        return labels
    names = ", ".join(sorted(kind.__name__ for kind in types))
    raise ValueError(
        f"y mixes labels of the types {names}. Pass strings only, or numbers only. "
        f"{MARK}."
    )
