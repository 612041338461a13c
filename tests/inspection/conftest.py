"""What tests of displays share: axes without overlaps, nothing left changed."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("agg")
import matplotlib.pyplot as plt

from tests.conftest import quick


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
