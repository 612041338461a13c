import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

mpl.use("agg")
import matplotlib.pyplot as plt

from sklearn_byol import RandomViews, inspection
from sklearn_byol.inspection import (
    LabelEfficiencyDisplay,
    NeighborsDisplay,
    OcclusionDisplay,
    RepresentationMapDisplay,
    TrainingCurveDisplay,
    ViewsDisplay,
)
from tests.conftest import pipeline, quick


@pytest.fixture(autouse=True)
def _nothing_else_changes():
    """Every display leaves settings, numpy's and torch's random states as they are."""
    parameters, backend = dict(mpl.rcParams), mpl.get_backend()
    states = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    yield
    plt.close("all")
    assert (dict(mpl.rcParams), mpl.get_backend()) == (parameters, backend)
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])


@pytest.fixture(scope="module")
def twice(digits):
    """A transformer that was trained for two epochs."""
    return quick(max_epochs=2, momentum=0.5).fit(digits[0])


@pytest.fixture
def rows():
    """20 rows: two groups of ten around two orthogonal directions."""
    noise = np.random.default_rng(0).normal(scale=0.1, size=(20, 4))
    return np.repeat(np.eye(4)[:2], 10, axis=0) + noise


Y = np.repeat([0, 1], 10)
IMAGES = np.arange(20 * 6 * 4).reshape(20, 6, 4) / 480


def texts(display):
    return [text.get_text() for text in display.ax_.texts]


def assert_nothing_overlaps(display, axes):
    """No label or title covers another, or leaves the figure."""
    figure = display.figure_
    figure.canvas.draw()
    boxes = []
    for axis in axes:
        parts = [axis.xaxis.label, axis.yaxis.label, axis.title, *axis.texts]
        for one in (axis.xaxis, axis.yaxis):
            low, high = sorted(one.get_view_interval())
            ticks = one.get_major_ticks()
            parts += [tick.label1 for tick in ticks if low <= tick.get_loc() <= high]
        shown = [part for part in parts if part.get_text() and part.get_visible()]
        boxes += [part.get_window_extent() for part in shown]
    width, height = figure.canvas.get_width_height()
    for index, box in enumerate(boxes):
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= width + 1
        assert box.y1 <= height + 1
        for other in boxes[:index]:
            assert not box.padded(-1).overlaps(other.padded(-1))


# What all have in common


def displays(twice, digits):
    X, y = digits
    rows = twice.transform(X)
    pair = {"BYOL": (rows[:100], rows[100:])}
    return [
        LabelEfficiencyDisplay.from_representations(
            pair, y[:100], y[100:], labels_per_class=(1, 2)
        ),
        NeighborsDisplay.from_estimator(twice, X, y),
        OcclusionDisplay.from_estimator(twice, X[:8]),
        RepresentationMapDisplay.from_estimator(twice, X, y),
        ViewsDisplay.from_estimator(twice, X[:8]),
    ]


def test_figures_are_as_wide_as_a_readme_and_no_text_overlaps(twice, digits):
    for display in displays(twice, digits):
        assert display.figure_.get_size_inches()[0] * 100 == 800
        assert_nothing_overlaps(display, [display.ax_])
    curves = TrainingCurveDisplay.from_estimator({"a": twice, "b": twice})
    assert curves.figure_.get_size_inches()[0] * 100 == 800
    assert_nothing_overlaps(curves, curves.axes_)


def test_displays_are_drawn_again_on_axes_that_are_given(twice, digits):
    for display in displays(twice, digits):
        figure, ax = plt.subplots()
        n_figures = len(plt.get_fignums())
        assert display.plot(ax) is display
        assert (display.ax_, display.figure_) == (ax, figure)
        assert len(plt.get_fignums()) == n_figures
        assert ax.has_data()


def test_every_public_display_is_tried(twice, digits):
    tried = {type(display).__name__ for display in displays(twice, digits)}
    assert {*tried, "TrainingCurveDisplay"} == set(inspection.__all__)


def test_importing_the_displays_brings_no_matplotlib():
    code = "import sklearn_byol.inspection, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# TrainingCurveDisplay


def test_curves_are_those_of_the_history(twice):
    display = TrainingCurveDisplay.from_estimator(twice)
    assert len(display.axes_) == 6
    for axis, name in zip(display.axes_, inspection._training_curve.SHOWN, strict=True):
        (line,) = axis.lines
        assert list(line.get_xdata()) == [1, 2]
        assert list(line.get_ydata()) == twice.history_[name]
        assert axis.get_xlabel() == "epoch"


def test_several_runs_share_axes_and_a_legend(twice, fitted):
    runs = {"long": make_pipeline(twice, StandardScaler()), "short": fitted}
    display = TrainingCurveDisplay.from_estimator(runs, figures=["loss", "momentum"])
    assert [len(axis.lines) for axis in display.axes_] == [2, 2]
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()] == ["long", "short"]
    assert len({line.get_color() for line in display.axes_[0].lines}) == 2
    one = TrainingCurveDisplay.from_estimator(runs, figures=["loss"])
    assert len(one.axes_[0].get_legend().get_texts()) == 2


def test_one_epoch_is_a_point(fitted):
    display = TrainingCurveDisplay.from_estimator(fitted, figures=["loss"])
    assert display.axes_[0].lines[0].get_marker() == "o"


def test_seven_figures_take_three_rows_and_no_empty_axes(twice):
    figures = [name for name in twice.history_ if name != "epoch"]
    display = TrainingCurveDisplay({"": twice.history_}).plot(figures=figures)
    assert len(display.figure_.axes) == len(figures) == 7


def test_curves_begin_where_the_history_does():
    history = {"epoch": [0, 1, 2], "loss": [4.0, 3.0, 2.0]}
    display = TrainingCurveDisplay({"": history}).plot(figures=["loss"])
    assert display.axes_[0].lines[0].get_xdata().tolist() == [0, 1, 2]


def test_curves_name_what_is_missing(twice):
    with pytest.raises(
        ValueError, match=r"figures has \['accuracy'\], but the history"
    ):
        TrainingCurveDisplay({"a": twice.history_}).plot(figures=["loss", "accuracy"])
    with pytest.raises(ValueError, match="ax has 1 axes, but figures has 2 names"):
        TrainingCurveDisplay({}).plot(plt.figure().subplots(), figures=["lr", "loss"])


# ViewsDisplay


def test_views_are_what_training_draws(twice, digits):
    display = ViewsDisplay.from_estimator(twice, digits[0][:5], n_draws=1)
    shown = [image.get_array() for image in display.ax_.images]
    views = twice.sample_views(digits[0][:5], np.random.RandomState(0))
    expected = [twice.read_images(digits[0][:5]), *views]
    assert len(shown) == 3 * 5
    np.testing.assert_allclose(shown, np.concatenate(expected)[:, 0], atol=1e-6)
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["image", "draw 1\nview 1", "draw 1\nview 2"]


def test_views_of_presets_are_beside_those_of_strengths(colour_images):
    images = colour_images[:3].transpose(0, 3, 1, 2) / 255
    views = {"byol": RandomViews("byol"), "none": RandomViews("jitter", brightness=0)}
    display = ViewsDisplay.from_views(views, images)
    assert len(display.ax_.images) == 5 * 3
    assert display.ax_.images[0].get_array().shape == (16, 16, 3)
    assert len(ViewsDisplay.from_views(["byol", "lab"], images).views) == 2


def test_pictures_keep_their_proportions_and_their_place():
    images = IMAGES[:3, None]
    display = ViewsDisplay(images, {"a": (images, images)}).plot()
    display.figure_.canvas.draw()
    left, right, bottom, top = display.ax_.images[0].get_extent()
    assert (bottom - top) / (right - left) == pytest.approx(1.5)
    extents = [tuple(image.get_extent()) for image in display.ax_.images]
    assert len(set(extents)) == 9
    (_, right), (bottom, _) = display.ax_.get_xlim(), display.ax_.get_ylim()
    assert max(extent[1] for extent in extents) == pytest.approx(right)
    assert max(extent[2] for extent in extents) == pytest.approx(bottom)


def test_images_of_two_channels_are_shown_as_their_mean():
    images = np.stack([np.zeros((2, 4, 4)), np.ones((2, 4, 4))], axis=1)
    display = ViewsDisplay(torch.from_numpy(images), {}).plot()
    assert (display.ax_.images[0].get_array() == 0.5).all()


# NeighborsDisplay


def test_neighbours_are_the_nearest_by_cosine(rows):
    display = NeighborsDisplay.from_representations(
        rows * np.arange(1, 21)[:, None], IMAGES, queries=[3, 15], n_neighbors=4
    )
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    for row, query in zip(display.indices, [3, 15], strict=True):
        others = [i for i in np.argsort(-cosines[query]) if i != query]
        assert list(row) == [query, *others[:4]]
    np.testing.assert_allclose(display.cosines[0], cosines[3, display.indices[0, 1:]])
    assert len(display.ax_.images) == 2 * 5
    assert texts(display)[2] == "no. 3"
    assert texts(display)[3] == f"{display.cosines[0, 0]:.2f}"


def test_pictures_are_those_of_the_neighbours(fitted, digits):
    display = NeighborsDisplay.from_estimator(
        fitted, digits[0], queries=[7, 7, 0], n_neighbors=2
    )
    expected = digits[0][display.indices].reshape(3, 3, 8, 8) / 16
    np.testing.assert_allclose(display.pictures, expected, rtol=1e-6)


def test_a_query_is_no_neighbour_of_itself_but_its_copy_is():
    queries = np.arange(20)
    display = NeighborsDisplay.from_representations(
        np.repeat(np.eye(10), 2, axis=0), IMAGES, queries=queries, n_neighbors=1
    )
    np.testing.assert_array_equal(display.indices[:, 1], queries ^ 1)


def test_a_query_that_its_copies_push_out_stays():
    display = NeighborsDisplay.from_representations(
        np.ones((20, 3)), IMAGES, queries=[0, 19], n_neighbors=3
    )
    assert display.indices[:, 0].tolist() == [0, 19]
    assert (display.indices[:, 1:] != display.indices[:, :1]).all()


def test_neighbours_with_another_label_are_framed(rows):
    y = np.array(["cat"] * 10 + ["dog"] * 10)
    y[3] = "dog"
    display = NeighborsDisplay.from_representations(
        rows, IMAGES, y, queries=[3], n_neighbors=9
    )
    assert len(display.ax_.lines) == 9
    assert texts(display)[2] == "dog   no. 3"
    assert texts(display)[3].startswith("cat")


def test_neighbours_are_read_through_a_pipeline(fitted, digits):
    X, y = digits
    scale = StandardScaler().fit(fitted.transform(X))
    pipe = make_pipeline(FunctionTransformer(np.sqrt), fitted, scale)
    display = NeighborsDisplay.from_estimator(pipe, X, y, queries=[1], n_neighbors=2)
    expected = np.sqrt(X[display.indices]).reshape(1, 3, 8, 8) / 16
    np.testing.assert_allclose(display.pictures, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_neighbors": 20}, "n_neighbors must be from 1 to 19, as there are 20"),
        ({"queries": [20]}, r"queries must be indices from 0 to 19\. Got array"),
        ({"y": Y[:5]}, "y has 5 entries, but representations has 20"),
        ({"images": IMAGES[:5]}, "images has 5 entries, but representations has 20"),
        (
            {"images": np.zeros((20, 64))},
            r"images must have shape .* Got shape \(20, 6",
        ),
        ({"representations": np.full((20, 2), np.nan)}, "representations contains NaN"),
    ],
)
def test_neighbours_name_both_sides_of_a_mismatch(rows, changes, message):
    with pytest.raises(ValueError, match=message):
        NeighborsDisplay.from_representations(
            **{"representations": rows, "images": IMAGES, **changes}
        )


@pytest.mark.parametrize(
    ("images", "first"),
    [
        (np.full((20, 5, 5, 3), 51, np.uint8), 0.2),
        (torch.full((20, 3, 5, 5), 0.2), 0.2),
        (np.arange(20 * 25).reshape(20, 5, 5, 1) - 100.0, 0.0),
    ],
)
def test_images_of_any_kind_become_pictures(rows, images, first):
    display = NeighborsDisplay.from_representations(rows, images, queries=[0])
    shape = (5, 5, 3) if 3 in images.shape else (5, 5)
    assert display.pictures.shape[2:] == shape
    assert display.pictures[0, 0].flat[0] == pytest.approx(first)


# RepresentationMapDisplay


def test_a_map_of_principal_components_is_scikit_learns(rows):
    display = RepresentationMapDisplay.from_representations(rows)
    np.testing.assert_allclose(display.points, PCA(2).fit_transform(rows), atol=1e-10)
    (points,) = display.ax_.collections
    np.testing.assert_allclose(points.get_offsets(), display.points)
    assert display.ax_.get_aspect() == 1
    share = PCA(2).fit(rows).explained_variance_ratio_[0]
    assert f"({share:.0%}".replace("%", " %") in display.ax_.get_xlabel()


def test_classes_differ_in_colour_and_marker():
    points = np.random.default_rng(0).normal(size=(140, 2))
    display = RepresentationMapDisplay(points, np.repeat(np.arange(70), 2)).plot()
    looks = {
        (tuple(group.get_facecolor()[0]), group.get_paths()[0].vertices.tobytes())
        for group in display.ax_.collections
    }
    assert len(looks) == 70


def test_images_without_a_label_are_gray_and_first(rows):
    y = np.where(np.arange(20) < 5, -1, Y)
    display = RepresentationMapDisplay.from_representations(rows, y)
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["no label", "0", "1"]
    assert len(set(display.ax_.collections[0].get_facecolor()[0][:3])) == 1
    assert len(display.ax_.collections[0].get_offsets()) == 5


def test_fractions_are_shown_by_a_colour_bar(rows):
    display = RepresentationMapDisplay.from_representations(rows, rows[:, 0])
    assert len(display.figure_.axes) == 2
    np.testing.assert_allclose(display.ax_.collections[0].get_array(), rows[:, 0])


def test_two_maps_stand_side_by_side_with_one_legend(fitted, twice, digits):
    figure, axes = plt.subplots(1, 2)
    for ax, byol in zip(axes, (fitted, twice), strict=True):
        display = RepresentationMapDisplay.from_estimator(
            byol, *digits, ax=ax, legend=ax is axes[1]
        )
        assert display.figure_ is figure
    assert axes[0].get_legend() is None
    assert len(axes[1].get_legend().get_texts()) == 10


def test_thumbnails_do_not_cover_each_other(fitted, digits):
    display = RepresentationMapDisplay.from_estimator(
        fitted, *digits, thumbnails=True, method="tsne"
    )
    extents = [image.get_extent() for image in display.ax_.images]
    assert 10 < len(extents) < len(digits[0])
    for index, (left, right, low, high) in enumerate(extents):
        for other in extents[:index]:
            apart = left > other[1] or other[0] > right
            assert apart or low > other[3] or other[2] > high


def test_thumbnails_leave_all_points_in_the_map(rows):
    display = RepresentationMapDisplay.from_representations(rows, images=IMAGES)
    display.figure_.canvas.draw()
    (left, right), (low, high) = display.ax_.get_xlim(), display.ax_.get_ylim()
    x, y = display.points.T
    assert left < x.min() < x.max() < right
    assert low < y.min() < y.max() < high


def test_a_method_may_be_a_transformer(rows):
    tsne = TSNE(perplexity=5, random_state=0)
    display = RepresentationMapDisplay.from_representations(rows, method=tsne)
    assert display.ax_.get_xlabel() == "TSNE, coordinate 1"


def test_umap_is_used_where_it_is(rows):
    umap = pytest.importorskip("umap")
    display = RepresentationMapDisplay.from_representations(rows, method="umap")
    expected = umap.UMAP(random_state=0, n_jobs=1).fit_transform(rows)
    np.testing.assert_allclose(display.points, expected, rtol=1e-4)


def test_umap_says_how_to_get_it(rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match="pip install umap-learn"):
        RepresentationMapDisplay.from_representations(rows, method="umap")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"method": "tsne"},
            r"perplexity of 30 and needs more rows than that\. Got 20",
        ),
        ({"method": "mds"}, "method must be one of 'pca', 'tsne', 'umap' or a transf"),
        ({"method": PCA(3)}, r"method must give \(20, 2\) numbers.* gave \(20, 3\)"),
        ({"y": Y[:5]}, "y has 5 entries, but representations has 20"),
        ({"images": IMAGES[:5]}, "images has 5 entries, but representations has 20"),
        ({"representations": np.ones((20, 1))}, "'pca' needs two columns or more"),
    ],
)
def test_maps_name_both_sides_of_a_mismatch(rows, changes, message):
    with pytest.raises(ValueError, match=message):
        RepresentationMapDisplay.from_representations(
            **{"representations": rows, **changes}
        )


# LabelEfficiencyDisplay


class Recorder(KNeighborsClassifier):
    """Remembers what it is fitted on."""

    seen: list = []  # noqa: RUF012  shared by all clones, on purpose

    def fit(self, X, y):
        Recorder.seen.append((X[:, 0].copy(), y))
        return super().fit(X, y)


def test_all_representations_see_the_same_draws():
    Recorder.seen = []
    rows = np.arange(20.0)[:, None] + [0, 1]
    pairs = {"a": (rows, rows), "b": (rows, rows)}
    display = LabelEfficiencyDisplay.from_representations(
        pairs,
        Y,
        Y,
        labels_per_class=(2, 4),
        n_draws=3,
        classifier=Recorder(n_neighbors=1),
    )
    first, second = Recorder.seen[:6], Recorder.seen[6:]
    assert len(second) == 6
    for (a, y_a), (b, y_b) in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
        assert list(np.bincount(y_a)) == list(np.bincount(y_b)) == [len(a) // 2] * 2
    assert len({tuple(rows) for rows, _ in first}) == 6
    assert display.accuracies["a"].shape == (2, 3)


def test_accuracies_are_those_of_the_default_probe(digits):
    X, y = digits
    pair = {"pixels": (X[:100], X[100:])}
    display = LabelEfficiencyDisplay.from_representations(
        pair, y[:100], y[100:], labels_per_class=(None,), n_draws=2
    )
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    expected = probe.fit(X[:100], y[:100]).score(X[100:], y[100:])
    assert display.accuracies["pixels"].tolist() == [[expected, expected]]
    assert display.labels_per_class == [10]


def test_a_line_is_the_mean_and_a_band_the_range():
    scores = np.array([[0.2, 0.4, 0.9], [0.5, 0.6, 0.7]])
    display = LabelEfficiencyDisplay([1, 10], {"a": scores, "b": scores / 2}).plot()
    assert [line.get_label() for line in display.ax_.lines] == ["a", "b"]
    np.testing.assert_allclose(display.ax_.lines[0].get_ydata(), [0.5, 0.6])
    band = display.ax_.collections[0].get_paths()[0].vertices
    assert band[band[:, 0] == 1][:, 1].min() == 0.2
    assert band[band[:, 0] == 1][:, 1].max() == 0.9
    ticks = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert ticks == ["1", "10"]


def test_estimators_are_compared_by_what_they_make_of_images(fitted, digits):
    X, y = digits
    split = (X[:100], y[:100], X[100:], y[100:])
    options = {"labels_per_class": (2,), "n_draws": 2}
    display = LabelEfficiencyDisplay.from_estimator(fitted, *split, **options)
    pair = (fitted.transform(X[:100]), fitted.transform(X[100:]))
    expected = LabelEfficiencyDisplay.from_representations(
        {"same": pair}, y[:100], y[100:], **options
    )
    np.testing.assert_array_equal(
        display.accuracies["BYOLTransformer"], expected.accuracies["same"]
    )
    pipe = {"pipe": pipeline().fit(*split[:2])}
    assert set(
        LabelEfficiencyDisplay.from_estimator(pipe, *split, **options).accuracies
    ) == {"pipe"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels_per_class": (11,)}, "labels_per_class has 11, but class 0 has 10 im"),
        (
            {"y_test": Y[:3]},
            r"y_test has 3 entries, but representations\['a'\] of test",
        ),
        ({"y_train": Y[:3]}, r"y_train has 3 entries, but .* of train has 20"),
    ],
)
def test_label_efficiency_names_both_sides_of_a_mismatch(rows, changes, message):
    given = {"representations": {"a": (rows, rows)}, "y_train": Y, "y_test": Y}
    with pytest.raises(ValueError, match=message):
        LabelEfficiencyDisplay.from_representations(**{**given, **changes})


# OcclusionDisplay


class Corner(torch.nn.Module):
    """Sees the upper left quarter of an image only."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, images):
        rows = images[:, :, :4, :4].flatten(1) * self.weight
        return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)


def test_only_what_the_encoder_looks_at_moves_the_representation(digits):
    byol = quick(encoder=Corner()).fit(digits[0])
    display = OcclusionDisplay.from_estimator(byol, digits[0][:3], patch_size=2)
    assert display.moves.shape == (3, 8, 8)
    assert (display.moves[:, :4, :4].max(axis=(1, 2)) > 0.01).all()
    np.testing.assert_allclose(display.moves[:, 5:, 5:], 0, atol=1e-5)
    assert len(display.ax_.images) == 6
    assert len(display.figure_.axes) == 2


def test_a_pixels_move_is_the_mean_over_the_patches_that_cover_it(fitted, digits):
    display = OcclusionDisplay.from_estimator(fitted, digits[0][:1], patch_size=6)
    image = digits[0][0].reshape(8, 8)
    seen = fitted.transform(image[None])[0]
    per_patch = np.full((4, 8, 8), np.nan)
    for move, (top, left) in zip(per_patch, np.ndindex(2, 2), strict=True):
        patch = np.s_[2 * top : 2 * top + 6, 2 * left : 2 * left + 6]
        covered = image.copy()
        covered[patch] = image.mean()
        row = fitted.transform(covered[None])[0]
        move[patch] = 1 - row @ seen / np.linalg.norm(row) / np.linalg.norm(seen)
    expected = np.nanmean(per_patch, axis=0)
    np.testing.assert_allclose(display.moves[0], expected, rtol=1e-3)


def test_patches_may_be_covered_a_few_at_a_time(fitted, digits, monkeypatch):
    whole = OcclusionDisplay.from_estimator(fitted, digits[0][:2]).moves
    monkeypatch.setattr(inspection._occlusion, "N_AT_ONCE", 4)
    parts = OcclusionDisplay.from_estimator(fitted, digits[0][:2]).moves
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize("patch_size", [0, 9])
def test_patches_are_no_larger_than_images(fitted, digits, patch_size):
    with pytest.raises(ValueError, match=rf"from 1 to 8, .* Got {patch_size}"):
        OcclusionDisplay.from_estimator(fitted, digits[0][:2], patch_size=patch_size)
