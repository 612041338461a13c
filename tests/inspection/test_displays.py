"""What all displays have in common."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("agg")
import matplotlib.pyplot as plt

from sklearn_byol import inspection
from sklearn_byol.inspection import (
    LabelEfficiencyDisplay,
    NeighborsDisplay,
    OcclusionDisplay,
    RepresentationMapDisplay,
    TrainingCurveDisplay,
    ViewsDisplay,
)
from tests.inspection.conftest import assert_nothing_overlaps


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


@pytest.mark.slow
def test_importing_the_displays_brings_no_matplotlib():
    code = "import sklearn_byol.inspection, sys; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


NAMES = np.array(["$^$", "_background_", "b\udce9t\udce9", "cost_$_$x$", "x" * 80])


def test_names_are_drawn_as_they_are(digits):
    images = digits[0][:10].reshape(-1, 8, 8)
    rows, labels = images.reshape(10, -1), np.tile(NAMES, 2)
    neighbours = NeighborsDisplay.from_representations(rows, images, labels)
    drawn = RepresentationMapDisplay.from_representations(rows, labels)
    curves = TrainingCurveDisplay({name: {"loss": [1.0, 0.5]} for name in NAMES})
    pair = (rows, rows)
    efficiency = LabelEfficiencyDisplay.from_representations(
        {str(name): pair for name in NAMES},
        np.arange(10) % 2,
        np.arange(10) % 2,
        labels_per_class=(1,),
        n_draws=1,
    )
    for display in (neighbours, drawn, curves.plot(figures=("loss",)), efficiency):
        display.figure_.canvas.draw()
    for axes in (drawn.ax_, curves.axes_[0], efficiency.ax_):
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert sorted(texts) == sorted(
            [
                "\\$^\\$",
                "\u200b_background_",
                "b\\udce9t\\udce9",
                r"cost_\$_\$x\$",
                "x" * 80,
            ]
        )
    assert any("…" in text.get_text() for text in neighbours.ax_.texts)
