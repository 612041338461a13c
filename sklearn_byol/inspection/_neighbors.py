"""Images beside those that the encoder finds most alike."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors

from sklearn_byol._unlabelled import as_labels, is_labelled
from sklearn_byol.inspection._display import ALARM, NO_LABEL, as_text
from sklearn_byol.inspection._pictures import (
    GAP,
    PicturesDisplay,
    as_pictures,
    pictures_of,
    ratio,
)
from sklearn_byol.metrics import Array, byol_steps, check_as_many, check_rows, represent

N_QUERIES = 5
N_LETTERS = 16  # of a label, which stands below a picture
LINE = 0.26  # room for a line of text, in widths of a picture
ASIDE = 0.3  # between a query and its neighbours, in widths of a picture


@dataclass(eq=False, repr=False)
class NeighborsDisplay(PicturesDisplay):
    """Images, and to the right of each the images nearest to it by cosine.

    What lies near is what the encoder takes for alike, so this shows what it has
    learned sooner than any number. Neighbours with another label are framed; where -1,
    None or NaN marks an image as unlabelled, "no label" stands below it, and no frame
    around it.

    Parameters
    ----------
    pictures : ndarray of shape (n_queries, 1 + n_neighbors, height, width, ...)
        Each query and its neighbours, nearest first, in [0, 1]: gray or RGB.
    indices : ndarray of int of shape (n_queries, 1 + n_neighbors)
        Where they stand in X.
    cosines : ndarray of shape (n_queries, n_neighbors)
        Cosine of the angle between each neighbour and its query.
    labels : ndarray of shape (n_queries, 1 + n_neighbors), default=None
        Their labels; -1, None or NaN is no label.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol.inspection import NeighborsDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> images = X.reshape(-1, 8, 8)
    >>> display = NeighborsDisplay.from_representations(X, images, y, queries=[0, 1])
    >>> display.indices.shape
    (2, 7)
    """

    pictures: Array
    indices: NDArray[np.intp]
    cosines: Array
    labels: Array | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: object,
        y: ArrayLike | None = None,
        *,
        queries: ArrayLike | None = None,
        n_neighbors: int = 6,
        ax: object = None,
        **kwargs: object,
    ) -> Self:
        """Find and draw the neighbours of some images among all of X.

        Parameters
        ----------
        estimator : BYOLTransformer or Pipeline
            Fitted.
        X : array-like, Tensor, path, sequence of images or Dataset
            Images that the estimator takes. Those that are shown are read again.
        y : array-like of shape (n_samples,), default=None
            Labels to show; -1, None or NaN is no label.
        queries : array-like of int, default=None
            Where the images whose neighbours are shown stand in X; None takes five,
            evenly spaced.
        n_neighbors : int, default=6
            Neighbours of each.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to imshow.

        Returns
        -------
        NeighborsDisplay
            What was drawn.
        """
        steps = byol_steps(estimator)
        rows = represent(estimator, X)
        check_as_many("y", y, "X", rows)
        indices, cosines, labels = _neighbors(rows, y, queries, n_neighbors)
        unique, places = np.unique(indices, return_inverse=True)
        images = pictures_of(steps.read(X, unique))
        pictures = images[places.reshape(indices.shape)]
        return cls(pictures, indices, cosines, labels).plot(ax, **kwargs)

    @classmethod
    def from_representations(
        cls,
        representations: ArrayLike,
        images: object,
        y: ArrayLike | None = None,
        *,
        queries: ArrayLike | None = None,
        n_neighbors: int = 6,
        ax: object = None,
        **kwargs: object,
    ) -> Self:
        """Find and draw the neighbours of some rows among all representations.

        Parameters
        ----------
        representations : array-like of shape (n_samples, n_dims)
            Representations of different images.
        images : array-like or Tensor of shape (n_samples, height, width, ...)
            The images, gray or with channels first or last.
        y : array-like of shape (n_samples,), default=None
            Labels to show; -1, None or NaN is no label.
        queries : array-like of int, default=None
            The rows whose neighbours are shown; None takes five, evenly spaced.
        n_neighbors : int, default=6
            Neighbours of each.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to imshow.

        Returns
        -------
        NeighborsDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If representations, images and labels are not as many, or `queries` and
            `n_neighbors` ask for images that are not there.
        """
        rows = check_rows("representations", representations, min_samples=2)
        check_as_many("images", images, "representations", rows)
        check_as_many("y", y, "representations", rows)
        indices, cosines, labels = _neighbors(rows, y, queries, n_neighbors)
        pictures = as_pictures(images)[indices]
        return cls(pictures, indices, cosines, labels).plot(ax, **kwargs)

    def plot(self, ax: object = None, **kwargs: Any) -> Self:
        """Draw a row for each query, with cosine and label below each neighbour.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to imshow.

        Returns
        -------
        NeighborsDisplay
            This object.
        """
        n_rows, n_columns = self.indices.shape
        height = ratio(self.pictures[0, 0])
        lefts = np.arange(n_columns) * (1 + GAP)
        lefts[1:] += ASIDE
        tops = np.arange(n_rows) * (height + LINE + GAP) + LINE
        self._lay_out(ax, lefts[-1] + 1, tops[-1] + height + LINE)
        self.ax_.text(0.5, 0, "query", ha="center", va="top")
        self.ax_.text(lefts[1], 0, "nearest first, with cosine", va="top")
        for row, top in enumerate(tops):
            for column, left in enumerate(lefts):
                self._place(self.pictures[row, column], left, top, **kwargs)
                self._caption(row, column, left, top, top + height)
        return self

    def _caption(
        self, row: int, column: int, left: float, top: float, bottom: float
    ) -> None:
        """Write label and cosine below a picture; frame it if the label differs."""
        text, colour = f"no. {self.indices[row, 0]}", "black"
        if column:
            text = f"{self.cosines[row, column - 1]:.2f}"
        if self.labels is not None:
            label, of_query = self.labels[row, column], self.labels[row, 0]
            has_label, has_query = is_labelled(self.labels[row, [column, 0]])
            name = _shortened(as_text(label)) if has_label else NO_LABEL
            text = f"{name}   {text}"
            if has_label and has_query and label != of_query:
                colour = ALARM
                x, y = left + np.array([0, 1, 1, 0, 0]), [top, top, bottom, bottom, top]
                self.ax_.plot(x, y, clip_on=False, color=colour, linewidth=3)
        place = left + 0.5, bottom + 0.03
        self.ax_.text(*place, text, ha="center", va="top", size="small", color=colour)


def _shortened(name: str) -> str:
    """Leave out the middle of a name that is wider than a picture."""
    half = N_LETTERS // 2
    return name if len(name) <= N_LETTERS else f"{name[:half]}…{name[1 - half :]}"


def _neighbors(
    rows: Array, y: ArrayLike | None, queries: ArrayLike | None, n_neighbors: int
) -> tuple[NDArray[np.intp], Array, Array | None]:
    """Find the neighbours of queries, which stand first; indices, cosines, labels."""
    if not isinstance(n_neighbors, Integral) or not 0 < n_neighbors < len(rows):
        raise ValueError(
            f"n_neighbors must be from 1 to {len(rows) - 1}, as there are {len(rows)} "
            f"images. Got {n_neighbors!r}."
        )
    values = None if y is None else as_labels("y", y)
    if queries is None:
        queries = np.linspace(0, len(rows) - 1, min(N_QUERIES, len(rows)), dtype=int)
    queries = np.asarray(queries)
    is_list = queries.dtype.kind in "iu" and queries.ndim == 1 and len(queries) > 0
    if not is_list or queries.min() < 0 or queries.max() >= len(rows):
        raise ValueError(
            f"queries must be indices from 0 to {len(rows) - 1}. Got {queries!r}."
        )
    search = NearestNeighbors(n_neighbors=n_neighbors + 1, metric="cosine").fit(rows)
    distances, indices = search.kneighbors(rows[queries])
    # A copy of the query may come before it, or push it out.
    is_other = indices != queries[:, np.newaxis]
    is_other[is_other.all(axis=1), -1] = False
    shape = len(queries), n_neighbors
    indices = np.column_stack([queries, indices[is_other].reshape(shape)])
    labels = None if values is None else values[indices]
    return indices, 1 - distances[is_other].reshape(shape), labels
