"""What displays refuse."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from sklearn_byol.inspection import (
    LabelEfficiencyDisplay,
    NeighborsDisplay,
    OcclusionDisplay,
    RepresentationMapDisplay,
    TrainingCurveDisplay,
    ViewsDisplay,
)
from tests.conftest import tiny

pytestmark = pytest.mark.usefixtures("limited")

ROWS = np.random.default_rng(0).normal(size=(10, 4))
IMAGES = np.random.default_rng(0).random((10, 8, 8))
Y = np.arange(10) % 2
NAN = float("nan")


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
    "fewer_images": (
        lambda: neighbours(IMAGES[:9]),
        "images has 9 entries, but representations has 10.",
    ),
    "rows_for_images": (
        lambda: neighbours(ROWS),
        "images must have shape (n, height, width), (n, height,",
    ),
    "query_beyond": (
        lambda: neighbours(queries=[10]),
        "queries must be indices from 0 to 9. Got array([10]).",
    ),
    "query_between": (
        lambda: neighbours(queries=[0.5]),
        "queries must be indices from 0 to 9. Got array([0.5]).",
    ),
    "no_query": (
        lambda: neighbours(queries=[]),
        "queries must be indices from 0 to 9. Got array([],",
    ),
    "as_many_neighbours": (
        lambda: neighbours(n_neighbors=10),
        "n_neighbors must be from 1 to 9, as there are 10 images.",
    ),
    "axes_that_are_a_number": (
        lambda: neighbours(ax=3),
        "ax must be matplotlib's Axes, or None for a new figure.",
    ),
    "method_unknown": (
        lambda: drawn_map(method="mds"),
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
    "map_labels_of_two_types": (
        lambda: drawn_map(y=["a", 1] * 5),
        "y mixes labels of the types int, str. Pass strings only,",
    ),
    "map_labels_of_two_columns": (
        lambda: drawn_map(y=np.c_[Y, Y]),
        "y must be one label per image: y should be a 1d array, got",
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
    "views_unknown": (
        lambda: views(["paper"]),
        "The 'preset' parameter of RandomViews must be a str among",
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
    "efficiency_of_other_columns": (
        lambda: efficiency({"a": (ROWS, ROWS[:, :2])}),
        "representations['a'] of test has 2 columns, but",
    ),
    "efficiency_without_labels": (
        lambda: efficiency(y_train=None),
        "y_train must be one label per image: y should be a 1d",
    ),
    "efficiency_of_one_class": (
        lambda: efficiency(y_train=[0] * 10),
        "y_train holds one class, where two or more are needed.",
    ),
    "efficiency_of_minus_one_and_one": (
        lambda: efficiency(y_train=2 * Y - 1),
        "y_train holds one class, where two or more are needed.",
    ),
    "size_zero": (
        lambda: efficiency(labels_per_class=(0,)),
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
def test_what_cannot_be_drawn_is_an_error(name):
    call, words = REFUSED[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize("options", [{"n_draws": 0}, {"n_draws": 1.5}, {"ax": 3}])
def test_views_of_a_transformer_want_a_whole_number_of_draws(options, fitted, digits):
    with pytest.raises((ValueError, TypeError), match=next(iter(options))):
        ViewsDisplay.from_estimator(fitted, digits[0][:3], **options)


@pytest.mark.parametrize("side", [0, 9, 2.5, "a", NAN])
def test_patches_have_a_whole_side_within_the_image(side, fitted, digits):
    with pytest.raises(ValueError, match="patch_size must be from 1 to 8"):
        OcclusionDisplay.from_estimator(fitted, digits[0][:2], patch_size=side)
