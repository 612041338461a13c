"""Images beside those that the encoder finds most alike."""

from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from sklearn_byol.inspection._axes import ALARM
from sklearn_byol.inspection._pictures import (
    GAP,
    as_pictures,
    board,
    frame,
    pictures_of,
    place,
    ratio,
)
from sklearn_byol.metrics import byol_steps, check_as_many, check_rows, represent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = ["NeighborsDisplay"]

N_QUERIES = 5
LINE = 0.26  # room for a line of text, in widths of a picture
ASIDE = 0.3  # between a query and its neighbours, in widths of a picture


class NeighborsDisplay:
    """Images, and to the right of each the images nearest to it by cosine.

    What lies near is what the encoder takes for alike, so this shows what it has
    learned sooner than any number. Neighbours with another label are framed.

    Parameters
    ----------
    pictures : ndarray of shape (n_queries, 1 + n_neighbors, height, width, ...)
        Each query and its neighbours, nearest first, in [0, 1]: gray or RGB.
    indices : ndarray of int of shape (n_queries, 1 + n_neighbors)
        Where they stand in X.
    cosines : ndarray of shape (n_queries, n_neighbors)
        Cosine of the angle between each neighbour and its query.
    labels : ndarray of shape (n_queries, 1 + n_neighbors), default=None
        Their labels.

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

    ax_: "Axes"
    figure_: "Figure | SubFigure"

    def __init__(
        self,
        pictures: NDArray[Any],
        indices: NDArray[np.intp],
        cosines: NDArray[Any],
        labels: NDArray[Any] | None = None,
    ) -> None:
        self.pictures = pictures
        self.indices = indices
        self.cosines = cosines
        self.labels = labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        queries: ArrayLike | None = None,
        n_neighbors: int = 6,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Find and draw the neighbours of some images among all of X.

        Parameters
        ----------
        estimator : BYOLTransformer or Pipeline
            Fitted.
        X : array-like, Tensor, path, sequence of images or Dataset
            Images that the estimator takes. Those that are shown are read again.
        y : array-like of shape (n_samples,), default=None
            Labels to show.
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
        indices, cosines = _neighbors(rows, queries, n_neighbors)
        unique, places = np.unique(indices, return_inverse=True)
        images = pictures_of(steps.byol.read_images(steps.prepare(X), unique))
        pictures = images[places.reshape(indices.shape)]
        labels = None if y is None else np.asarray(y)[indices]
        return cls(pictures, indices, cosines, labels).plot(ax, **kwargs)

    @classmethod
    def from_representations(
        cls,
        representations: ArrayLike,
        images: Any,
        y: ArrayLike | None = None,
        *,
        queries: ArrayLike | None = None,
        n_neighbors: int = 6,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Find and draw the neighbours of some rows among all representations.

        Parameters
        ----------
        representations : array-like of shape (n_samples, n_dims)
            Representations of different images.
        images : array-like or Tensor of shape (n_samples, height, width, ...)
            The images, gray or with channels first or last.
        y : array-like of shape (n_samples,), default=None
            Labels to show.
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
        indices, cosines = _neighbors(rows, queries, n_neighbors)
        pictures = as_pictures(images)[indices]
        labels = None if y is None else np.asarray(y)[indices]
        return cls(pictures, indices, cosines, labels).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
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
        self.ax_ = board(ax, lefts[-1] + 1, tops[-1] + height + LINE)
        self.ax_.text(0.5, 0, "query", ha="center", va="top")
        self.ax_.text(lefts[1], 0, "nearest first, with cosine", va="top")
        for row, top in enumerate(tops):
            for column, left in enumerate(lefts):
                place(self.ax_, self.pictures[row, column], left, top, **kwargs)
                self._caption(row, column, left, top + height)
                if self._differs(row, column):
                    frame(self.ax_, left, top, height, color=ALARM, linewidth=3)
        self.figure_ = self.ax_.figure
        return self

    def _differs(self, row: int, column: int) -> bool:
        """Tell whether a neighbour has another label than its query."""
        return self.labels is not None and bool(
            self.labels[row, column] != self.labels[row, 0]
        )

    def _caption(self, row: int, column: int, left: float, bottom: float) -> None:
        """Write label and cosine below a picture."""
        parts = [] if self.labels is None else [str(self.labels[row, column])]
        if column:
            parts.append(f"{self.cosines[row, column - 1]:.2f}")
        else:
            parts.append(f"no. {self.indices[row, 0]}")
        self.ax_.text(
            left + 0.5,
            bottom + 0.03,
            "   ".join(parts),
            ha="center",
            va="top",
            fontsize="small",
            color=ALARM if self._differs(row, column) else "black",
        )


def _neighbors(
    rows: NDArray[Any], queries: ArrayLike | None, n_neighbors: int
) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Find the neighbours of queries among all rows; each query stands first."""
    if not isinstance(n_neighbors, Integral) or not 0 < n_neighbors < len(rows):
        raise ValueError(
            f"n_neighbors must be from 1 to {len(rows) - 1}, as there are {len(rows)} "
            f"images. Got {n_neighbors!r}."
        )
    if queries is None:
        queries = np.linspace(0, len(rows) - 1, min(N_QUERIES, len(rows)), dtype=int)
    queries = np.asarray(queries)
    is_whole = queries.dtype.kind in "iu" and queries.size > 0
    if (
        not is_whole
        or queries.ndim != 1
        or not ((queries >= 0) & (queries < len(rows))).all()
    ):
        raise ValueError(
            f"queries must be indices from 0 to {len(rows) - 1}. Got {queries!r}."
        )
    search = NearestNeighbors(n_neighbors=n_neighbors + 1, metric="cosine").fit(rows)
    distances, indices = search.kneighbors(rows[queries])
    # A copy of the query may come before it, or push it out.
    is_other = indices != queries[:, np.newaxis]
    is_other[is_other.all(axis=1), -1] = False
    indices, distances = (
        values[is_other].reshape(len(queries), n_neighbors)
        for values in (indices, distances)
    )
    return np.column_stack([queries, indices]), 1 - distances
