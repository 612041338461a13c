"""Scorers for searches without labels."""

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing, check_random_state, gen_batches
from sklearn.utils.validation import _num_samples

from sklearn_byol._pipelines import byol_steps, represent
from sklearn_byol.metrics._label_free import alignment, effective_rank, uniformity

__all__ = ["alignment_scorer", "effective_rank_scorer", "uniformity_scorer"]

N_AT_ONCE = 256  # images whose views are drawn at a time
VIEWS_SEED = 0  # every candidate of a search is scored on the same draws


def effective_rank_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Score a fitted estimator by the effective rank of its representations.

    Pass it as `scoring` to search without labels; greater counts as better. It shows
    collapse; it is no judge between encoders that have not, since one that has hardly
    learned has a high rank: training first forgets what differs between views. Over 20
    settings of lr and momentum, Spearman's correlation with the accuracy from 10 labels
    a class was -0.75 on digits, -0.50 on fashion_mnist and +0.60 on cifar10; that of
    `alignment_scorer` and `uniformity_scorer` together, their sum, +0.91, +0.51 and
    -0.38 (benchmarks/label_free.py). lr and momentum "auto" gave more, on the mean of
    the three, than what either score chose.

    Parameters
    ----------
    estimator : transformer or Pipeline
        Fitted. Of a pipeline that ends in a predictor the steps before it count.
    X : array-like
        Images that the estimator takes; several times more than a representation has
        numbers, since the effective rank is no more than their number.
    y : None
        Ignored.

    Returns
    -------
    float
        `effective_rank` of the representations of X.

    Raises
    ------
    TypeError
        If the estimator does not transform.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_byol import BYOLTransformer
    >>> from sklearn_byol.metrics import effective_rank_scorer
    >>> X, _ = load_digits(return_X_y=True)
    >>> byol = BYOLTransformer(max_epochs=1, random_state=0)
    >>> grid = {"momentum": [0.9, 0.99]}
    >>> search = GridSearchCV(byol, grid, scoring=effective_rank_scorer, cv=2)
    >>> sorted(search.fit(X[:200]).best_params_)
    ['momentum']
    """
    return effective_rank(represent(estimator, X))


def alignment_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Score a fitted estimator by the alignment of views, with its sign changed.

    Two views of each image are drawn by the `views_` that training has used, always
    with the same seed. A collapsed encoder has the best score, 0, and so has one whose
    views change nothing: use it beside other scores, not to search by. Its correlations
    with accuracy, as in `effective_rank_scorer`: +0.79, +0.59 and -0.46.

    Parameters
    ----------
    estimator : BYOLTransformer or Pipeline
        Fitted. Of a pipeline that ends in a predictor the steps before it count.
    X : array-like
        Images that the estimator takes.
    y : None
        Ignored.

    Returns
    -------
    float
        Minus `alignment` of the representations of two views, in [-4, 0].

    Raises
    ------
    TypeError
        If there is no BYOLTransformer in the estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol import BYOLTransformer
    >>> from sklearn_byol.metrics import alignment_scorer
    >>> X, _ = load_digits(return_X_y=True)
    >>> byol = BYOLTransformer(max_epochs=1, random_state=0).fit(X[:200])
    >>> -4 <= alignment_scorer(byol, X[200:300]) <= 0
    True
    """
    steps = byol_steps(estimator)
    random_state = check_random_state(VIEWS_SEED)
    pairs = []
    for chunk in gen_batches(_num_samples(X), N_AT_ONCE):
        images = steps.prepare(_safe_indexing(X, np.arange(chunk.start, chunk.stop)))
        views = steps.byol.sample_views(images, random_state)
        pairs.append([steps.represent_images(view) for view in views])
    return -alignment(*map(np.concatenate, zip(*pairs, strict=True)))


def uniformity_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Score a fitted estimator by the uniformity of representations, sign changed.

    Pass it as `scoring` to search without labels; greater counts as better. What
    `effective_rank_scorer` says of encoders that have hardly learned holds here too.
    Its correlations with accuracy, as there: +0.32, -0.23 and -0.24.

    Parameters
    ----------
    estimator : transformer or Pipeline
        Fitted. Of a pipeline that ends in a predictor the steps before it count.
    X : array-like
        Images that the estimator takes.
    y : None
        Ignored.

    Returns
    -------
    float
        Minus `uniformity` of the representations of X, in [0, 8].

    Raises
    ------
    TypeError
        If the estimator does not transform.

    Examples
    --------
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from sklearn_byol.metrics import uniformity_scorer
    >>> uniformity_scorer(FunctionTransformer(), [[1.0, 0.0], [-1.0, 0.0]])
    8.0
    """
    return -uniformity(represent(estimator, X))
