"""A map of representations in two dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils.multiclass import type_of_target

from sklearn_byol._unlabelled import as_labels, is_labelled, is_missing, of_one_type
from sklearn_byol.inspection._display import (
    CLASS_COLOURS,
    FADED,
    NO_LABEL,
    Display,
    as_text,
    look,
)
from sklearn_byol.inspection._pictures import as_pictures, pictures_of, ratio
from sklearn_byol.metrics import (
    Array,
    byol_steps,
    check_as_many,
    check_rows,
    represent,
)

NAMES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
HEIGHT = 5.0  # inches
THUMBNAIL = 0.05  # width of a thumbnail, as a share of the map's


@dataclass(eq=False, repr=False)
class RepresentationMapDisplay(Display):
    """Each image as a point, near those that the encoder finds alike.

    PCA shows the two directions in which representations differ most, and nothing else.
    t-SNE and UMAP keep neighbours together; sizes of groups and distances between them
    mean nothing there.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Where each image lies.
    labels : ndarray of shape (n_samples,), default=None
        What colours show: classes, or numbers if they are fractions. Images without a
        label are gray: None, NaN, and among classes -1, as in
        `sklearn.semi_supervised`.
    pictures : ndarray of shape (n_samples, height, width, ...), default=None
        Thumbnails in [0, 1], gray or RGB.
    axis_names : pair of str, default=("", "")
        What the two axes are.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol.inspection import RepresentationMapDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> display = RepresentationMapDisplay.from_representations(X, y)
    >>> display.ax_.get_xlabel()
    'PCA, component 1 (15 % of variance)'
    """

    points: Array
    labels: Array | None = None
    pictures: Array | None = None
    axis_names: Sequence[str] = ("", "")

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: object,
        y: ArrayLike | None = None,
        *,
        method: str | TransformerMixin = "pca",
        thumbnails: bool = False,
        random_state: object = 0,
        ax: object = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a map of what an estimator makes of images.

        Parameters
        ----------
        estimator : BYOLTransformer or Pipeline
            Fitted. A pipeline that scales after the transformer shows what the
            classifier sees.
        X : array-like, Tensor, path, sequence of images or Dataset
            Images that the estimator takes.
        y : array-like of shape (n_samples,), default=None
            What colours show; -1, None or NaN is no label.
        method : {"pca", "tsne", "umap"} or transformer, default="pca"
            How to reduce to two numbers. "umap" needs the package umap-learn. A
            transformer is fitted, with fit_transform.
        thumbnails : bool, default=False
            Whether to show images where there is room.
        random_state : int, RandomState or None, default=0
            Where the method draws from.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to the points, as of `scatter`.

        Returns
        -------
        RepresentationMapDisplay
            What was drawn.
        """
        rows = represent(estimator, X)
        check_as_many("y", y, "X", rows)
        images = pictures_of(byol_steps(estimator).read(X)) if thumbnails else None
        options = {"method": method, "random_state": random_state, "ax": ax, **kwargs}
        return cls.from_representations(rows, y, images=images, **options)

    @classmethod
    def from_representations(
        cls,
        representations: ArrayLike,
        y: ArrayLike | None = None,
        *,
        method: str | TransformerMixin = "pca",
        images: object = None,
        random_state: object = 0,
        ax: object = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a map of representations.

        Parameters
        ----------
        representations : array-like of shape (n_samples, n_dims)
            Representations of different images.
        y : array-like of shape (n_samples,), default=None
            What colours show; -1, None or NaN is no label.
        method : {"pca", "tsne", "umap"} or transformer, default="pca"
            How to reduce to two numbers. "umap" needs the package umap-learn. A
            transformer is fitted, with fit_transform.
        images : array-like or Tensor of shape (n_samples, height, width, ...), \
                default=None
            Thumbnails to show where there is room, gray or with channels first or last.
        random_state : int, RandomState or None, default=0
            Where the method draws from.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to the points, as of `scatter`.

        Returns
        -------
        RepresentationMapDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If representations, labels and images are not as many, or too few for the
            method.
        ImportError
            If method is "umap" and umap-learn is not installed.
        """
        rows = check_rows("representations", representations, min_samples=2)
        check_as_many("y", y, "representations", rows)
        check_as_many("images", images, "representations", rows)
        points, names = _reduce(rows, method, random_state)
        labels = None if y is None else as_labels("y", y)
        if labels is not None:
            of_one_type("y", labels[is_labelled(labels)])
        pictures = None if images is None else as_pictures(images)
        return cls(points, labels, pictures, names).plot(ax, **kwargs)

    def plot(self, ax: object = None, *, legend: bool = True, **kwargs: Any) -> Self:
        """Draw the points, and thumbnails over them.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        legend : bool, default=True
            Whether to say which colour is which label. One of two maps side by side
            does.
        **kwargs : dict
            Passed on to the points, as of `scatter`.

        Returns
        -------
        RepresentationMapDisplay
            This object.
        """
        self._draw_on(ax, HEIGHT)
        options = {"s": 18, "linewidths": 0, **kwargs}
        if self.labels is None:
            self.ax_.scatter(*self.points.T, **{**look(0), **options})
        else:
            self._plot_labels(as_labels("labels", self.labels), legend, options)
        if self.pictures is not None:
            self._plot_thumbnails(self.pictures)
        x_name, y_name = self.axis_names
        self.ax_.set(xlabel=x_name, ylabel=y_name, xticks=[], yticks=[])
        self.ax_.set_aspect("equal", adjustable="datalim")
        return self

    def _plot_labels(
        self, values: Array, legend: bool, options: dict[str, Any]
    ) -> None:
        """Show what labels there are by colours, over the images without."""
        is_known = is_labelled(values)
        is_number = _are_fractions(of_one_type("labels", values[is_known]))
        if is_number:  # -1 is one of them
            is_known = ~is_missing(values)
        if not is_known.all():
            style = {"color": FADED, "label": NO_LABEL, **options}
            self.ax_.scatter(*self.points[~is_known].T, **style)
        labels = of_one_type("labels", values[is_known])
        draw = self._plot_numbers if is_number else self._plot_classes
        draw(self.points[is_known], labels, legend, options)

    def _plot_numbers(
        self, points: Array, labels: Array, legend: bool, options: dict[str, Any]
    ) -> None:
        """Give each number a shade."""
        numbers = {"c": labels, "cmap": "cividis", **options}
        drawn = self.ax_.scatter(*points.T, **numbers)
        if legend:
            self.figure_.colorbar(drawn, ax=self.ax_, label="label")
            if len(points) < len(self.points):
                self.ax_.legend()

    def _plot_classes(
        self, points: Array, labels: Array, legend: bool, options: dict[str, Any]
    ) -> None:
        """Give each class a colour and a marker, which tell apart 70 classes."""
        for index, label in enumerate(np.unique(labels)):
            style = {**look(index, CLASS_COLOURS), "label": as_text(label), **options}
            self.ax_.scatter(*points[labels == label].T, **style)
        if legend:
            self.ax_.legend(
                loc="center left", bbox_to_anchor=(1, 0.5), markerscale=2, frameon=False
            )

    def _plot_thumbnails(self, pictures: Array) -> None:
        """Show images where they do not cover one that is shown."""
        self.ax_.set_autoscale_on(False)  # or the map would end where a picture does
        side = THUMBNAIL * np.ptp(self.points, axis=0).max()
        size = side * np.array([1, ratio(pictures[0])])
        shown: list[Array] = []
        for point, picture in zip(self.points, pictures, strict=True):
            if any((np.abs(point - other) < 1.1 * size).all() for other in shown):
                continue
            shown.append(point)
            (left, low), (right, high) = point - size / 2, point + size / 2
            self._show(picture, (left, right, low, high), zorder=3)
        self.ax_.set_autoscale_on(True)


def _are_fractions(labels: Array) -> bool:
    """Tell whether labels are numbers that a colour bar shows, no classes."""
    return len(labels) > 0 and str(type_of_target(labels)).startswith("continuous")


def _reduce(
    rows: Array, method: str | TransformerMixin, random_state: object
) -> tuple[Array, list[str]]:
    """Bring rows to two numbers each; also what the numbers are."""
    if isinstance(method, str) and method == "pca":
        return _principal_components(rows)
    reducer = _reducer(method, len(rows), random_state)
    points = np.asarray(reducer.fit_transform(rows))
    if points.shape != (len(rows), 2):
        raise ValueError(
            f"method must give {(len(rows), 2)} numbers. {method!r} gave "
            f"{points.shape}; pass n_components=2."
        )
    name, unit = type(method).__name__, ""
    if isinstance(method, str):
        name, unit = NAMES[method], " (no unit)"
    return points, [f"{name}, coordinate {number}{unit}" for number in (1, 2)]


def _principal_components(rows: Array) -> tuple[Array, list[str]]:
    """Project on the two directions of most variance."""
    if rows.shape[1] < 2:
        raise ValueError("method='pca' needs two columns or more. Got 1.")
    pca = PCA(2, random_state=0)
    with np.errstate(invalid="ignore"):  # equal rows have no variance to share
        points = pca.fit_transform(rows)
    shares = np.nan_to_num(pca.explained_variance_ratio_)
    return points, [
        f"PCA, component {number} ({share:.0%} of variance)".replace("%", " %")
        for number, share in enumerate(shares, 1)
    ]


def _reducer(
    method: str | TransformerMixin, n_rows: int, random_state: object
) -> TransformerMixin:
    """Make what a name stands for, if it can be used; a transformer is one itself."""
    if hasattr(method, "fit_transform") and not isinstance(method, type):
        return method
    if not isinstance(method, str) or method not in NAMES:
        raise ValueError(
            f"method must be one of {', '.join(map(repr, NAMES))} or a transformer. "
            f"Got {method!r}."
        )
    if method == "tsne":
        tsne = TSNE(random_state=random_state)
        if n_rows > tsne.perplexity:
            return tsne
        raise ValueError(
            f"method='tsne' has a perplexity of {tsne.perplexity:g} and needs more "
            f"rows than that. Got {n_rows}; pass method=TSNE(perplexity=...) with a "
            "smaller one."
        )
    try:
        from umap import UMAP  # noqa: PLC0415  optional, and slow to import
    except ImportError as error:
        raise ImportError(
            "method='umap' needs the package umap-learn: pip install umap-learn. "
            "method='tsne' needs nothing."
        ) from error
    return UMAP(random_state=random_state, n_jobs=1)  # with a seed it is 1 anyway
