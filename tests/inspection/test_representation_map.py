"""RepresentationMapDisplay: two numbers for each image."""

import sys

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

mpl.use("agg")
import matplotlib.pyplot as plt

from sklearn_byol.inspection import (
    RepresentationMapDisplay,
)
from tests.inspection.conftest import IMAGES, Y


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
