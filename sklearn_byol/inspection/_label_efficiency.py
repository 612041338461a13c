"""How much accuracy a label buys, for several representations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression

from sklearn_byol._unlabelled import as_labels, labels_among
from sklearn_byol.inspection._display import Display, as_text, look
from sklearn_byol.metrics import Array, check_parts, check_whole, represent

HEIGHT = 4.5  # inches

Pair = tuple[Array, Array]  # of training, of test


@dataclass(eq=False, repr=False)
class LabelEfficiencyDisplay(Display):
    """Test accuracy over the number of labels per class, one curve per representation.

    A classifier is fitted on a few labelled images, drawn several times; all
    representations see the same draws. The line is the mean over the draws, the band
    goes from the worst to the best. Images without a label, which -1, None or NaN
    marks, are left out.

    Parameters
    ----------
    labels_per_class : sequence of float
        Labels of each class, or their mean.
    accuracies : dict of str to ndarray of shape (n_sizes, n_draws)
        Test accuracies in [0, 1], by the name of the representation.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol.inspection import LabelEfficiencyDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> display = LabelEfficiencyDisplay.from_representations(
    ...     {"raw pixels": (X[:900], X[900:])},
    ...     y[:900],
    ...     y[900:],
    ...     labels_per_class=(1, 5),
    ... )
    >>> display.accuracies["raw pixels"].shape
    (2, 5)
    """

    labels_per_class: Sequence[float]
    accuracies: Mapping[str, Array]

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator | Mapping[str, BaseEstimator],
        X_train: object,
        y_train: ArrayLike,
        X_test: object,
        y_test: ArrayLike,
        **kwargs: Any,
    ) -> Self:
        """Compare what fitted estimators make of images.

        Parameters
        ----------
        estimator : transformer, Pipeline, or dict of str to these
            Fitted; of several, each with a name for the legend. Of a pipeline that ends
            in a predictor the steps before it count.
        X_train : array-like
            Images of which some are labelled.
        y_train : array-like of shape (n_train,)
            Their labels, from which is drawn; -1, None or NaN is no label.
        X_test : array-like
            Other images.
        y_test : array-like of shape (n_test,)
            Their labels; those without one are not scored.
        **kwargs : dict
            Passed on to `from_representations`.

        Returns
        -------
        LabelEfficiencyDisplay
            What was drawn.
        """
        if not isinstance(estimator, Mapping):
            estimator = {type(estimator).__name__: estimator}
        rows = {
            name: (represent(one, X_train), represent(one, X_test))
            for name, one in estimator.items()
        }
        return cls.from_representations(rows, y_train, y_test, **kwargs)

    @classmethod
    def from_representations(
        cls,
        representations: Mapping[str, tuple[ArrayLike, ArrayLike]],
        y_train: ArrayLike,
        y_test: ArrayLike,
        *,
        labels_per_class: Sequence[int | None] = (1, 2, 5, 10),
        n_draws: int = 5,
        classifier: ClassifierMixin | None = None,
        random_state: int = 0,
        ax: object = None,
        **kwargs: Any,
    ) -> Self:
        """Compare representations.

        Parameters
        ----------
        representations : dict of str to pair of array-like
            By name, rows of the images that labels are drawn from and rows of the test
            images.
        y_train : array-like of shape (n_train,)
            Labels that are drawn from; -1, None or NaN is no label.
        y_test : array-like of shape (n_test,)
            Labels of the test images; those without one are not scored.
        labels_per_class : sequence of int or None, default=(1, 2, 5, 10)
            How many labels of each class to draw, ascending; None takes all there are.
        n_draws : int, default=5
            How often to draw.
        classifier : classifier, default=None
            Fitted on each draw; None is a logistic regression on rows of which all
            columns are divided by one number, so that their variance is 1 on average.
        random_state : int, default=0
            Seed of the draws.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to the lines.

        Returns
        -------
        LabelEfficiencyDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If rows and labels are not as many, or a class has too few labels, or there
            are not two classes: beside 1 alone -1 is no label, too.
        """
        scales = classifier is None
        if classifier is None:
            classifier = LogisticRegression(max_iter=1000)
        _check_plan(representations, labels_per_class, classifier)
        check_whole("n_draws", n_draws)
        check_whole("random_state", random_state, 0)
        rows, labels = _labelled_rows(representations, y_train, y_test)
        if scales:
            rows = {name: _with_unit_variance(pair) for name, pair in rows.items()}
        draws = [_draws(labels[0], n, n_draws, random_state) for n in labels_per_class]
        accuracies = {
            name: _accuracies(classifier, pair, labels, draws)
            for name, pair in rows.items()
        }
        n_all = len(labels[0]) / len(np.unique(labels[0]))
        sizes = [n_all if n is None else n for n in labels_per_class]
        return cls(sizes, accuracies).plot(ax, **kwargs)

    def plot(self, ax: object = None, **kwargs: Any) -> Self:
        """Draw a line and a band for each representation.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to the lines.

        Returns
        -------
        LabelEfficiencyDisplay
            This object.
        """
        ax, sizes = self._draw_on(ax, HEIGHT), self.labels_per_class
        for index, (name, scores) in enumerate(self.accuracies.items()):
            style = look(index)
            line = {**style, "label": as_text(name), **kwargs}
            ax.plot(sizes, scores.mean(axis=1), **line)
            band = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
            ax.fill_between(sizes, scores.min(axis=1), scores.max(axis=1), **band)
        ax.set(xscale="log", xlabel="labels per class (log scale)")
        ax.set_xticks(sizes, [f"{n:.0f}" for n in sizes])
        ax.minorticks_off()
        ax.set_ylabel("test accuracy, mean and range of draws")
        ax.grid(alpha=0.3)
        ax.legend(loc="lower right")
        return self


def _check_plan(representations: object, given: object, classifier: object) -> None:
    """Check what is to be compared, and from how many labels."""
    pairs = representations.values() if isinstance(representations, Mapping) else ()
    if not pairs or not all(len(pair) == 2 for pair in pairs):
        raise ValueError(
            "representations must be a dict of names and pairs (train, test), one or "
            f"more. Got {type(representations).__name__}."
        )
    sizes = given if isinstance(given, Sequence) else ()
    if not sizes:
        raise ValueError(
            "labels_per_class must be a list of numbers, such as [1, 5, None]. Got "
            f"{given!r}."
        )
    for size in sizes:
        if size is not None:
            check_whole("labels_per_class", size)
    if isinstance(classifier, type) or not hasattr(classifier, "score"):
        raise TypeError(
            f"classifier must be one of scikit-learn's. Got {classifier!r}."
        )


def _labelled_rows(
    representations: Mapping[str, tuple[ArrayLike, ArrayLike]],
    y_train: ArrayLike,
    y_test: ArrayLike,
) -> tuple[dict[str, Pair], Pair]:
    """Check rows and labels; return those of images that have a label."""
    values = as_labels("y_train", y_train), as_labels("y_test", y_test)
    checked = {}
    for name, pair in representations.items():
        part = f"representations[{name!r}] of "
        checked[name] = check_parts((part + "train", part + "test"), pair, values)
    drawn_from, labels_train = labels_among("y_train", values[0])
    scored, labels_test = labels_among("y_test", values[1])
    if len(np.unique(labels_train)) < 2:
        raise ValueError(
            "y_train holds one class, where two or more are needed. The number -1 "
            "marks an image without a label."
        )
    rows = {
        name: (train[drawn_from], test[scored])
        for name, (train, test) in checked.items()
    }
    return rows, (labels_train, labels_test)


def _draws(y: Array, n_a_class: int | None, n_draws: int, seed: int) -> list[Array]:
    """Draw indices of as many images of each class, as often as asked for."""
    if n_a_class is None:
        return [np.arange(len(y))] * n_draws
    classes, counts = np.unique(y, return_counts=True)
    if n_a_class > counts.min():
        raise ValueError(
            f"labels_per_class has {n_a_class}, but class {classes[counts.argmin()]!s} "
            f"has {counts.min()} images. Pass None for all labels."
        )
    rngs = [np.random.default_rng([seed, draw]) for draw in range(n_draws)]
    members = [np.flatnonzero(y == one) for one in classes]
    return [
        np.concatenate([rng.choice(one, n_a_class, replace=False) for one in members])
        for rng in rngs
    ]


def _with_unit_variance(pair: Pair) -> Pair:
    """Divide rows by one number, of all images that labels are drawn from."""
    train, test = pair
    deviation = np.sqrt(train.var(axis=0, dtype=np.float64).mean()) or 1.0
    return train / deviation, test / deviation


def _accuracies(
    classifier: ClassifierMixin, pair: Pair, labels: Pair, draws: list[list[Array]]
) -> Array:
    """Fit on the images of each draw; test accuracies (n_sizes, n_draws)."""
    (train, test), (y_train, y_test) = pair, labels

    def score(chosen: Array) -> float:
        one = clone(classifier).fit(train[chosen], y_train[chosen])
        return one.score(test, y_test)

    return np.array([[score(chosen) for chosen in size] for size in draws])
