"""OcclusionDisplay: what moves the representation."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

mpl.use("agg")

from sklearn_byol import inspection
from sklearn_byol.inspection import (
    OcclusionDisplay,
)
from tests.conftest import quick


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
