"""A share of the mirror image in each row, and rows of one length."""

import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sklearn_byol import BYOLClassifier, BYOLTransformer, RandomViews
from sklearn_byol.estimators._saving import digest_of
from sklearn_byol.networks._image_encoder import ImageEncoder
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
    darker = byol.transform(images // 2)
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


class Looks(Callback):
    """Asks for representations in the middle of an epoch."""

    def on_batch_end(self, net, **kwargs):
        """Look."""
        net.represent_(torch.rand(4, 3, 16, 16))


def tuned(images, **given):
    """A classifier that is tuned for two epochs, and no BYOL before it."""
    byol = quick(mirror=0.5, max_epochs=0, precision="float32")
    classifier = BYOLClassifier(byol, max_epochs=2, random_state=0, **given)
    return classifier.fit(images, np.arange(20) % 2)


def test_tuning_has_it_in_what_it_gives(images):
    classifier = tuned(images)
    given = classifier.predict_proba(images)
    mirror_images = classifier.predict_proba(mirrored(images))
    np.testing.assert_allclose(given, mirror_images, 1e-2, 1e-3)


def test_steps_of_tuning_leave_it_out(images, monkeypatch):
    seen = []
    usual = ImageEncoder.forward

    def noted(self, x, *, mirrors=True):
        seen.append((torch.is_grad_enabled(), mirrors))
        return usual(self, x, mirrors=mirrors)

    monkeypatch.setattr(ImageEncoder, "forward", noted)
    tuned(images)
    assert {(True, False), (False, True)} == set(seen)


def test_looking_changes_no_steps(images):
    seen = tuned(images, callbacks=[Looks()]).history_["loss"]
    assert seen == tuned(images).history_["loss"]


@pytest.mark.parametrize("share", [0, 0.5])
def test_what_is_kept_of_a_training_does_not_depend_on_it(share, images):
    known = quick(max_epochs=3).fit(images).encoder_
    given = {"max_epochs": 3, "min_similarity": 0.95, "encoder_lr": 1e-3}
    usual, other = (
        quick(encoder=known, **given, **rows).fit(images)
        for rows in ({}, {"mirror": share, "unit_variance": share > 0})
    )
    assert 0 < usual.trained_share_ == other.trained_share_ < 1
    weight = usual.encoder_.network.stages[0].conv1.weight
    assert torch.equal(weight, other.encoder_.network.stages[0].conv1.weight)


class NeverFlips:
    """Views of a user's own, with a method whose name is that of a parameter."""

    def __call__(self, batch):
        """Return images as they are."""
        return batch

    def horizontal_flip(self, batch):
        """Mirror images; this is never called."""
        return batch.flip(-1)


def test_only_our_own_views_say_whether_they_mirror(images):
    byol = quick(views=NeverFlips(), max_epochs=0).fit(images)
    assert byol.encoder_.mirrored_share == 0


def test_a_file_that_is_not_scaled_says_nothing_of_lengths(images, tmp_path):
    path = tmp_path / "weights.safetensors"
    quick(unit_variance=False).fit(images).to_safetensors(path)
    taken = quick(weights=path, unit_variance=True, max_epochs=0).fit(images)
    assert taken.encoder_.has_unit_length


def test_what_was_saved_before_keeps_its_rows(images, byol, tmp_path):
    fields = "unit_length", "mirror", "mirrors_views"
    older = quick(mirror=0).fit(images)
    older.encoder_.scale.has_unit_length = False
    expected = older.transform(images)
    # A pickle without the fields that there were not.
    state = older.__getstate__()
    del state["_digest"], state["mirror"]
    for name in fields:
        del state["_specification"][name]
    read = BYOLTransformer.__new__(BYOLTransformer)
    read.__setstate__(state | {"_digest": digest_of(state)})
    np.testing.assert_allclose(read.transform(images), expected, 1e-5, 1e-6)
    # A module whose scale has no such attribute.
    del older.encoder_.scale.has_unit_length
    assert not older.encoder_.has_unit_length
    taken = quick(encoder=older.encoder_, max_epochs=0).fit(images)
    np.testing.assert_allclose(taken.transform(images), expected, 1e-5, 1e-6)


def test_an_older_file_keeps_its_rows(images, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "weights.safetensors"
    byol = quick(mirror=0).fit(images)
    byol.encoder_.scale.has_unit_length = False
    byol.to_safetensors(path)
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del about["mirror"], about["unit_length"]
    safetensors.save_file(tensors, path, about)
    taken = quick(weights=path, max_epochs=0).fit(images)
    rows = byol.transform(images[:5] // 2)
    np.testing.assert_allclose(taken.transform(images[:5] // 2), rows, 1e-4, 1e-4)


def test_a_checkpoint_is_found_with_another_share(images, tmp_path):
    first = quick(checkpoint=tmp_path / "here").fit(images)
    found = quick(checkpoint=tmp_path / "here", mirror=0).fit(images)
    assert found.history_ == first.history_
    assert found.encoder_.mirrored_share == 0
