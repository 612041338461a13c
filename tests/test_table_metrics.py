"""What metrics, scorers and displays refuse."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from sklearn_byol import recipe
from sklearn_byol.inspection import (
    LabelEfficiencyDisplay,
    NeighborsDisplay,
    OcclusionDisplay,
    RepresentationMapDisplay,
    TrainingCurveDisplay,
    ViewsDisplay,
)
from sklearn_byol.metrics import (
    alignment,
    alignment_scorer,
    effective_rank,
    effective_rank_scorer,
    knn_accuracy,
    uniformity,
    uniformity_scorer,
)
from sklearn_byol.model_selection import LabeledTestSplit
from tests.conftest import tiny

pytestmark = pytest.mark.usefixtures("limited")

ROWS = np.random.default_rng(0).normal(size=(10, 4))
IMAGES = np.random.default_rng(0).random((10, 8, 8))
Y = np.arange(10) % 2
NAN, INF = float("nan"), float("inf")
BYOL = tiny(max_epochs=0, encoder="auto")


def knn(train=ROWS, y_train=Y, test=ROWS, y_test=Y, n_neighbors=3, **options):
    return knn_accuracy(
        train, y_train, test, y_test, n_neighbors=n_neighbors, **options
    )


def spoiled(value):
    rows = ROWS.copy()
    rows[-1, -1] = value
    return rows


def neighbours(images=IMAGES, y=None, rows=ROWS, **options):
    return NeighborsDisplay.from_representations(rows, images, y, **options)


def drawn_map(rows=ROWS, **options):
    return RepresentationMapDisplay.from_representations(rows, **options)


def curve(histories=None, figures=("loss",), **options):
    histories = {"a": {"loss": [1.0]}} if histories is None else histories
    return TrainingCurveDisplay(histories).plot(figures=figures, **options)


def views(views=("byol",), images=IMAGES[:, None], **options):
    return ViewsDisplay.from_views(list(views), images, **options)


def efficiency(rows=None, y_train=Y, **options):
    rows = {"a": (ROWS, ROWS)} if rows is None else rows
    options = {"labels_per_class": (1, 2), "n_draws": 1, **options}
    return LabelEfficiencyDisplay.from_representations(rows, y_train, Y, **options)


REFUSED = {
    # Representations
    "none": (
        lambda: effective_rank(None),
        "representations must have shape (n_samples, n_dims) with",
    ),
    "word": (
        lambda: effective_rank("rows"),
        "representations must be real numbers. Got values of <U4.",
    ),
    "one_axis": (
        lambda: effective_rank(ROWS[0]),
        "representations must have shape (n_samples, n_dims) with",
    ),
    "three_axes": (
        lambda: effective_rank(ROWS[None]),
        "representations must have shape (n_samples, n_dims) with",
    ),
    "no_rows": (
        lambda: effective_rank(ROWS[:0]),
        "representations must have shape (n_samples, n_dims) with",
    ),
    "no_columns": (
        lambda: effective_rank(ROWS[:, :0]),
        "representations must have shape (n_samples, n_dims) with",
    ),
    "one_row": (
        lambda: uniformity(ROWS[:1]),
        "representations must have shape (n_samples, n_dims) with",
    ),
    "nan": (lambda: uniformity(spoiled(NAN)), "Input representations contains NaN."),
    "infinite": (
        lambda: uniformity(spoiled(INF)),
        "Input representations contains infinity or a value too",
    ),
    "complex": (
        lambda: effective_rank(ROWS + 0j),
        "representations must be real numbers. Got values of",
    ),
    "words": (
        lambda: effective_rank(np.full((3, 2), "a")),
        "representations must be real numbers. Got values of <U1.",
    ),
    "objects": (
        lambda: effective_rank(np.full((3, 2), "a", object)),
        "representations must be a matrix of numbers, all rows of",
    ),
    "ragged": (
        lambda: effective_rank([[1.0], [1.0, 2.0]]),
        "representations must be a matrix of numbers, all rows of",
    ),
    "sparse": (
        lambda: effective_rank(sparse.csr_array(ROWS)),
        "representations must be dense. Pass",
    ),
    "masked": (
        lambda: effective_rank(np.ma.masked_greater(ROWS, 1)),
        "representations must not have masked values. Pass",
    ),
    "structured": (
        lambda: effective_rank(np.zeros((3, 2), [("a", float)])),
        "representations must be real numbers. Got values of",
    ),
    "dates": (
        lambda: uniformity(np.zeros((3, 2), "datetime64[s]")),
        "representations must be real numbers. Got values of",
    ),
    "meta_tensor": (
        lambda: uniformity(torch.tensor(ROWS).to("meta")),
        "representations must be a dense tensor with values. Got",
    ),
    "sparse_tensor": (
        lambda: uniformity(torch.tensor(ROWS).to_sparse()),
        "representations must be a dense tensor with values. Got",
    ),
    "other_columns": (
        lambda: alignment(ROWS, ROWS[:, :2]),
        "representations_1 has shape (10, 4), but",
    ),
    "alpha_zero": (lambda: alignment(ROWS, ROWS, alpha=0), "Got 0 instead."),
    "alpha_infinite": (lambda: alignment(ROWS, ROWS, alpha=INF), "Got inf instead."),
    "t_nan": (lambda: uniformity(ROWS, t=NAN), "Got nan instead."),
    "t_word": (lambda: uniformity(ROWS, t="2"), "Got '2' instead."),
    # Nearest neighbours
    "no_labels": (lambda: knn(y_train=None), "Got None instead."),
    "fewer_labels": (
        lambda: knn(y_train=Y[:9]),
        "y_train has 9 entries, but representations_train has 10.",
    ),
    "labels_of_none": (
        lambda: knn(y_train=[None] * 10),
        "y_train has 10 missing labels. Leave their images out.",
    ),
    "labels_of_nan": (
        lambda: knn(y_train=[NAN] * 10),
        "y_train has 10 missing labels. Leave their images out.",
    ),
    "labels_of_two_columns": (
        lambda: knn(y_train=np.c_[Y, Y]),
        "y_train must be one label an image: y should be a 1d",
    ),
    "continuous_labels": (
        lambda: knn(y_train=Y + 0.5),
        "Unknown label type: continuous. Maybe you are trying to",
    ),
    "no_neighbour": (lambda: knn(n_neighbors=0), "Got 0 instead."),
    "half_a_neighbour": (lambda: knn(n_neighbors=2.5), "Got 2.5 instead."),
    "too_many_neighbours": (
        lambda: knn(n_neighbors=11),
        "n_neighbors=11 is more than the 10 rows of",
    ),
    "temperature_zero": (lambda: knn(temperature=0), "Got 0 instead."),
    "temperature_nan": (lambda: knn(temperature=NAN), "Got nan instead."),
    # Scorers
    "scorer_of_nothing": (
        lambda: effective_rank_scorer(None, IMAGES),
        "estimator must have transform, or be a Pipeline of",
    ),
    "scorer_of_a_class": (
        lambda: uniformity_scorer(type(BYOL), IMAGES),
        "estimator must have transform, or be a Pipeline of",
    ),
    "alignment_of_a_class": (
        lambda: alignment_scorer(type(BYOL), IMAGES),
        "estimator must be a BYOLTransformer or a Pipeline with",
    ),
    "scorer_of_another": (
        lambda: alignment_scorer(StandardScaler(), IMAGES),
        "estimator must be a BYOLTransformer or a Pipeline with",
    ),
    "scorer_of_a_word": (
        lambda: effective_rank_scorer("byol", IMAGES),
        "estimator must have transform, or be a Pipeline of",
    ),
    # Splits and recipes
    "one_fold": (
        lambda: list(LabeledTestSplit(1).split(ROWS, Y)),
        "k-fold cross-validation requires at least one train/test",
    ),
    "no_label_in_y": (
        lambda: list(LabeledTestSplit(2).split(ROWS, [-1] * 10)),
        "y holds no label: all of its values are -1.",
    ),
    "recipe_unknown": (
        lambda: recipe("papers"),
        "recipe must be one of 'paper', 'cifar10'. Got 'papers'.",
    ),
    "recipe_list": (
        lambda: recipe(["paper"]),
        "recipe must be one of 'paper', 'cifar10'. Got ['paper'].",
    ),
    # Displays
    "fewer_images": (
        lambda: neighbours(IMAGES[:9]),
        "images has 9 entries, but representations has 10.",
    ),
    "rows_for_images": (
        lambda: neighbours(ROWS),
        "images must have shape (n, height, width), (n, height,",
    ),
    "paths_for_images": (
        lambda: neighbours(["a.png"] * 10),
        "images must have shape (n, height, width), (n, height,",
    ),
    "query_beyond": (
        lambda: neighbours(queries=[10]),
        "queries must be indices from 0 to 9. Got array([10]).",
    ),
    "query_that_is_a_word": (
        lambda: neighbours(queries=["a"]),
        "queries must be indices from 0 to 9. Got array(['a'],",
    ),
    "query_between": (
        lambda: neighbours(queries=[0.5]),
        "queries must be indices from 0 to 9. Got array([0.5]).",
    ),
    "no_query": (
        lambda: neighbours(queries=[]),
        "queries must be indices from 0 to 9. Got array([],",
    ),
    "mask_of_queries": (
        lambda: neighbours(queries=[True] * 10),
        "queries must be indices from 0 to 9. Got array([ True,",
    ),
    "as_many_neighbours": (
        lambda: neighbours(n_neighbors=10),
        "n_neighbors must be from 1 to 9, as there are 10 images.",
    ),
    "neighbours_that_are_a_word": (
        lambda: neighbours(n_neighbors="a"),
        "n_neighbors must be from 1 to 9, as there are 10 images.",
    ),
    "axes_that_are_a_number": (
        lambda: neighbours(ax=3),
        "ax must be matplotlib's Axes, or None for a new figure.",
    ),
    "axes_that_are_a_class": (
        lambda: drawn_map(ax=plt.Axes),
        "ax must be matplotlib's Axes, or None for a new figure.",
    ),
    "method_unknown": (
        lambda: drawn_map(method="mds"),
        "method must be one of 'pca', 'tsne', 'umap' or a",
    ),
    "no_method": (
        lambda: drawn_map(method=None),
        "method must be one of 'pca', 'tsne', 'umap' or a",
    ),
    "method_that_is_a_class": (
        lambda: drawn_map(method=StandardScaler),
        "method must be one of 'pca', 'tsne', 'umap' or a",
    ),
    "method_of_four_columns": (
        lambda: drawn_map(method=StandardScaler()),
        "method must give (10, 2) numbers. StandardScaler() gave",
    ),
    "tsne_of_few": (
        lambda: drawn_map(method="tsne"),
        "method='tsne' has a perplexity of 30 and needs more rows",
    ),
    "map_of_one_column": (
        lambda: drawn_map(ROWS[:, :1]),
        "method='pca' needs two columns or more. Got 1.",
    ),
    "map_labels_missing": (
        lambda: drawn_map(y=[None] * 10),
        "y has 10 missing labels. Leave their images out.",
    ),
    "map_labels_nan": (
        lambda: drawn_map(y=[NAN] * 10),
        "y has 10 missing labels. Leave their images out.",
    ),
    "map_labels_of_two_columns": (
        lambda: drawn_map(y=np.c_[Y, Y]),
        "y must be one label an image: y should be a 1d array, got",
    ),
    "no_curve": (
        lambda: TrainingCurveDisplay.from_estimator({}),
        "estimator must name one training or more. Got {}.",
    ),
    "curve_of_a_word": (
        lambda: TrainingCurveDisplay.from_estimator("byol"),
        "estimator must be a BYOLTransformer or a Pipeline with",
    ),
    "curve_of_what_is_not_fitted": (
        lambda: TrainingCurveDisplay.from_estimator(tiny()),
        "This BYOLTransformer instance is not fitted yet. Call",
    ),
    "histories_none": (
        lambda: TrainingCurveDisplay(None).plot(),
        "histories must be a dict of names and histories. Got",
    ),
    "no_figures": (
        lambda: curve(figures=[]),
        "figures must be a list of names, such as ['loss']. Got",
    ),
    "figures_none": (
        lambda: curve(figures=None),
        "figures must be a list of names, such as ['loss']. Got",
    ),
    "figure_that_is_a_word": (
        lambda: curve(figures="loss"),
        "figures must be a list of names, such as ['loss']. Got",
    ),
    "figure_unknown": (
        lambda: curve(figures=["accuracy"]),
        "figures has ['accuracy'], but the history 'a' has",
    ),
    "history_without_epochs": (
        lambda: curve({"a": {"loss": []}}),
        "The history 'a' has figures of [0] epochs, where all must",
    ),
    "history_of_two_lengths": (
        lambda: curve({"a": {"loss": [1.0, 2.0], "epoch": [1]}}),
        "The history 'a' has figures of [1, 2] epochs, where all",
    ),
    "curve_on_a_number": (
        lambda: curve(ax=3),
        "ax must be matplotlib's Axes, or None for a new figure.",
    ),
    "views_none": (
        lambda: ViewsDisplay.from_views(None, IMAGES[:, None]),
        "views must be a dict of names and RandomViews, or a list",
    ),
    "views_that_are_a_word": (
        lambda: ViewsDisplay.from_views("byol", IMAGES[:, None]),
        "views must be a dict of names and RandomViews, or a list",
    ),
    "views_that_are_numbers": (
        lambda: ViewsDisplay.from_views({"a": 3}, IMAGES[:, None]),
        "views must be a dict of names and RandomViews, or a list",
    ),
    "no_views": (
        lambda: views([]),
        "views must be a dict of names and RandomViews, or a list",
    ),
    "views_unknown": (
        lambda: views(["paper"]),
        "preset must be one of 'auto', 'byol', 'symmetric',",
    ),
    "views_of_three_axes": (
        lambda: views(images=IMAGES),
        "images must have shape (n, n_channels, height, width) and",
    ),
    "views_without_a_seed": (
        lambda: views(random_state=None),
        "random_state must be a whole number, 0 or more. Got None.",
    ),
    "occlusion_not_fitted": (
        lambda: OcclusionDisplay.from_estimator(tiny(), IMAGES),
        "This BYOLTransformer instance is not fitted yet. Call",
    ),
    "efficiency_of_a_list": (
        lambda: efficiency([ROWS, ROWS]),
        "representations must be a dict of names and pairs (train,",
    ),
    "efficiency_of_three": (
        lambda: efficiency({"a": (ROWS, ROWS, ROWS)}),
        "representations must be a dict of names and pairs (train,",
    ),
    "efficiency_of_none": (
        lambda: efficiency({}),
        "representations must be a dict of names and pairs (train,",
    ),
    "efficiency_of_other_columns": (
        lambda: efficiency({"a": (ROWS, ROWS[:, :2])}),
        "representations['a'] of train has 4 columns, but that of",
    ),
    "efficiency_without_labels": (
        lambda: efficiency(y_train=None),
        "y_train must be one label an image: y should be a 1d",
    ),
    "efficiency_of_one_class": (
        lambda: efficiency(y_train=[0] * 10),
        "y_train holds one class, where two or more are needed.",
    ),
    "no_sizes": (
        lambda: efficiency(labels_per_class=()),
        "labels_per_class must be a list of numbers, such as [1,",
    ),
    "size_zero": (
        lambda: efficiency(labels_per_class=(0,)),
        "labels_per_class must be a whole number, 1 or more. Got",
    ),
    "size_between": (
        lambda: efficiency(labels_per_class=(1.5,)),
        "labels_per_class must be a whole number, 1 or more. Got",
    ),
    "sizes_that_are_a_number": (
        lambda: efficiency(labels_per_class=3),
        "labels_per_class must be a list of numbers, such as [1,",
    ),
    "no_draws": (
        lambda: efficiency(n_draws=0),
        "n_draws must be a whole number, 1 or more. Got 0.",
    ),
    "classifier_that_is_a_word": (
        lambda: efficiency(classifier="svm"),
        "classifier must be one of scikit-learn's. Got 'svm'.",
    ),
    "classifier_that_scales": (
        lambda: efficiency(classifier=StandardScaler()),
        "classifier must be one of scikit-learn's. Got",
    ),
    "efficiency_seed": (
        lambda: efficiency(random_state=None),
        "random_state must be a whole number, 0 or more. Got None.",
    ),
}


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_measured_or_drawn_is_an_error(name):
    call, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert words in str(caught.value)


TAKEN = {
    "tensor": lambda: torch.tensor(ROWS),
    "with_gradient": lambda: torch.tensor(ROWS).requires_grad_(),
    "frame": lambda: pd.DataFrame(ROWS),
    "lists": ROWS.tolist,
    "objects": lambda: ROWS.astype(object),
    "byte_swapped": lambda: ROWS.astype(">f8"),
    "negative_strides": lambda: ROWS[::-1].copy()[::-1],
    "long_doubles": lambda: ROWS.astype(np.longdouble),
    "fortran": lambda: np.asfortranarray(ROWS),
    "scaled": lambda: ROWS * 1e100,
}


@pytest.mark.parametrize("name", TAKEN)
def test_other_layouts_of_the_same_rows_give_the_same_figures(name):
    rows = TAKEN[name]()
    for figure in (effective_rank, uniformity):
        assert figure(rows) == pytest.approx(figure(ROWS))
    assert knn(rows) == knn()


@pytest.mark.parametrize("options", [{"n_draws": 0}, {"n_draws": 1.5}, {"ax": 3}])
def test_views_of_a_transformer_want_a_whole_number_of_draws(options, fitted, digits):
    with pytest.raises((ValueError, TypeError), match=next(iter(options))):
        ViewsDisplay.from_estimator(fitted, digits[0][:3], **options)


@pytest.mark.parametrize("side", [0, 9, 2.5, "a", NAN])
def test_patches_have_a_whole_side_within_the_image(side, fitted, digits):
    with pytest.raises(ValueError, match="patch_size must be from 1 to 8"):
        OcclusionDisplay.from_estimator(fitted, digits[0][:2], patch_size=side)
