"""Images beside the views that are drawn of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from torch import Tensor

from sklearn_byol.inspection._pictures import GAP, PicturesDisplay, pictures_of, ratio
from sklearn_byol.metrics import byol_steps, check_whole
from sklearn_byol.views._random_views import RandomViews

GROUP_GAP = 0.2  # between the views of two names, in widths of a picture


@dataclass(eq=False, repr=False)
class ViewsDisplay(PicturesDisplay):
    """Images in the first row, and below each the views drawn of it.

    If you could not tell what is in a view, neither can the encoder; if all views look
    like the image, there is nothing to learn. Look before you train.

    Parameters
    ----------
    images : Tensor or ndarray of shape (n_images, n_channels, height, width)
        Images in [0, 1].
    views : dict of str to pair of Tensor or ndarray
        View 1 and view 2 of the images, of the same shape, by the name of their draw.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    RandomViews : How views are drawn, with a parameter for each strength.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol.inspection import ViewsDisplay
    >>> images = load_digits().images[:8, None] / 16
    >>> display = ViewsDisplay.from_views(["digits", "lab"], images)
    >>> len(display.ax_.images)
    40
    """

    images: object
    views: Mapping[str, tuple[object, object]]

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: object,
        *,
        n_draws: int = 2,
        random_state: object = 0,
        ax: object = None,
        **kwargs: object,
    ) -> Self:
        """Draw the views that a fitted transformer was trained on.

        Parameters
        ----------
        estimator : BYOLTransformer or Pipeline
            Fitted.
        X : array-like, Tensor, path, sequence of images or Dataset
            About eight images that the estimator takes.
        n_draws : int, default=2
            Pairs of views of each image.
        random_state : int, RandomState or None, default=0
            Where to draw from.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to imshow.

        Returns
        -------
        ViewsDisplay
            What was drawn.
        """
        steps = byol_steps(estimator)
        check_whole("n_draws", n_draws)
        X, byol = steps.prepare(X), steps.byol
        rng, draws = check_random_state(random_state), range(1, n_draws + 1)
        views = {f"draw {draw}": byol.sample_views(X, rng) for draw in draws}
        return cls(byol.read_images(X), views).plot(ax, **kwargs)

    @classmethod
    def from_views(
        cls,
        views: Mapping[str, RandomViews] | Sequence[str],
        images: Tensor | ArrayLike,
        *,
        random_state: int = 0,
        ax: object = None,
        **kwargs: object,
    ) -> Self:
        """Draw views before anything is trained, to compare presets or strengths.

        Parameters
        ----------
        views : dict of str to RandomViews, or sequence of str
            How to draw, by name; or names of presets.
        images : Tensor or ndarray of shape (n_images, n_channels, height, width)
            About eight images in [0, 1].
        random_state : int, default=0
            Seed of each draw.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to imshow.

        Returns
        -------
        ViewsDisplay
            What was drawn.
        """
        laws = views if isinstance(views, Mapping) else {}
        if isinstance(views, (list, tuple)):
            laws = {name: RandomViews(name) for name in views}
        if not laws or not all(isinstance(law, RandomViews) for law in laws.values()):
            raise TypeError(
                "views must be a dict of names and RandomViews, or a list of presets, "
                f"one or more. Got {views!r}."
            )
        check_whole("random_state", random_state, 0)
        device = images.device if isinstance(images, Tensor) else "cpu"
        drawn = {
            name: law.sample(images, torch.Generator(device).manual_seed(random_state))
            for name, law in laws.items()
        }
        return cls(images, drawn).plot(ax, **kwargs)

    def plot(self, ax: object = None, **kwargs: Any) -> Self:
        """Draw a row of images, then two rows for each pair of views.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to imshow.

        Returns
        -------
        ViewsDisplay
            This object.
        """
        images, top = pictures_of(self.images), 0.0
        rows = [("image", top, images, kwargs)]
        for name, pair in self.views.items():
            for number, view in enumerate(pair, 1):
                top += ratio(images[0]) + (GROUP_GAP if number == 1 else GAP)
                label = f"{name}\nview {number}"
                rows.append((label, top, pictures_of(view), kwargs))
        self._draw_rows(ax, rows)
        return self
