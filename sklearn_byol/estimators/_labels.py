"""From the labels that a user passes to classes, codes and a held-out share."""

from contextlib import suppress
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, _num_samples

from sklearn_byol._unlabelled import (
    MARK,
    UNLABELLED,
    are_minus_one_and_one,
    as_labels,
    is_labelled,
    is_missing,
    labelled_part,
    of_one_type,
)
from sklearn_byol.exceptions import LabelsWarning, warn
from sklearn_byol.images._in_memory import Indices

N_TO_HOLD_OUT = 50  # images a class, in the held-out share, from which "auto" does so


@dataclass(frozen=True)
class Labels:
    """Which images have a label, and of which class."""

    classes: NDArray[Any]  # the labels there are, sorted
    chosen: Indices  # which images have a label, in ascending order
    codes: Indices  # their classes, as places in `classes`
    sample_weight: NDArray[np.float64]  # of each, above 0
    are_known: bool = False  # the classes, which need not all be among these

    @classmethod
    def of(
        cls, y: Any, n_images: int, sample_weight: Any = None, classes: Any = None
    ) -> Self:
        """Check labels, all that can be checked before training.

        Where all classes are known y need not hold each. What weighs nothing counts as
        unlabelled.
        """
        values = _as_labels(y, warns=True)
        if len(values) != n_images:
            raise ValueError(
                f"y has {len(values)} labels, but X has {n_images} images. {MARK}."
            )
        counts = _checked_weights(sample_weight, values)
        has_label = (
            _has_label(values) if classes is None else _is_known(values, classes)
        )
        chosen = labelled_part(
            "y",
            has_label & (counts > 0),
            " Label two classes of images at least, or use BYOLTransformer, which "
            "needs no labels.",
        )
        labels = of_one_type("y", values[chosen])
        check_classification_targets(labels)
        if classes is not None:
            known = _known_classes(classes)
            codes = _codes_among(labels, known)
            return cls(known, chosen, codes, counts[chosen], are_known=True)
        classes, codes = np.unique(labels, return_inverse=True)
        return cls(classes, chosen, codes, counts[chosen]).check()

    def check(self) -> Self:
        """Refuse a single class."""
        if self.are_known:
            return self
        present = self.classes[np.unique(self.codes)]
        if len(present) == 1:
            raise ValueError(
                f"y holds labels of 1 class, {present.tolist()[0]!r}, where a "
                "classifier needs two or more. Label images of another class."
            )
        return self

    def keep(self, kept: Indices) -> Self:
        """Keep some of the labelled images, and the classes that are left."""
        chosen, counts = self.chosen[kept], self.sample_weight[kept]
        if self.are_known:
            codes = self.codes[kept]
            return replace(self, chosen=chosen, codes=codes, sample_weight=counts)
        present, codes = np.unique(self.codes[kept], return_inverse=True)
        return type(self)(self.classes[present], chosen, codes, counts).check()

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
        counts = np.bincount(self.codes, minlength=len(self.classes))
        least = counts.min()
        if isinstance(early_stopping, str):
            return bool(least * fraction >= N_TO_HOLD_OUT)
        if early_stopping and least < 2:
            rare = self.classes.tolist()[counts.argmin()]
            raise ValueError(
                "early_stopping=True holds out a share of each class, but class "
                f"{rare!r} has {least} labelled image{'' if least else 's'}. Label "
                "more images, or pass early_stopping=False."
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


def _checked_weights(sample_weight: Any, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return what each image counts, 1 where nothing is said."""
    found: NDArray[np.float64] = _check_sample_weight(
        sample_weight, values, dtype=np.float64
    )
    if (found < 0).any():
        raise ValueError(
            "sample_weight must not be negative: 0 leaves an image out. Got "
            f"{found.min():g}."
        )
    return found


def _known_classes(classes: Any) -> NDArray[Any]:
    """Return the classes, sorted and without marks; there must be two."""
    values = _as_labels(classes)
    known = np.unique(of_one_type("classes", values[_has_label(values)]))
    if len(known) < 2:
        raise ValueError(
            f"classes must hold two labels or more. Got {known.tolist()!r}: pass all "
            "labels that will come, such as classes=[0, 1]."
        )
    return known


def _is_known(values: NDArray[Any], classes: Any) -> NDArray[np.bool_]:
    """Tell which images have a label; -1 is one if it is among the classes."""
    if UNLABELLED in _known_classes(classes).tolist():
        return ~is_missing(values)
    return is_labelled(values)


def _codes_among(labels: NDArray[Any], known: NDArray[Any]) -> Indices:
    """Return the places of labels among the classes."""
    if (labels.dtype.kind in "OUT") != (known.dtype.kind in "OUT"):
        strange = np.ones(len(labels), dtype=bool)  # text and numbers
    else:
        strange = ~np.isin(labels, known)
    if strange.any():
        raise ValueError(
            f"y holds the label {labels[strange].tolist()[0]!r}, which is none of the "
            f"classes {known.tolist()!r}. Name all classes at the first call of "
            "partial_fit, or fit anew."
        )
    return np.searchsorted(known, labels)


def scored_labels(
    y: Any, classes: NDArray[Any] | None = None
) -> tuple[Indices, NDArray[Any]]:
    """Return which images have a label to be scored by, and their labels."""
    scored = scored_part(y, classes)
    return scored, labels_at(y, scored)


def scored_part(y: Any, classes: NDArray[Any] | None = None) -> Indices:
    """Return which images have a label to be scored by, in ascending order.

    Where -1 is one of `classes`, those that a classifier has learned, it is no mark.
    """
    values = _as_labels(y)
    is_class = are_minus_one_and_one(values)
    if classes is not None:
        is_class = UNLABELLED in classes.tolist()
    has_label = ~is_missing(values) if is_class else is_labelled(values)
    return labelled_part("y", has_label, " There is nothing to score.")


def labels_at(y: Any, chosen: Indices) -> NDArray[Any]:
    """Return the labels of images that have one, all strings or all numbers."""
    return of_one_type("y", _as_labels(y)[chosen])


def warn_of_marks(y: Any) -> None:
    """Warn of unlabelled images in the y of a transformer, which ignores it."""
    n_marks = 0
    with suppress(Exception):  # what is ignored may be anything
        n_marks = _count_marks(y)
    if n_marks:
        warn(
            f"y marks {n_marks} images as unlabelled. BYOLTransformer ignores y, but a "
            "classifier behind it in a pipeline, such as LogisticRegression, treats -1 "
            "as a class of its own, and refuses None and NaN. Use BYOLClassifier, or "
            "a semi-supervised classifier such as SelfTrainingClassifier, and silence "
            "this by warnings.simplefilter('ignore', LabelsWarning); or pass the "
            "unlabelled images as X_unlabeled instead.",
            LabelsWarning,
        )


def _count_marks(y: Any) -> int:
    """Count the marks beside two classes or more; numbers that are none have 0."""
    if isinstance(y, list | tuple):
        is_flat = all(isinstance(v, str) or not hasattr(v, "__len__") for v in y)
    else:  # whatever else is not looked into: a Dataset would be read
        is_flat = hasattr(y, "dtype") and len(y.shape) == 1
    if not is_flat:
        return 0
    values = as_labels("y", y)
    is_class = are_minus_one_and_one(values)
    has_label = ~is_missing(values) if is_class else is_labelled(values)
    classes = np.unique(of_one_type("y", values[has_label]))
    is_text = all(isinstance(label, str) for label in classes)
    if len(classes) < 2 or not (is_text or _are_whole(classes, -1 if is_class else 0)):
        return 0
    return int((~has_label).sum())


def _are_whole(labels: NDArray[Any], least: int) -> bool:
    """Tell whether labels are numbers as classes have them, no measurements."""
    if labels.dtype.kind not in "biuf":
        return False
    return bool((labels >= least).all() and (labels % 1 == 0).all())


def _as_labels(y: Any, *, warns: bool = False) -> NDArray[Any]:
    """Make an array of labels, in which numbers stay numbers beside strings."""
    if y is None:
        raise ValueError(
            f"BYOLClassifier requires y to be passed, but the target y is None. {MARK}."
        )
    return as_labels("y", y, warn=warns)


def _has_label(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which images have a label to learn from."""
    if not are_minus_one_and_one(values):
        return is_labelled(values)
    warn(
        "y holds -1 and 1 only, which are taken for two classes, since one class "
        "alone cannot be learned. Silence this by other labels, such as 0 and 1.",
        LabelsWarning,
    )
    return ~is_missing(values)
