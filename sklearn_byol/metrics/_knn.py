"""A vote of the nearest labelled images."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import gen_batches
from sklearn.utils._param_validation import Interval, validate_params

from sklearn_byol._checks import POSITIVE, check_as_many, check_labels, check_rows

__all__ = ["knn_accuracy"]

N_AT_ONCE = 256  # images whose neighbours are found at a time


@validate_params(
    {
        "representations_train": ["array-like"],
        "y_train": ["array-like"],
        "representations_test": ["array-like"],
        "y_test": ["array-like"],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "temperature": [POSITIVE],
    },
    prefer_skip_nested_validation=True,
)
def knn_accuracy(
    representations_train: ArrayLike,
    y_train: ArrayLike,
    representations_test: ArrayLike,
    y_test: ArrayLike,
    *,
    n_neighbors: int = 200,
    temperature: float = 0.1,
) -> float:
    """Return the accuracy of a vote among the nearest labelled representations.

    The nearest by cosine vote for their labels, each with exp(cosine / temperature).
    Nothing is trained, so nothing is tuned either: it is how self-supervised encoders
    are compared while they train.

    Parameters
    ----------
    representations_train : array-like of shape (n_train, n_dims)
        Representations of the images that vote.
    y_train : array-like of shape (n_train,)
        Their labels, numbers or strings.
    representations_test : array-like of shape (n_test, n_dims)
        Representations of the images whose labels are guessed.
    y_test : array-like of shape (n_test,)
        Their labels.
    n_neighbors : int, default=200
        How many vote, at most `n_train`. Want fewer where classes have fewer images.
    temperature : float, default=0.1
        Above 0; the smaller it is, the more the nearest one decides.

    Returns
    -------
    float
        Share of the test images whose label wins, in [0, 1].

    Raises
    ------
    ValueError
        If lengths or columns do not match, if representations are not finite, or if
        there are fewer than `n_neighbors` to vote.

    References
    ----------
    Wu et al. (2018), Unsupervised feature learning via non-parametric instance
    discrimination, arXiv 1805.01978, section 3.4, with the temperature of lightly's
    benchmarks; the source has 0.07.

    Examples
    --------
    >>> from sklearn_byol.metrics import knn_accuracy
    >>> rows = [[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]
    >>> knn_accuracy(rows, ["cat", "cat", "dog"], [[0.1, 1.0]], ["dog"], n_neighbors=3)
    1.0
    """
    train, y_train = _check_labelled("train", representations_train, y_train)
    test, y_test = _check_labelled("test", representations_test, y_test)
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"representations_test has {test.shape[1]} columns, but "
            f"representations_train has {train.shape[1]}."
        )
    if n_neighbors > len(train):
        raise ValueError(
            f"n_neighbors={n_neighbors!r} is more than the {len(train)} rows of "
            "representations_train. Pass a smaller n_neighbors."
        )
    vote = KNeighborsClassifier(
        n_neighbors,
        metric="cosine",
        # Divided by the weight of the nearest, so that no exponential overflows.
        weights=lambda d: np.exp((d.min(axis=1, keepdims=True) - d) / temperature),
    ).fit(train, y_train)
    chunks = gen_batches(len(test), N_AT_ONCE)
    guesses = np.concatenate([vote.predict(test[chunk]) for chunk in chunks])
    return float(np.mean(guesses == y_test))


def _check_labelled(
    part: str, representations: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Check rows, their labels, and that there are as many."""
    rows = check_rows(f"representations_{part}", representations)
    y = check_labels(f"y_{part}", labels)
    check_as_many(f"y_{part}", y, f"representations_{part}", rows)
    return rows, y
