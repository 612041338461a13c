"""The transformer in an estimator or a pipeline, and what the whole makes of images."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from torch import Tensor

__all__ = ["BYOLSteps", "byol_steps", "represent"]


@dataclass(frozen=True)
class BYOLSteps:
    """The fitted transformer of a pipeline, with the transforming steps around it.

    Attributes
    ----------
    before, after : list of transformers
        Fitted steps; empty where there is no pipeline.
    byol : BYOLTransformer
        The fitted transformer.
    """

    before: list[Any]
    byol: Any
    after: list[Any]

    def prepare(self, X: Any) -> Any:
        """Apply the steps before the transformer."""
        return _apply(self.before, X)

    def represent_images(self, images: Tensor) -> NDArray[Any]:
        """Turn images (n, n_channels, height, width) in [0, 1] into representations."""
        encoder = self.byol.encoder_
        device = next(iter(encoder.state_dict().values())).device
        with torch.inference_mode():
            rows = encoder(images.to(device)).float().cpu().numpy()
        return np.asarray(_apply(self.after, rows))


def byol_steps(estimator: Any) -> BYOLSteps:
    """Find the fitted transformer in an estimator.

    Parameters
    ----------
    estimator : BYOLTransformer or Pipeline
        A pipeline may end in a predictor, which is left out.

    Returns
    -------
    BYOLSteps
        The transformer and the steps around it.

    Raises
    ------
    TypeError
        If there is no transformer of views in the estimator.
    """
    steps = [estimator]
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps]
    # None and "passthrough" have no transform, as a predictor has none.
    steps = [step for step in steps if hasattr(step, "transform")]
    for index, step in enumerate(steps):
        if hasattr(step, "sample_views") and not isinstance(step, type):
            return BYOLSteps(steps[:index], step, steps[index + 1 :])
    raise TypeError(
        "estimator must be a BYOLTransformer or a Pipeline with one among its steps. "
        f"Got {estimator!r}."
    )


def represent(estimator: Any, X: Any) -> NDArray[Any]:
    """Return what an estimator makes of X, before a last step that only predicts.

    Parameters
    ----------
    estimator : transformer or Pipeline
        Fitted.
    X : array-like
        What the estimator takes.

    Returns
    -------
    ndarray of shape (n_samples, n_dims)
        The representations.

    Raises
    ------
    TypeError
        If nothing in the estimator transforms.
    """
    is_pipeline = isinstance(estimator, Pipeline)
    if is_pipeline and not hasattr(estimator, "transform") and len(estimator) > 1:
        estimator = estimator[:-1]
    if isinstance(estimator, type) or not hasattr(estimator, "transform"):
        raise TypeError(
            "estimator must have transform, or be a Pipeline of transformers with a "
            f"predictor as last step. Got {estimator!r}."
        )
    return np.asarray(estimator.transform(X))


def _apply(steps: Iterable[Any], X: Any) -> Any:
    """Transform by one step after another."""
    for step in steps:
        X = step.transform(X)
    return X
