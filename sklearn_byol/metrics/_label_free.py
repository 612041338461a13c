"""What representations tell of their quality without any label."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import pairwise_distances_chunked
from sklearn.preprocessing import normalize
from sklearn.utils._param_validation import validate_params

from sklearn_byol import objective
from sklearn_byol._checks import POSITIVE, check_rows

__all__ = ["alignment", "effective_rank", "uniformity"]


def effective_rank(representations: ArrayLike) -> float:
    """Say how many directions representations use.

    Representations that lie in a few directions have lost what the others could tell:
    this is dimensional collapse, which the loss does not show. The singular values of
    the rows, divided by their sum, are read as probabilities; the result is the
    exponential of their entropy. Rows are not centred, as in the source.

    Parameters
    ----------
    representations : array-like of shape (n_samples, n_dims)
        Representations of different images. Compare numbers only between sets of as
        many images, several times more than `n_dims`: the source takes 25,600.

    Returns
    -------
    float
        The effective rank, from 1 (all rows are multiples of one) to the smaller of
        n_samples and n_dims.

    Raises
    ------
    ValueError
        If the representations are no matrix of two rows or more, or not finite.

    References
    ----------
    Garrido et al. (2023), RankMe: assessing the downstream performance of pretrained
    self-supervised representations by their rank, arXiv 2210.02885, equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_byol.metrics import effective_rank
    >>> round(effective_rank(np.eye(4)), 3), round(effective_rank(np.ones((4, 4))), 3)
    (4.0, 1.0)
    """
    rows = check_rows("representations", representations, min_samples=2)
    return objective.effective_rank(torch.tensor(rows.copy())).item()


@validate_params(
    {
        "representations_1": ["array-like"],
        "representations_2": ["array-like"],
        "alpha": [POSITIVE],
    },
    prefer_skip_nested_validation=True,
)
def alignment(
    representations_1: ArrayLike, representations_2: ArrayLike, *, alpha: float = 2
) -> float:
    """Say how far apart two views of one image are represented; less is better.

    Rows are brought to length 1; the result is the mean distance between the two rows
    of an image, to the power `alpha`. It is best for a collapsed encoder, so it means
    something beside `uniformity` only.

    Parameters
    ----------
    representations_1 : array-like of shape (n_samples, n_dims)
        Representations of one view of each image.
    representations_2 : array-like of shape (n_samples, n_dims)
        Representations of another view of the same images, in the same order.
    alpha : float, default=2
        Power of the distance, above 0.

    Returns
    -------
    float
        The alignment, in [0, 2 ** alpha]. For alpha=2 it is 2 - 2 cos, as the loss of
        one direction of BYOL.

    Raises
    ------
    ValueError
        If the two are no finite matrices of one shape.

    References
    ----------
    Wang and Isola (2020), Understanding contrastive representation learning through
    alignment and uniformity on the hypersphere, arXiv 2005.10242, section 4.1.1.

    Examples
    --------
    >>> from sklearn_byol.metrics import alignment
    >>> alignment([[1.0, 0.0]], [[0.0, 2.0]])
    2.0
    """
    rows_1 = check_rows("representations_1", representations_1)
    rows_2 = check_rows("representations_2", representations_2)
    if rows_1.shape != rows_2.shape:
        raise ValueError(
            f"representations_1 has shape {rows_1.shape}, but representations_2 has "
            f"{rows_2.shape}. Pass two views of the same images."
        )
    squares = ((normalize(rows_1) - normalize(rows_2)) ** 2).sum(axis=1)
    return float(np.mean(squares ** (alpha / 2), dtype=np.float64))


@validate_params(
    {"representations": ["array-like"], "t": [POSITIVE]},
    prefer_skip_nested_validation=True,
)
def uniformity(representations: ArrayLike, *, t: float = 2) -> float:
    """Say how evenly representations spread over the sphere; less is better.

    Rows are brought to length 1; the result is the logarithm of the mean over all pairs
    of different images of exp(-t d**2), d their distance. Time grows with the square of
    n_samples; memory is bounded by scikit-learn's `working_memory`.

    Parameters
    ----------
    representations : array-like of shape (n_samples, n_dims)
        Representations of different images.
    t : float, default=2
        How fast a pair ceases to count as it parts, above 0.

    Returns
    -------
    float
        The uniformity, in [-4 t, 0]: 0 where all rows point the same way, about -2 t
        for many rows spread evenly in many dimensions.

    Raises
    ------
    ValueError
        If the representations are no matrix of two rows or more, or not finite.

    References
    ----------
    Wang and Isola (2020), Understanding contrastive representation learning through
    alignment and uniformity on the hypersphere, arXiv 2005.10242, section 4.1.2.

    Examples
    --------
    >>> from sklearn_byol.metrics import uniformity
    >>> uniformity([[1.0, 0.0], [-1.0, 0.0]])
    -8.0
    """
    rows = normalize(check_rows("representations", representations, min_samples=2))

    def closeness(squares: NDArray[Any], start: int) -> NDArray[Any]:
        chunk = np.arange(len(squares))
        squares[chunk, start + chunk] = np.inf  # a row and itself are no pair
        return np.exp(-t * squares).sum(axis=1, dtype=np.float64)

    sums = pairwise_distances_chunked(
        rows, reduce_func=closeness, metric="euclidean", squared=True
    )
    n_pairs = len(rows) * (len(rows) - 1)
    return float(np.log(np.concatenate(list(sums)).sum() / n_pairs))
