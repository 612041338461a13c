"""TrainingCurveDisplay: figures of each epoch."""

import matplotlib as mpl
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

mpl.use("agg")
import matplotlib.pyplot as plt

from sklearn_byol import inspection
from sklearn_byol.inspection import (
    TrainingCurveDisplay,
)


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
