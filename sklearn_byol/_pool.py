"""Unlabelled images that cross-validation must pass on whole."""

from typing import Any

__all__ = ["UnlabeledPool"]


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

    def __init__(self, X: Any) -> None:
        self.X = X

    def __repr__(self) -> str:
        """Show what kind of object holds the images, not the images."""
        return f"UnlabeledPool({type(self.X).__name__})"
