import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from sklearn_byol import BYOLTransformer, UnreadableImagesError
from tests.conftest import quick


def test_images_are_what_the_encoder_takes(fitted, digits):
    images = fitted.read_images(digits[0])
    assert images.shape == (200, 1, 8, 8)
    assert (images.min(), images.max()) == (0, 1)
    with torch.inference_mode():
        rows = fitted.encoder_(images).numpy()
    np.testing.assert_allclose(rows, fitted.transform(digits[0]), rtol=1e-4, atol=1e-5)


def test_indices_choose_and_order_images(fitted, digits):
    images = fitted.read_images(digits[0])
    chosen = fitted.read_images(digits[0], [7, 2])
    torch.testing.assert_close(chosen, images[[7, 2]])


def test_images_of_a_folder_are_those_of_its_files(folder, pixels, paths):
    byol = quick().fit(folder)
    by_name = byol.read_images([paths[3]])
    at = [path.endswith("3.PNG") for path in byol.files_].index(True)
    torch.testing.assert_close(byol.read_images(folder, [at]), by_name)
    expected = torch.from_numpy(pixels[3].transpose(2, 0, 1) / np.float32(255))
    torch.testing.assert_close(by_name[0], expected)


def test_files_that_cannot_be_read_are_an_error_even_if_transform_skips_them(broken):
    byol = quick(on_error="skip").fit(broken)
    with pytest.raises(UnreadableImagesError, match="empty"):
        byol.read_images(broken)


def test_views_are_drawn_by_what_fit_has_chosen(fitted, digits):
    images = fitted.read_images(digits[0])
    views = fitted.sample_views(digits[0], random_state=np.random.RandomState(3))
    seed = int(np.random.RandomState(3).randint(2**31 - 1))
    expected = fitted.views_.sample(images, torch.Generator().manual_seed(seed))
    for view, other in zip(views, expected, strict=True):
        torch.testing.assert_close(view, other)


def noisy(images):
    """A view that draws from torch's global state."""
    return (images + 0.1 * torch.randn_like(images)).clamp(0, 1)


def test_views_of_a_callable_are_seeded_and_leave_torchs_state_alone(digits):
    byol = quick(views=noisy).fit(digits[0])
    before = torch.get_rng_state()
    first, second = (byol.sample_views(digits[0], random_state=0) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[0], first[1])


@pytest.mark.parametrize("name", ["read_images", "sample_views"])
def test_nothing_is_shown_before_fit(name, digits):
    with pytest.raises(NotFittedError):
        getattr(BYOLTransformer(), name)(digits[0])
