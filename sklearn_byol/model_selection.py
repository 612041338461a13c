"""Cross-validation where few images have labels, and the pool of those without."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import check_cv

from sklearn_byol._about import HasPage
from sklearn_byol._unlabelled import are_minus_one_and_one, as_labels, labels_among
from sklearn_byol.exceptions import LabelsWarning, warn

__all__ = ["LabeledTestSplit", "UnlabeledPool"]


@dataclass(repr=False, eq=False)
class LabeledTestSplit(HasPage, BaseEstimator):
    """Splits that test on labelled images only.

    Images whose label is -1, as in `sklearn.semi_supervised`, None or NaN are in the
    training part of each split; the labelled ones are split as usual. Pass it as `cv`
    where the last step is a `BYOLClassifier`, a `SelfTrainingClassifier`, or another
    that learns from unlabelled images. Beside 1 alone -1 is the mark, too, and not a
    class as in `BYOLClassifier`; a `LabelsWarning` says so.

    Parameters
    ----------
    cv : int, cross-validation generator or None, default=5
        How the labelled images are split; scikit-learn's `check_cv` says what may be
        passed. A number stratifies by label.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_byol.model_selection import LabeledTestSplit
    >>> y = np.array([0, 1, -1, 0, 1, -1])
    >>> for train, test in LabeledTestSplit(2).split(np.zeros(6), y):
    ...     print(train, test)
    [2 3 4 5] [0 1]
    [0 1 2 5] [3 4]
    """

    # Groups are passed on where metadata is routed, as scikit-learn's splitters do.
    __metadata_request__split: ClassVar = {"groups": True}

    cv: object = 5

    def split(
        self, X: object, y: object, groups: object = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the indices of each split.

        Parameters
        ----------
        X : object
            Ignored; only the labels count.
        y : array-like of shape (n_samples,)
            Labels, numbers or strings; -1, None or NaN marks an unlabelled image.
        groups : array-like of shape (n_samples,), default=None
            Groups of images, for splitters that take them.

        Yields
        ------
        train, test : ndarray of int
            Indices of the images to train on, unlabelled ones among them, and of the
            labelled images to test on; both sorted.

        Raises
        ------
        ValueError
            If no image has a label, or labels are of mixed types.

        Warns
        -----
        LabelsWarning
            If y holds -1 and 1 only: -1 is taken for the mark.
        """
        values = as_labels("y", y)
        if are_minus_one_and_one(values):
            warn(
                "y holds -1 and 1 only: LabeledTestSplit treats -1 as the mark of an "
                "unlabelled image, so that one class is left. Silence this by other "
                "labels, such as 0 and 1.",
                LabelsWarning,
            )
        labelled, labels = labels_among("y", values)
        unlabelled = np.setdiff1d(np.arange(len(values)), labelled)
        chosen = None if groups is None else np.asarray(groups)[labelled]
        splitter = check_cv(self.cv, labels, classifier=True)
        for train, test in splitter.split(labelled, labels, chosen):
            yield np.union1d(labelled[train], unlabelled), labelled[test]

    def get_n_splits(
        self, X: object = None, y: object = None, groups: object = None
    ) -> int:
        """Count the splits.

        Parameters
        ----------
        X, y, groups : object, default=None
            As in `split`; needed where the splitter asks for them.

        Returns
        -------
        int
            How many splits there are.

        Raises
        ------
        ValueError
            If y is given and no image has a label, or labels are of mixed types.
        """
        labels = None
        if y is not None:
            labelled, labels = labels_among("y", as_labels("y", y))
            groups = None if groups is None else np.asarray(groups)[labelled]
        splitter = check_cv(self.cv, labels, classifier=True)
        return int(splitter.get_n_splits(labels, labels, groups))


@dataclass(repr=False, eq=False)
class UnlabeledPool:
    """Unlabelled images that stay together when X is split.

    scikit-learn's cross-validation slices whatever has the length of X, and would cut a
    pool of unlabelled images that happens to have it. The pool has no length, so it
    reaches each fit whole.

    Parameters
    ----------
    X : array-like, Tensor, path, sequence of images or Dataset
        Images, as `BYOLTransformer.fit` takes them.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_byol import UnlabeledPool
    >>> UnlabeledPool(np.zeros((100, 8, 8)))
    UnlabeledPool(ndarray)
    """

    X: object

    def __repr__(self) -> str:
        """Show what kind of object holds the images, not the images."""
        return f"UnlabeledPool({type(self.X).__name__})"
