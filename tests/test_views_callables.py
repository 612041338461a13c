"""Views that users draw by functions and modules of their own."""

import warnings

import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from sklearn_byol import RandomViews, ViewsWarning
from sklearn_byol.views._pair import views_for


@pytest.fixture(scope="module")
def images():
    return torch.rand(6, 3, 40, 48, generator=torch.Generator().manual_seed(1))


def jitter_each(images):
    """A law that draws for each image, as kornia's modules do."""
    return images * torch.rand(len(images), 1, 1, 1)


def test_a_callable_draws_the_views(images, generator):
    pair, chosen = views_for(lambda batch: 1 - batch, (3, 40, 48))
    view_1, view_2 = pair(images, generator)
    torch.testing.assert_close(view_1, 1 - images)
    torch.testing.assert_close(view_2, 1 - images)
    assert callable(chosen)


def test_a_pair_draws_each_view_by_its_own_law(images, generator):
    pair, chosen = views_for(("safe", nn.Identity()), (3, 40, 48))
    view_1, view_2 = pair(images, generator)
    assert not torch.equal(view_1, images)
    assert torch.equal(view_2, images)
    assert chosen[0].preset == "safe"


def test_a_pair_of_presets_takes_the_first_and_the_second_view():
    pair, _ = views_for(("byol", "byol"), (3, 64, 64))
    images = torch.rand(3, 3, 64, 64)
    drawn = pair(images, torch.Generator().manual_seed(0))
    expected = RandomViews("byol").sample(images, torch.Generator().manual_seed(0))
    assert all(map(torch.equal, drawn, expected))


def test_a_transform_that_draws_once_a_batch_is_applied_image_by_image(generator):
    crop = v2.RandomResizedCrop(16, scale=(0.2, 0.9), antialias=True)
    same = torch.rand(1, 3, 16, 16).expand(6, 3, 16, 16)
    assert all(torch.equal(view, views[0]) for views in [crop(same)] for view in views)
    with pytest.warns(ViewsWarning, match="draws once for all images of a batch"):
        pair, _ = views_for(crop, (3, 16, 16))
    view_1, _ = pair(same, generator)
    assert len(torch.unique(view_1.sum(dim=(1, 2, 3)))) == 6


@pytest.mark.parametrize(
    "transform",
    [v2.RandomHorizontalFlip(0.1), v2.Compose([v2.RandomSolarize(0.5, 0.1)])],
)
def test_torchvisions_transforms_are_known_however_rarely_they_draw(transform):
    with pytest.warns(ViewsWarning, match="draws once for all images"):
        views_for(nn.Sequential(transform), (3, 8, 8))


def test_a_function_is_tried_once_before_training():
    shapes = []
    views_for(lambda batch: shapes.append(batch.shape) or batch, (3, 8, 8))
    assert shapes == [(4, 3, 8, 8)]


def test_views_made_image_by_image_do_not_touch_the_batch(generator):
    images = torch.rand(3, 3, 16, 16)
    before = images.clone()
    with pytest.warns(ViewsWarning):
        pair, _ = views_for((v2.RandomErasing(1, inplace=True), "safe"), (3, 16, 16))
    pair(images, generator)
    assert torch.equal(images, before)


def test_a_callable_that_draws_for_each_image_is_called_on_batches(generator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pair, _ = views_for(jitter_each, (1, 8, 8))
    assert not pair.laws[0].is_per_image
    assert pair.draws_globally


def test_a_callable_cannot_change_the_images(images, generator):
    before = images.clone()
    pair, _ = views_for(lambda batch: batch.zero_(), (3, 40, 48))
    pair(images, generator)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("views", "error", "message"),
    [
        ("paper", ValueError, "views must be one of the presets 'auto', 'byol'"),
        (3, TypeError, "views must be one of the presets 'auto', .*RandomViews.*Got 3"),
        (("byol",), ValueError, "A pair of views has 2 members. Got 1"),
        (lambda batch: batch[:, :1], ValueError, r"it returned \(4, 1, 8, 8\)"),
        (lambda batch: "view", ValueError, "it returned 'str'"),
        (lambda batch: (255 * batch).byte(), ValueError, "finite floats.*torch.uint8"),
        (lambda batch: batch / 0, ValueError, "must return finite floats"),
    ],
)
def test_views_that_are_none_are_errors(views, error, message):
    with pytest.raises(error, match=message):
        views_for(views, (3, 8, 8))
