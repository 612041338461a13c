"""Views of fewer pixels than the image: what they show, and where they are taken."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sklearn_byol import BYOLClassifier, BYOLTransformer, RandomViews
from sklearn_byol.views import _geometry
from tests.conftest import quick


@pytest.fixture(scope="module")
def images():
    """20 colour images of 20 pixels, smooth enough to be shown with fewer."""
    coarse = torch.rand(20, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (20, 20), mode="bilinear")


@pytest.mark.parametrize(
    ("size", "side"), [(1, 20), (0.99, 16), (0.8, 16), (0.75, 12), (0.2, 4), (0.01, 4)]
)
def test_sides_are_rounded_down_to_a_multiple_of_four(size, side, images):
    view_1, view_2 = RandomViews(size=size, random_state=0).sample(images)
    assert view_1.shape == view_2.shape == (20, 3, side, side)


def test_sides_that_are_shorter_than_that_stay(images):
    views, _ = RandomViews("jitter", size=0.5).sample(images[..., :3, :])
    assert views.shape == (20, 3, 3, 8)


@pytest.mark.parametrize("preset", ["natural", "lab", "safe"])
def test_a_smaller_view_shows_what_the_larger_one_does(preset, images):
    views = RandomViews(preset, solarize=0, random_state=3)
    large, small = (views.set_params(size=s).sample(images)[0] for s in (1, 0.6))
    brought_down = F.interpolate(large, (12, 12), mode="area")
    inside = slice(2, -2)
    far = (brought_down - small)[..., inside, inside].abs()
    assert far.mean() < 0.03


def test_without_any_other_change_it_is_the_image(images):
    views, _ = RandomViews("jitter", brightness=0, contrast=0, size=0.8).sample(images)
    grid = F.affine_grid(torch.eye(2, 3).expand(20, 2, 3), (20, 3, 16, 16), False)
    expected = F.grid_sample(images, grid, align_corners=False)
    torch.testing.assert_close(views, expected)


def test_the_full_size_has_the_bits_of_before(images):
    boxes = torch.tensor([[1.0, 2.0, 15.0, 12.0]]).expand(20, 4)
    homographies = _geometry.crop_homographies(boxes, (20, 20))
    views = _geometry.warp(images, homographies, (20, 20), is_affine=True)
    assert torch.equal(views, _geometry.warp(images, homographies, is_affine=True))


def as_pixels(images):
    """Images as a user has them."""
    return (255 * images.movedim(1, -1)).byte().numpy()


def test_training_the_auto_encoder_takes_three_quarters_of_the_side(images):
    X = as_pixels(images)
    byol = quick().fit(X)
    assert byol.views_.size == 0.75
    assert byol.sample_views(X[:2])[0].shape == (2, 3, 12, 12)
    assert quick(views=RandomViews("byol", hue=0)).fit(X).views_.size == 0.75
    assert [view.size for view in quick(views=("auto", "safe")).fit(X).views_] == [
        0.75
    ] * 2


@pytest.mark.parametrize(
    "parameters",
    [
        {"views": RandomViews(size=1)},
        {"encoder": "resnet18"},
        {"encoder": lambda: torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1))},
        {"input_size": 24},
    ],
)
def test_other_views_and_encoders_keep_the_size(parameters, images):
    byol = quick(**parameters).fit(as_pixels(images))
    assert byol.views_.size == 1
    assert byol.sample_views(as_pixels(images))[0].shape == (20, 3, 20, 20)


def test_images_under_16_pixels_and_known_encoders_keep_the_size(images, digits):
    assert quick().fit(digits[0][:20]).views_.size == 1
    X = as_pixels(images)
    first = quick().fit(X)
    assert quick(encoder=first.encoder_).fit(X).views_.size == 1


def test_a_size_of_ones_own_is_kept(images):
    byol = quick(encoder="resnet18", views=RandomViews(size=0.5)).fit(as_pixels(images))
    assert byol.views_.size == 0.5
    byol = quick(views=RandomViews(size=0.5)).fit(as_pixels(images))
    assert byol.views_.size == 0.5


def test_beside_a_function_both_views_keep_the_size(images):
    byol = quick(views=("auto", lambda batch: batch)).fit(as_pixels(images))
    assert byol.views_[0].size == 1


def test_tuning_shows_whole_images_and_views_of_their_size(images):
    y = np.arange(20) % 2
    classifier = BYOLClassifier(quick(), max_epochs=1, random_state=0)
    assert classifier.fit(as_pixels(images), y).predict(as_pixels(images)).shape == (
        20,
    )


@pytest.mark.parametrize("size", [0, -0.1, 1.1])
def test_a_size_that_is_no_share_is_an_error(size, images):
    with pytest.raises(ValueError, match="'size'"):
        BYOLTransformer(views=RandomViews(size=size)).fit(as_pixels(images))


def test_tuning_takes_views_of_a_pair_at_their_full_size(images):
    views = (RandomViews(size=0.5), lambda batch: batch)
    classifier = BYOLClassifier(
        quick(encoder="resnet18", views=views), max_epochs=1, random_state=0
    )
    classifier.fit(as_pixels(images), np.arange(20) % 2)
    assert classifier.predict(as_pixels(images)).shape == (20,)


def flat():
    """A network for images of 20 pixels alone."""
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 20 * 20, 8))


@pytest.mark.usefixtures("no_training")
def test_views_that_an_encoder_cannot_take_are_an_error(images):
    byol = quick(encoder=flat, views=RandomViews(size=0.6))
    with pytest.raises(ValueError, match=r"no views of 12x12, .* Set size=1"):
        byol.fit(as_pixels(images))


class OwnViews(RandomViews):
    """Views with other parameters than those they are drawn by."""

    def __init__(self, is_mirrored=False):
        super().__init__("natural", horizontal_flip=float(is_mirrored))
        self.is_mirrored = is_mirrored


def test_views_with_parameters_of_their_own_are_left_alone(images):
    X = as_pixels(images)
    byol = quick(views=OwnViews()).fit(X)
    assert byol.n_iter_ == 1
    assert BYOLClassifier(byol, prefit=True, max_epochs=1).fit(X, np.arange(20) % 2)
