"""A share of the mirror image in each row, and rows of one length."""

import pickle

import numpy as np
import pytest
import torch

from sklearn_byol import BYOLClassifier, BYOLTransformer, RandomViews
from sklearn_byol.networks._oriented_gradients import OrientedGradients
from tests.conftest import quick

N_LEARNED = 864  # of the "auto" encoder, for colour images


@pytest.fixture(scope="module")
def images():
    """20 colour images of 16 pixels."""
    return np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def byol(images):
    """A transformer that is fitted; tests do not change it."""
    return quick().fit(images)


def mirrored(images):
    """Swap left and right."""
    return np.ascontiguousarray(images[:, :, ::-1])


def raw(images, **given):
    """Rows that are neither scaled nor of one length."""
    return quick(unit_variance=False, **given).fit(images)


@pytest.mark.parametrize("share", [0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("hog", [0, 7])
def test_a_share_of_rows_is_of_the_mirror_image(share, hog, images):
    plain, mixed = (raw(images, mirror=m, hog=hog) for m in (0, share))
    image, mirror_image = plain.transform(images), plain.transform(mirrored(images))
    expected = (1 - share) * image + share * mirror_image
    np.testing.assert_allclose(mixed.transform(images), expected, 1e-4, 1e-5)


def test_half_of_it_tells_no_image_from_its_mirror_image(images):
    byol = quick(mirror=0.5).fit(images)
    rows, others = byol.transform(images), byol.transform(mirrored(images))
    np.testing.assert_allclose(rows, others, 1e-3, 1e-4)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 40), (4, 16, 100)])
@pytest.mark.parametrize("n_cells", [1, 4, 7])
def test_histograms_need_not_be_made_twice(shape, n_cells):
    gradients, x = OrientedGradients(n_cells), torch.rand(3, *shape)
    twice = gradients.mirrored(gradients(x))
    torch.testing.assert_close(twice, gradients(x.flip(-1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("views", "share"),
    [
        ("auto", 0.25),
        ("natural", 0.25),
        ("byol", 0.25),
        ("digits", 0),
        ("mild", 0),
        (RandomViews("mild"), 0),
        (RandomViews(horizontal_flip=0.1), 0.25),
        (RandomViews(horizontal_flip=0), 0),
        ((RandomViews(), RandomViews(horizontal_flip=0)), 0),
        (lambda batch: batch, 0),
    ],
)
def test_it_is_there_where_views_are_mirrored(views, share, images):
    byol = quick(views=views, max_epochs=0).fit(images)
    assert byol.encoder_.mirrored_share == share


def test_small_images_and_other_networks_have_none(images, digits):
    for X, given in [
        (digits[0], {}),
        (digits[0], {"views": "natural"}),
        (images, {"encoder": "resnet18"}),
    ]:
        byol = quick(max_epochs=0, **given).fit(X)
        assert byol.encoder_.mirrored_share == 0
    named = quick(encoder="resnet18", mirror=0.5, max_epochs=0).fit(images)
    rows, others = named.transform(images), named.transform(mirrored(images))
    np.testing.assert_allclose(rows, others, 1e-3, 1e-4)


def test_training_knows_nothing_of_it(images, byol):
    other = quick(mirror=0).fit(images)
    assert other.history_["loss"] == byol.history_["loss"]
    state = byol.encoder_.state_dict()
    for name, weights in other.encoder_.state_dict().items():
        assert name.startswith("scale") or torch.equal(state[name], weights)


def test_what_is_learned_is_of_one_length(images, byol):
    darker = byol.set_params().transform(images // 2)
    for rows in (byol.transform(images), darker):
        lengths = np.linalg.norm(rows[:, :N_LEARNED], axis=1)
        np.testing.assert_allclose(lengths, lengths[0], 1e-5)
    lengths = np.linalg.norm(raw(images).transform(images)[:, :N_LEARNED], axis=1)
    assert np.ptp(lengths) > 1e-3 * lengths[0]


def test_small_images_keep_their_lengths(images, byol, digits, tmp_path):
    small = quick().fit(digits[0])
    assert np.ptp(np.linalg.norm(small.transform(digits[0]), axis=1)) > 1e-2
    # What a file or another encoder has is kept, whatever the size of images.
    X = np.random.default_rng(0).integers(0, 256, (20, 20, 20), dtype=np.uint8)
    small.to_safetensors(tmp_path / "weights.safetensors")
    for known in ({"weights": tmp_path / "weights.safetensors"}, {}):
        encoder = "auto" if known else small.encoder_
        taken = quick(encoder=encoder, **known, max_epochs=0).fit(digits[0])
        np.testing.assert_allclose(
            taken.transform(digits[0]), small.transform(digits[0]), 1e-4, 1e-4
        )
    larger = quick(encoder=small.encoder_, max_epochs=0).fit(X)
    assert not larger.encoder_.has_unit_length


@pytest.mark.filterwarnings("ignore::sklearn_byol.CollapseWarning")
def test_an_encoder_that_gives_nothing_gives_no_nan(images):
    byol = quick(max_epochs=0).fit(images)
    torch.nn.init.zeros_(byol.encoder_.network.stages[-1].norm2.weight)
    for part in byol.encoder_.network.stages[-1].parameters():
        torch.nn.init.zeros_(part)
    rows = byol.transform(images)
    assert np.isfinite(rows).all()
    assert not rows[:, :N_LEARNED].any()


@pytest.mark.parametrize("saved", [{}, {"mirror": 0}, {"mirror": 0.5, "hog": 0}])
def test_what_is_saved_has_it(saved, images, tmp_path):
    byol, path = quick(**saved).fit(images), tmp_path / "weights.safetensors"
    rows, share = byol.transform(images), byol.encoder_.mirrored_share
    again = pickle.loads(pickle.dumps(byol))
    np.testing.assert_array_equal(again.transform(images), rows)
    byol.to_safetensors(path)
    for views in ("auto", "mild"):
        loaded = quick(weights=path, views=views, max_epochs=0).fit(images)
        assert loaded.encoder_.mirrored_share == share
        np.testing.assert_allclose(loaded.transform(images), rows, 1e-4, 1e-4)
    taken = quick(encoder=byol.encoder_, views="mild", max_epochs=0).fit(images)
    np.testing.assert_allclose(taken.transform(images), rows, 1e-4, 1e-4)


def test_another_share_is_scaled_anew(images, byol, tmp_path):
    byol.to_safetensors(tmp_path / "weights.safetensors")
    for known in (
        {"encoder": byol.encoder_},
        {"weights": tmp_path / "weights.safetensors"},
    ):
        other = quick(**known, mirror=0.5, max_epochs=0).fit(images)
        rows = other.transform(images)
        for part in (rows[:, :N_LEARNED], rows[:, N_LEARNED:]):
            assert part.var(axis=0).mean() == pytest.approx(1, abs=1e-3)


def test_weights_that_say_nothing_of_it_have_it_too(images, byol, tmp_path):
    # Views are milder from weights on, which says nothing of the images.
    torch.save(byol.encoder_.network.state_dict(), tmp_path / "weights.pth")
    taken = quick(weights=tmp_path / "weights.pth", max_epochs=0).fit(images)
    assert taken.encoder_.mirrored_share == 0.25


@pytest.mark.parametrize("value", [-0.1, 0.6, True, "no", None])
def test_another_value_is_an_error(value, images):
    with pytest.raises(ValueError, match="mirror"):
        BYOLTransformer(mirror=value).fit(images)


def test_tuning_keeps_it(images):
    classifier = BYOLClassifier(quick(mirror=0.5), max_epochs=2, random_state=0)
    classifier.fit(images, np.arange(20) % 2)
    mirror_images = classifier.predict_proba(mirrored(images))
    np.testing.assert_allclose(
        classifier.predict_proba(images), mirror_images, 1e-2, 1e-3
    )


def test_a_checkpoint_is_found_with_another_share(images, tmp_path):
    first = quick(checkpoint=tmp_path / "here").fit(images)
    found = quick(checkpoint=tmp_path / "here", mirror=0).fit(images)
    assert found.history_ == first.history_
    assert found.encoder_.mirrored_share == 0
