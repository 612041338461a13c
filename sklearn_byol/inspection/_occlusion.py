"""What part of an image moves its representation."""

from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.preprocessing import normalize
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_byol.inspection._pictures import GAP, PicturesDisplay, pictures_of, ratio
from sklearn_byol.metrics import Array, BYOLSteps, byol_steps

N_AT_ONCE = 256  # copies of an image


@dataclass(eq=False, repr=False)
class OcclusionDisplay(PicturesDisplay):
    """Images, and below each how far its representation moves where it is covered.

    A patch of the image's mean colour slides over the image. A pixel's value is the
    mean over the patches that cover it of 1 - cosine between the representations with
    and without the patch: bright parts are what the encoder looks at.

    Parameters
    ----------
    images : Tensor or ndarray of shape (n_images, n_channels, height, width)
        Images in [0, 1].
    moves : ndarray of shape (n_images, height, width)
        How far each pixel moves the representation, in [0, 2].

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    References
    ----------
    Zeiler and Fergus (2014), Visualizing and understanding convolutional networks,
    arXiv 1311.2901, section 4.2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol import BYOLTransformer
    >>> from sklearn_byol.inspection import OcclusionDisplay
    >>> X, _ = load_digits(return_X_y=True)
    >>> byol = BYOLTransformer(max_epochs=1, random_state=0).fit(X[:200])
    >>> OcclusionDisplay.from_estimator(byol, X[:4]).moves.shape
    (4, 8, 8)
    """

    images: object
    moves: Array

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: object,
        *,
        patch_size: int | None = None,
        ax: object = None,
        **kwargs: object,
    ) -> Self:
        """Cover patches of images and draw how far their representations move.

        Parameters
        ----------
        estimator : BYOLTransformer or Pipeline
            Fitted.
        X : array-like, Tensor, path, sequence of images or Dataset
            About eight images that the estimator takes.
        patch_size : int, default=None
            Side of the patch in pixels; it moves by half of it. None is a quarter of
            the shorter side, 1 at least.
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to imshow of the lower row.

        Returns
        -------
        OcclusionDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If the patch is larger than the images.
        """
        steps = byol_steps(estimator)
        images = steps.read(X)
        shorter = min(images.shape[2:])
        side = max(1, shorter // 4) if patch_size is None else patch_size
        if not isinstance(side, int | np.integer) or not 1 <= side <= shorter:
            raise ValueError(
                f"patch_size must be from 1 to {shorter}, the shorter side of the "
                f"images. Got {patch_size!r}."
            )
        moves = np.stack([_moves(steps, image, int(side)) for image in images])
        return cls(images, moves).plot(ax, **kwargs)

    def plot(self, ax: object = None, **kwargs: Any) -> Self:
        """Draw the images, and below them what moves their representations.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed on to imshow of the lower row.

        Returns
        -------
        OcclusionDisplay
            This object.
        """
        pictures, top = pictures_of(self.images), ratio(self.moves[0]) + GAP
        style = {"cmap": "cividis", "vmin": 0, "vmax": self.moves.max(), **kwargs}
        rows = [("image", 0.0, pictures, {}), ("move", top, self.moves, style)]
        self._draw_rows(ax, rows, below=0.6)
        label = "move of the representation where covered, 1 - cosine"
        place: dict[str, Any] = {"location": "bottom", "shrink": 0.6, "aspect": 50}
        self.figure_.colorbar(self.ax_.images[-1], ax=self.ax_, label=label, **place)
        return self


def _moves(steps: BYOLSteps, image: Tensor, side: int) -> Array:
    """Cover one image patch by patch; the mean move of each pixel."""
    height, width = image.shape[1:]
    step = max(1, side // 2)
    corners = list(product(_starts(height, side, step), _starts(width, side, step)))
    rows = [
        steps.represent_images(_covered(image, corners[chunk], side))
        for chunk in gen_batches(len(corners), N_AT_ONCE)
    ]
    seen = normalize(steps.represent_images(image[None]))[0]
    moves, counts = np.zeros((2, height, width))
    for (top, left), row in zip(corners, normalize(np.concatenate(rows)), strict=True):
        patch = np.s_[top : top + side, left : left + side]
        moves[patch] += 1 - row @ seen
        counts[patch] += 1
    return np.clip(moves / counts, 0, 2)


def _covered(image: Tensor, corners: list[tuple[int, int]], side: int) -> Tensor:
    """Copy an image for each corner and cover the patch there with its mean colour."""
    covered = image.repeat(len(corners), 1, 1, 1)
    colour = image.mean(dim=(1, 2))[:, None, None]
    for one, (top, left) in zip(covered, corners, strict=True):
        one[:, top : top + side, left : left + side] = colour
    return covered


def _starts(length: int, side: int, step: int) -> list[int]:
    """Where patches begin, the last one at the end."""
    return [*range(0, length - side, step), length - side]
