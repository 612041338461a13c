"""ViewsDisplay, and how images become pictures."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("agg")

from sklearn_byol import RandomViews
from sklearn_byol.inspection import (
    ViewsDisplay,
)
from tests.inspection.conftest import IMAGES


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
