"""Histograms of oriented gradients, beside what is learned, and how rows are scaled."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_byol import BYOLClassifier, BYOLTransformer
from sklearn_byol.callbacks import ProbeCallback
from sklearn_byol.networks._byol import build_byol_network
from sklearn_byol.networks._encoders import EncoderSpecification, representation_dim
from sklearn_byol.networks._oriented_gradients import OrientedGradients
from sklearn_byol.training import _device, _sample
from tests.conftest import quick

N_HOG = 9 * 7**2
SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def images():
    """40 colour images of 16 pixels."""
    return np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def byol(images):
    """A transformer that is fitted; tests do not change it."""
    return quick().fit(images)


def stripes(angle, side=32):
    """A wave whose gradient points along an angle, in degrees from the right, down."""
    down, right = np.mgrid[:side, :side] / side
    radians = np.deg2rad(angle)
    wave = np.sin(20 * (right * np.cos(radians) + down * np.sin(radians)))
    return torch.from_numpy((wave + 1) / 2).float()[None, None]


@pytest.mark.parametrize("bin_", range(9))
def test_each_orientation_has_a_bin(bin_):
    bins = OrientedGradients(1)(stripes(20 * bin_))[0]
    assert bins.argmax() == bin_
    # Those at right angles to it see next to nothing.
    assert bins[(bin_ + 4) % 9] < 0.2 * bins[bin_]


def hard_histograms(image):
    """Let each pixel count for the one nearest of nine orientations, in 7x7 cells."""
    down, right = np.gradient(np.pad(image, 1, mode="edge"))
    down, right = down[1:-1, 1:-1], right[1:-1, 1:-1]
    bins = np.round(np.arctan2(down, right) / np.pi * 9).astype(int) % 9
    lengths = np.hypot(down, right) * (bins == np.arange(9)[:, None, None])
    side = len(image) // 7
    return np.sqrt(lengths.reshape(9, 7, side, 7, side).mean(axis=(2, 4)))


def test_they_are_close_to_histograms_with_hard_bins():
    noise = np.random.default_rng(0).normal(size=(20, 28, 28))
    images = noise.cumsum(axis=1).cumsum(axis=2)
    ours = OrientedGradients(7)(torch.from_numpy(images)[:, None])
    theirs = np.stack([hard_histograms(image).ravel() for image in images])
    both = ours.numpy().ravel() ** 2, theirs.ravel() ** 2
    assert np.corrcoef(*both)[0, 1] > 0.8


def test_a_brighter_or_darker_image_has_the_same_ones():
    image = stripes(30) * 0.5
    gradients = OrientedGradients(7)
    close = partial(torch.testing.assert_close, rtol=1e-3, atol=2e-3)
    close(gradients(image), gradients(image + 0.4))
    close(gradients(image), gradients(1 - image))
    close(gradients(2 * image), 2**0.5 * gradients(image))


def test_a_quarter_turn_moves_cells_and_bins():
    image = torch.rand(1, 1, 28, 28)
    before = OrientedGradients(2)(image).reshape(9, 2, 2)
    after = OrientedGradients(2)(image.rot90(1, (2, 3))).reshape(9, 2, 2)
    after = after.rot90(-1, (1, 2))
    # 90 degrees are four and a half bins.
    between = (before.roll(4, 0) + before.roll(5, 0)) / 2
    torch.testing.assert_close(after, between, rtol=0.1, atol=0.02)


def test_the_channel_with_the_longest_gradient_counts():
    strong, weak = stripes(0), 0.1 * stripes(90)
    both = torch.cat([weak, strong, weak], dim=1)
    gradients = OrientedGradients(3)
    torch.testing.assert_close(gradients(both), gradients(strong), rtol=0.1, atol=0.05)


def test_nothing_to_see_is_a_small_number():
    rows = OrientedGradients(7)(torch.full((2, 3, 16, 16), 0.3))
    assert rows.isfinite().all()
    assert rows.max() < 1e-2


def test_images_of_any_shape_are_taken():
    for shape in [(1, 1, 7, 30), (2, 5, 16, 16), (1, 3, 65, 40)]:
        assert OrientedGradients(7)(torch.rand(shape)).shape == (shape[0], N_HOG)


def test_they_go_beside_what_is_learned(images, byol):
    rows = byol.transform(images)
    assert rows.shape == (40, 864 + N_HOG)
    alone = quick(hog=0).fit(images)
    assert alone.transform(images).shape == (40, 864)
    np.testing.assert_allclose(rows[:, :864], alone.transform(images), 1e-4, 1e-5)
    wider = quick(hog=3).fit(images)
    assert wider.transform(images).shape == (40, 864 + 81)


def test_training_knows_nothing_of_them(images, byol):
    trained = dict(quick(hog=0, unit_variance=False).fit(images).encoder_.state_dict())
    state = byol.encoder_.state_dict()
    assert set(state) - set(trained) == {"scale.learned", "scale.beside"}
    for name, weights in trained.items():
        assert torch.equal(state[name], weights)


@pytest.mark.parametrize(("encoder", "n_learned"), [("auto", 384), ("resnet18", 512)])
def test_the_projector_sees_what_is_learned_alone(encoder, n_learned):
    statistics = [0.5] * 3, [0.2] * 3
    built = EncoderSpecification(encoder, SHAPE, *statistics, hog=7).build()
    n_dims = representation_dim(built, SHAPE)
    network = build_byol_network(built, n_dims, 32, 8)
    linear = next(m for m in network.projector.modules() if isinstance(m, nn.Linear))
    assert linear.in_features == n_learned
    assert network(*torch.rand(2, 4, *SHAPE)).prediction_1.shape == (4, 8)


def test_small_images_and_other_networks_have_none(images, digits):
    assert quick().fit(digits[0]).transform(digits[0]).shape == (200, 512)
    assert quick(hog=2).fit(digits[0]).transform(digits[0]).shape == (200, 512 + 36)
    named = quick(encoder="resnet18").fit(images[:8])
    assert named.transform(images[:8]).shape == (8, 512)
    both = quick(encoder="resnet18", hog=7).fit(images[:8])
    assert both.transform(images[:8]).shape == (8, 512 + N_HOG)


def test_columns_have_a_variance_of_one_on_average(images, byol):
    rows = byol.transform(images)
    for part in (rows[:, :864], rows[:, 864:]):
        assert part.var(axis=0).mean() == pytest.approx(1, abs=1e-3)
    # One number for all: how columns compare says what matters.
    plain = quick(unit_variance=False).fit(images).transform(images)
    plain[:, :864] /= np.linalg.norm(plain[:, :864], axis=1, keepdims=True)
    for part in (slice(864), slice(864, None)):
        ratio = rows[:, part].std() / plain[:, part].std()
        np.testing.assert_allclose(rows[:, part], ratio * plain[:, part], 1e-3, 1e-4)


def test_named_networks_and_known_ones_keep_their_rows(images, byol):
    named = quick(encoder="resnet18", max_epochs=0).fit(images)
    scaled = quick(encoder="resnet18", max_epochs=0, unit_variance=True).fit(images)
    assert not hasattr(named.encoder_, "scale")
    assert scaled.transform(images).var(axis=0).mean() == pytest.approx(1, abs=1e-3)
    assert named.transform(images).var(axis=0).mean() != pytest.approx(1, abs=1e-1)
    taken = quick(encoder=byol.encoder_, max_epochs=0).fit(images)
    np.testing.assert_allclose(taken.transform(images), byol.transform(images), 1e-5)
    nothing = {"hog": 0, "mirror": 0, "unit_variance": False}
    plain = quick(encoder=byol.encoder_, max_epochs=0, **nothing)
    assert [*dict(plain.fit(images).encoder_.named_children())] == [
        "normalize",
        "network",
        "readout",
    ]


@pytest.mark.filterwarnings("ignore::sklearn_byol.CollapseWarning")
def test_images_that_are_all_alike_stay_numbers():
    X = np.full((6, 16, 16), 7, dtype=np.uint8)
    rows = quick().fit(X).transform(X)
    assert np.isfinite(rows).all()


def test_going_on_gives_a_variance_of_one_again(images):
    byol = quick(warm_start=True).fit(images)
    rows = byol.set_params(max_epochs=3).fit(images).transform(images)
    assert rows[:, :864].var(axis=0).mean() == pytest.approx(1, abs=1e-3)


def test_what_is_saved_has_both(images, byol, tmp_path):
    rows = byol.transform(images)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(byol)).transform(images), rows
    )
    byol.to_safetensors(tmp_path / "weights.safetensors")
    loaded = quick(weights=tmp_path / "weights.safetensors", max_epochs=0).fit(images)
    np.testing.assert_allclose(loaded.transform(images), rows, 1e-4, 1e-4)


def test_a_probe_sees_rows_as_they_will_be(images):
    y = np.arange(40) % 2
    bright = np.where(y[:, None, None, None] == 1, images // 4, images // 8)
    seen = quick(callbacks=[ProbeCallback(bright, y)], max_epochs=2).fit(bright)
    assert seen.history_["knn_accuracy"][-1] == 1.0


def test_tuning_keeps_them(images, byol):
    y = np.arange(40) % 2
    classifier = BYOLClassifier(quick(), max_epochs=1, random_state=0).fit(images, y)
    assert classifier.coefficients_.shape == (2, 864 + N_HOG)
    np.testing.assert_allclose(classifier.predict_proba(images).sum(axis=1), 1, 1e-5)


@pytest.mark.parametrize("value", [-1, 2.5, "no", None])
def test_another_grid_is_an_error(value, images):
    with pytest.raises(ValueError, match="hog"):
        BYOLTransformer(hog=value).fit(images)


def inference_tensors(module):
    """Move a module as to another device in inference mode: its buffers are new."""
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            setattr(part, name, buffer.clone())


def test_an_encoder_that_was_moved_while_it_represents_is_scaled(images, monkeypatch):
    monkeypatch.setattr(
        _device, "ready", lambda module, device: inference_tensors(module.eval())
    )
    byol = quick().fit(images)
    assert byol.transform(images).var(axis=0).mean() == pytest.approx(1, abs=1e-2)
    assert BYOLClassifier(byol, prefit=True, max_epochs=1).fit(
        images, np.arange(40) % 2
    )


def test_few_like_images_do_not_blow_up_rows(images, digits):
    X = np.stack([images[0], images[0] ^ 1])
    rows = quick().fit(X).transform(images)
    assert np.abs(rows).max() < 1e3
    byol = quick().partial_fit(digits[0])
    before = float(byol.encoder_.scale.learned)
    byol.partial_fit(digits[0][:2])
    assert float(byol.encoder_.scale.learned) == before


def variances(byol, X):
    """Mean variances of the columns of what is learned, and of the gradients."""
    rows, n_beside = byol.transform(X), byol.encoder_.n_beside
    parts = np.split(rows, [rows.shape[1] - n_beside], axis=1)
    return [float(part.var(axis=0).mean()) for part in parts if part.size]


@pytest.mark.parametrize("encoder", ["auto", "resnet18"])
@pytest.mark.parametrize("saved", [{}, {"hog": 0}, {"hog": 3}, {"unit_variance": True}])
def test_a_file_says_what_goes_beside(saved, encoder, images, tmp_path):
    X, path = images[:12], tmp_path / "weights.safetensors"
    byol = quick(encoder=encoder, **saved).fit(X)
    byol.to_safetensors(path)
    again = quick(encoder=encoder, weights=path, max_epochs=0).fit(X)
    np.testing.assert_allclose(again.transform(X), byol.transform(X), 1e-4, 1e-4)
    other = quick(
        encoder=encoder, weights=path, max_epochs=0, hog=2, unit_variance=True
    )
    np.testing.assert_allclose(variances(other.fit(X), X), [1, 1], atol=1e-2)


class Scaled(nn.Module):
    """A network with a part whose name is that of a part of ours."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        """Map images to feature maps."""
        return self.scale(images)


def test_parts_of_other_networks_that_are_called_scale_are_read(images, tmp_path):
    torch.manual_seed(1)
    theirs = Scaled()
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    byol = quick(encoder=Scaled, weights=tmp_path / "theirs.pth", max_epochs=0)
    taken = byol.fit(images).encoder_.network
    assert torch.equal(taken.scale.weight, theirs.scale.weight)


@pytest.mark.parametrize("change", [{"readout": 1}, {"input_size": 24}, {"hog": 2}])
def test_rows_of_another_kind_are_scaled_anew(change, images, byol):
    taken = quick(encoder=byol.encoder_, max_epochs=0, **change).fit(images)
    np.testing.assert_allclose(variances(taken, images), [1, 1], atol=1e-2)


@pytest.mark.parametrize("given", [False, np.False_])
def test_no_scale_is_asked_for_by_what_is_false(given, images, byol):
    taken = quick(encoder=byol.encoder_, max_epochs=0, unit_variance=given)
    assert not hasattr(taken.fit(images).encoder_, "scale")


def test_similarity_is_of_what_is_learned(images, byol):
    known = {"encoder": byol.encoder_, "max_epochs": 2, "min_similarity": 0.99}
    known |= {"encoder_lr": 1e-3, "encoder_mode": "train"}
    shares = [quick(**known, hog=n).fit(images).trained_share_ for n in (0, 7)]
    assert shares[0] == shares[1] < 1


def test_parts_can_be_taken_by_their_places(images, byol):
    x = byol.read_images(images[:2])
    encoder = byol.encoder_
    maps = encoder[:2](x)
    assert maps.shape[1] == encoder.network.n_maps
    assert encoder[0] is encoder.normalize


def test_gradients_reach_the_pixels(byol):
    x = torch.full((2, 3, 16, 16), 0.5)
    x[:, :, 4:12, 4:12] = 0.7
    x.requires_grad_()
    byol.encoder_(x).square().sum().backward()
    assert x.grad.isfinite().all()


def test_large_images_are_represented_a_few_at_a_time(monkeypatch):
    shapes = []
    usual = _sample.represent

    def noted(encoder, batches, *rest):
        batches = list(batches)
        shapes.extend(batch.shape for _, batch in batches)
        return usual(encoder, batches, *rest)

    monkeypatch.setattr(_sample, "represent", noted)
    monkeypatch.setattr(_sample, "PIXELS_AT_ONCE", 4 * 32**2)
    X = np.random.default_rng(0).integers(0, 256, (10, 32, 32), dtype=np.uint8)
    quick(batch_size=16).fit(X)
    assert max(shape[0] for shape in shapes) <= 4
    assert sum(shape[0] for shape in shapes) == 10


def test_what_goes_beside_may_change_where_a_checkpoint_is_found(images, tmp_path):
    quick(checkpoint=tmp_path / "here").fit(images)
    found = quick(checkpoint=tmp_path / "here", hog=2, unit_variance=False).fit(images)
    assert found.transform(images).shape == (40, 864 + 36)


@pytest.mark.slow
def test_a_graph_of_onnx_has_them(images, byol, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    byol.to_onnx(tmp_path / "byol.onnx", images)
    session = runtime.InferenceSession(tmp_path / "byol.onnx")
    rows = session.run(None, {"X": images})[0]
    np.testing.assert_allclose(rows, byol.transform(images), 1e-3, 1e-3)
