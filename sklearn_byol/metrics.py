"""How good representations are: figures that need no labels, and nearest neighbours.

None of the label-free figures is a proof of quality. A collapsed encoder has the best
alignment and the worst of the others; an encoder that tells apart what does not matter,
such as noise, or has not learned yet, can have the best uniformity and effective rank.
Where there are a few labels, score by a classifier or by `knn_accuracy`, which leaves
out images without a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import normalize
from sklearn.utils import (
    _safe_indexing,
    check_array,
    check_random_state,
    gen_batches,
)
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import _num_samples, check_is_fitted
from torch import Tensor

from sklearn_byol import objective
from sklearn_byol._unlabelled import are_minus_one_and_one, as_labels, labels_among

__all__ = [
    "alignment",
    "alignment_scorer",
    "effective_rank",
    "effective_rank_scorer",
    "knn_accuracy",
    "uniformity",
    "uniformity_scorer",
]

Array = NDArray[Any]  # rows of numbers, or labels

FLOATS = [np.float64, np.float32]
ANY_SHAPE = {"ensure_2d": False, "allow_nd": True, "ensure_min_samples": 0}
ARRAY = ["array-like"]
POSITIVE = [Interval(Real, 0, None, closed="neither")]
N_AT_ONCE = 256  # images whose neighbours are found, or whose views are drawn
VIEWS_SEED = 0  # every candidate of a search is scored on the same draws

checked = partial(validate_params, prefer_skip_nested_validation=True)


@checked(
    {
        **dict.fromkeys(("representations_train", "representations_test"), ARRAY),
        **dict.fromkeys(("y_train", "y_test"), ARRAY),
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "temperature": POSITIVE,
    }
)
def knn_accuracy(
    representations_train: ArrayLike,
    y_train: ArrayLike,
    representations_test: ArrayLike,
    y_test: ArrayLike,
    *,
    n_neighbors: int = 200,
    temperature: float = 0.1,
) -> float:
    """Return the accuracy of a vote among the nearest labelled representations.

    The nearest by cosine vote for their labels, each with exp(cosine / temperature).
    Nothing is trained, so nothing is tuned either: it is how self-supervised encoders
    are compared while they train. Images without a label neither vote nor are scored:
    -1, None and NaN mark them, as in `BYOLClassifier`.

    Parameters
    ----------
    representations_train : array-like of shape (n_train, n_dims)
        Representations of the images that vote.
    y_train : array-like of shape (n_train,)
        Their labels, numbers or strings; -1, None or NaN is no label.
    representations_test : array-like of shape (n_test, n_dims)
        Representations of the images whose labels are guessed.
    y_test : array-like of shape (n_test,)
        Their labels; -1, None or NaN is no label.
    n_neighbors : int, default=200
        How many vote, at most as many as have a label. Want fewer where classes have
        fewer images.
    temperature : float, default=0.1
        Above 0; the smaller it is, the more the nearest one decides.

    Returns
    -------
    float
        Share of the labelled test images whose label wins, in [0, 1].

    Raises
    ------
    ValueError
        If lengths or columns do not match, if representations are not finite, if there
        are fewer than `n_neighbors` to vote, if no image of a part has a label, or if
        `y_train` holds -1 and 1 only: with -1 as a mark, one class would be left.

    References
    ----------
    Wu et al. (2018), Unsupervised feature learning via non-parametric instance
    discrimination, arXiv 1805.01978, section 3.4, with the temperature of lightly's
    benchmarks; the source has 0.07.

    Examples
    --------
    >>> from sklearn_byol.metrics import knn_accuracy
    >>> rows = [[1.0, 0.1], [1.0, 0.0], [0.0, 1.0]]
    >>> knn_accuracy(rows, ["cat", "cat", "dog"], [[0.1, 1.0]], ["dog"], n_neighbors=3)
    1.0
    """
    labels = as_labels("y_train", y_train), as_labels("y_test", y_test)
    train, test = check_parts(
        ("representations_train", "representations_test"),
        (representations_train, representations_test),
        labels,
    )
    if are_minus_one_and_one(labels[0]):
        raise ValueError(
            "y_train holds -1 and 1 only, of which -1 marks an image without a label. "
            "Pass other labels, such as 0 and 1."
        )
    voting, y_train = labels_among("y_train", labels[0])
    scored, y_test = labels_among("y_test", labels[1])
    train, test, n_rows = train[voting], test[scored], len(train)
    if n_neighbors > len(train):
        which = "rows" if len(train) == n_rows else "labelled rows"
        raise ValueError(
            f"n_neighbors={n_neighbors!r} is more than the {len(train)} {which} of "
            "representations_train. Pass a smaller n_neighbors."
        )
    vote = KNeighborsClassifier(
        n_neighbors,
        metric="cosine",
        # Divided by the weight of the nearest, so that no exponential overflows.
        weights=lambda d: np.exp((d.min(axis=1, keepdims=True) - d) / temperature),
    ).fit(train, y_train)
    chunks = gen_batches(len(test), N_AT_ONCE)
    guesses = np.concatenate([vote.predict(test[chunk]) for chunk in chunks])
    return float(np.mean(guesses == y_test))


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


@checked({"representations_1": ARRAY, "representations_2": ARRAY, "alpha": POSITIVE})
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


@checked({"representations": ARRAY, "t": POSITIVE})
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

    def closeness(squares: Array, start: int) -> Array:
        chunk = np.arange(len(squares))
        squares[chunk, start + chunk] = np.inf  # a row and itself are no pair
        return np.exp(-t * squares).sum(axis=1, dtype=np.float64)

    sums = pairwise_distances_chunked(
        rows, reduce_func=closeness, metric="euclidean", squared=True
    )
    n_pairs = len(rows) * (len(rows) - 1)
    return float(np.log(np.concatenate(list(sums)).sum() / n_pairs))


def effective_rank_scorer(estimator: BaseEstimator, X: object, y: None = None) -> float:
    """Score a fitted estimator by the effective rank of its representations.

    Pass it as `scoring` to search without labels; greater counts as better. It shows
    collapse; it is no judge between encoders that have not, since one that has hardly
    learned has a high rank: training first forgets what differs between views. Over 20
    settings of lr and momentum, Spearman's correlation with the accuracy from 10 labels
    per class was -0.75 on digits, -0.50 on fashion_mnist and +0.60 on cifar10; that of
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


def alignment_scorer(estimator: BaseEstimator, X: object, y: None = None) -> float:
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


def uniformity_scorer(estimator: BaseEstimator, X: object, y: None = None) -> float:
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


def represent(estimator: BaseEstimator, X: object) -> Array:
    """Return what an estimator makes of X, before a last step that only predicts."""
    is_pipeline = isinstance(estimator, Pipeline)
    if is_pipeline and not hasattr(estimator, "transform") and len(estimator) > 1:
        estimator = estimator[:-1]
    if isinstance(estimator, type) or not hasattr(estimator, "transform"):
        raise TypeError(
            "estimator must have transform, or be a Pipeline of transformers with a "
            f"predictor as last step. Got {estimator!r}."
        )
    return np.asarray(estimator.transform(X))


@dataclass(frozen=True)
class BYOLSteps:
    """The fitted transformer of a pipeline, with the transforming steps around it."""

    before: list[TransformerMixin]
    byol: TransformerMixin  # a BYOLTransformer, which lives further up
    after: list[TransformerMixin]

    def prepare(self, X: object) -> object:
        """Apply the steps before the transformer."""
        return _apply(self.before, X)

    def read(self, X: object, indices: object = None) -> Tensor:
        """Read images as the transformer sees them, all or some."""
        return self.byol.read_images(self.prepare(X), indices)

    def represent_images(self, images: Tensor) -> Array:
        """Turn images (n, n_channels, height, width) in [0, 1] into representations."""
        encoder = self.byol.encoder_
        device = next(iter(encoder.state_dict().values())).device
        with torch.inference_mode():
            rows = encoder(images.to(device)).float().cpu().numpy()
        return np.asarray(_apply(self.after, rows))


def byol_steps(estimator: BaseEstimator) -> BYOLSteps:
    """Find the fitted transformer, in a pipeline up to its predictor."""
    is_pipeline = isinstance(estimator, Pipeline)
    steps = [step for _, step in estimator.steps] if is_pipeline else [estimator]
    # None and "passthrough" have no transform, as a predictor has none.
    steps = [step for step in steps if hasattr(step, "transform")]
    for index, step in enumerate(steps):
        if hasattr(step, "sample_views") and not isinstance(step, type):
            check_is_fitted(step)
            return BYOLSteps(steps[:index], step, steps[index + 1 :])
    raise TypeError(
        "estimator must be a BYOLTransformer or a Pipeline with one among its steps. "
        f"Got {estimator!r}."
    )


def _apply(steps: list[TransformerMixin], X: object) -> object:
    """Transform by one step after another."""
    for step in steps:
        X = step.transform(X)
    return X


def check_parts(
    names: Sequence[str], parts: Sequence[ArrayLike], labels: Sequence[Array]
) -> tuple[Array, Array]:
    """Check the rows of a training and a test part against each other and labels."""
    train, test = (check_rows(*one) for one in zip(names, parts, strict=True))
    check_as_many("y_train", labels[0], names[0], train)
    check_as_many("y_test", labels[1], names[1], test)
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"{names[1]} has {test.shape[1]} columns, but {names[0]} has "
            f"{train.shape[1]}."
        )
    return train, test


def check_rows(name: str, rows: ArrayLike, *, min_samples: int = 1) -> Array:
    """Check that rows are a finite matrix of floats with rows enough."""
    if np.ma.is_masked(rows):
        raise ValueError(f"{name} must not have masked values. Pass {name}.filled(0).")
    try:
        array = check_array(
            _as_numbers(rows), dtype=FLOATS, input_name=name, **ANY_SHAPE
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a dense matrix of finite numbers: {error}"
        ) from error
    if array.ndim != 2 or len(array) < min_samples:
        raise ValueError(
            f"{name} must have shape (n_samples, n_dims) with n_samples of "
            f"{min_samples} or more. Got shape {array.shape!r}."
        )
    return array


def _as_numbers(rows: ArrayLike) -> ArrayLike:
    """Bring a tensor to numpy; refuse values that numpy would cast to numbers."""
    if isinstance(rows, Tensor):
        if rows.layout != torch.strided or rows.is_meta or rows.is_quantized:
            raise TypeError(f"got {rows.dtype}, {rows.layout}, on {rows.device}.")
        rows = rows.detach().cpu()
        is_wide = rows.dtype == torch.float64 or rows.is_complex()
        return (rows if is_wide else rows.float()).numpy()
    dtype = getattr(rows, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "mMV":
        raise TypeError(f"got values of {dtype}.")
    return rows


def check_whole(name: str, value: object, least: int = 1) -> None:
    """Check that a number is whole and not too small."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise ValueError(
            f"{name} must be a whole number, {least} or more. Got {value!r}."
        )


def check_as_many(name: str, values: object, other_name: str, other: object) -> None:
    """Check that one thing is as long as another; None is as long as anything."""
    if values is not None and _num_samples(values) != _num_samples(other):
        raise ValueError(
            f"{name} has {_num_samples(values)} entries, but {other_name} has "
            f"{_num_samples(other)}."
        )
