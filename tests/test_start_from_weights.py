"""Trainings that begin with real weights: recipe, size, normalisation, network."""

import json
import pickle
import re
import warnings
from dataclasses import replace

import joblib
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.pipeline import FeatureUnion
from torch import nn

from sklearn_byol import BYOLClassifier, BYOLTransformer, RandomViews, WeightsWarning
from sklearn_byol.estimators import _saving
from sklearn_byol.networks import Resize, _weights
from sklearn_byol.networks._encoders import (
    EncoderSpecification,
    sees_single_pixels,
    wanted_size,
)
from sklearn_byol.networks._pretrained import pretrained_start
from sklearn_byol.training import _device
from sklearn_byol.training._trust_region import similarity
from tests.conftest import quick
from tests.test_weights import prefixed


class Small(nn.Module):
    """A network with batch norm whose statistics are not the first ones."""

    def __init__(self, n_channels=3, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = nn.Conv2d(n_channels, 8, 3)
            self.norm = nn.BatchNorm2d(8)
            self.second = nn.Conv2d(8, 16, 3)
            nn.init.uniform_(self.norm.running_mean, -0.2, 0.2)
        self.drop = nn.Dropout(0.5)

    def forward(self, images):
        return self.second(self.drop(self.norm(self.first(images)).relu()))


class Wrapper(nn.Module):
    """Holds a network one level deeper, or two."""

    def __init__(self, network, depth=1):
        super().__init__()
        self.net = network if depth == 1 else Wrapper(network, depth - 1)
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return self.net(images) * self.gain


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)


def start(**parameters):
    return quick(**{"encoder": Small(), "weights": "pretrained"} | parameters)


# The recipe.


def test_a_start_from_weights_holds_statistics_and_is_slow(images):
    byol = start(max_epochs=3).fit(images)
    module, norm = Small(), byol.encoder_.network.norm
    assert torch.equal(norm.running_mean, module.norm.running_mean)
    assert torch.equal(norm.running_var, module.norm.running_var)
    assert not torch.equal(byol.encoder_.network.first.weight, module.first.weight)
    assert not torch.equal(norm.weight, module.norm.weight)
    assert byol.encoder_mode_ == "eval"
    assert byol.encoder_lr_ == pytest.approx(byol.lr_ / 15)
    scratch = quick(encoder=Small(), max_epochs=3).fit(images)
    assert byol.lr_ == pytest.approx(scratch.lr_ / 3)
    assert scratch.encoder_lr_ == scratch.lr_
    assert scratch.encoder_mode_ == "train"
    moved = scratch.encoder_.network.norm.running_mean - module.norm.running_mean
    assert moved.abs().max() > 0.01


def test_heads_learn_by_lr_and_the_encoder_by_encoder_lr(images):
    images, seen = np.concatenate([images, images]), []

    class Noted(torch.optim.AdamW):
        def step(self, closure=None):
            seen.append([(group["lr"], len(group["params"])) for group in groups(self)])
            return super().step(closure)

    def groups(optimizer):
        return optimizer.param_groups

    settings = {"lr": 0.01, "encoder_lr": 0.001, "warmup_epochs": 0, "max_epochs": 4}
    byol = start(optimizer=Noted, **settings, batch_size=24).fit(images)
    assert byol.lr_ == 0.01
    assert byol.encoder_lr_ == 0.001
    for rates in seen:
        (heads, n_heads), (_, _), (encoder, n_encoder), (_, _) = rates
        assert encoder == pytest.approx(heads / 10)
        assert (n_heads, n_encoder) == (4, 2)  # weights that decay
    assert len(seen) == 8
    assert byol.history_["lr"][-1] < 0.01


def test_an_encoder_lr_of_its_own_holds_from_scratch_too(images):
    same = quick(lr=0.01, encoder_lr=0.01).fit(images)
    usual = quick(lr=0.01).fit(images)
    np.testing.assert_array_equal(same.transform(images), usual.transform(images))
    slow = quick(lr=0.01, encoder_lr=1e-9, max_epochs=2).fit(images)
    begin = quick(max_epochs=0).fit(images)
    for own, first in zip(
        slow.encoder_.parameters(), begin.encoder_.parameters(), strict=True
    ):
        torch.testing.assert_close(own, first, atol=1e-6, rtol=0)


def test_the_mode_of_the_encoder_can_be_chosen(images):
    trained = start(encoder_mode="train").fit(images)
    norm = trained.encoder_.network.norm
    assert not torch.equal(norm.running_mean, Small().norm.running_mean)
    held = quick(encoder=Small(), encoder_mode="eval").fit(images)
    norm = held.encoder_.network.norm
    assert torch.equal(norm.running_mean, Small().norm.running_mean)
    assert held.lr_ == trained.lr_ * 3


def test_an_encoder_that_was_fitted_is_trained_further_by_the_recipe(images):
    first = quick().fit(images)
    further = quick(encoder=first.encoder_, max_epochs=2).fit(images)
    assert further.encoder_mode_ == "eval"
    assert further.encoder_lr_ == pytest.approx(further.lr_ / 15)
    for name, value in further.encoder_.state_dict().items():
        if "running" in name:
            assert torch.equal(value, first.encoder_.state_dict()[name]), name


def test_epochs_are_fewer_where_much_is_known(images):
    byol = start(max_epochs="auto").fit(images[:8])
    assert byol.n_iter_ == 10
    assert BYOLTransformer().max_epochs == "auto"


@pytest.mark.parametrize("change", [{"encoder_lr": 1e-4}, {"encoder_lr": 0.003}])
def test_a_training_goes_on_by_another_encoder_lr(images, change):
    byol = start(warm_start=True, lr=0.003, encoder_lr=0.001).fit(images)
    byol.set_params(max_epochs=2, **change).fit(images)
    assert byol.encoder_lr_ == change["encoder_lr"]
    assert byol.n_iter_ == 2


def test_checkpoints_know_the_recipe(images, tmp_path):
    settings = {"checkpoint": tmp_path / "here", "max_epochs": 2}
    start(**settings).fit(images)
    start(**settings, transform_precision="auto").fit(images)
    with pytest.raises(ValueError, match=r"encoder_lr is 0\.1 here and 'auto' there"):
        start(**settings, encoder_lr=0.1).fit(images)
    again = start(**settings).fit(images)
    whole = start(max_epochs=2).fit(images)
    np.testing.assert_array_equal(again.transform(images), whole.transform(images))


def test_depthwise_networks_are_no_risk_where_they_are_held(images):
    depthwise = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, groups=6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start(encoder=depthwise, batch_size=24).fit(images)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder_lr": 0},
        {"encoder_lr": -1},
        {"encoder_lr": "fast"},
        {"encoder_mode": "frozen"},
        {"max_epochs": "many"},
        {"max_epochs": -1},
        {"input_size": 0},
        {"input_size": 3.5},
        {"input_size": "large"},
    ],
)
def test_settings_that_are_none_are_errors(images, no_training, change):
    (name,) = change
    with pytest.raises(ValueError, match=f"The '{name}' parameter"):
        start(**change).fit(images)


# Frozen.


def test_no_epochs_are_a_frozen_network(images, no_training):
    byol = start(max_epochs=0).fit(images)
    module, mean = Small().eval(), torch.tensor([0.485, 0.456, 0.406])
    std = torch.tensor([0.229, 0.224, 0.225])
    batch = (torch.from_numpy(images) / 255 - mean) / std
    with torch.no_grad():
        expected = module(batch.movedim(-1, 1)).mean((2, 3)).numpy()
    np.testing.assert_allclose(byol.transform(images), expected, rtol=1e-4, atol=1e-5)


def test_a_frozen_network_is_looked_at_for_one_batch(images):
    shown = []

    class Counting(Small):
        def forward(self, images):
            shown.append(len(images))
            return super().forward(images)

    many = np.concatenate([images] * 10)
    start(encoder=Counting, max_epochs=0, batch_size=24).fit(many)
    # Tried on two images a few times, and one pair of views in two networks.
    assert sum(shown) <= 4 * 24 + 5 * 2


def test_frozen_and_adapted_stand_side_by_side(images):
    union = FeatureUnion(
        [("frozen", start(max_epochs=0)), ("adapted", start(max_epochs=2))]
    )
    rows = clone(union).set_output(transform="default").fit(images).transform(images)
    assert rows.shape == (24, 32)
    np.testing.assert_array_equal(
        rows[:, :16], start(max_epochs=0).fit_transform(images)
    )
    assert not np.allclose(rows[:, :16], rows[:, 16:])


# The size inside the encoder.


@pytest.mark.parametrize("side", [8, 16, 24])
def test_images_are_brought_to_a_size_inside_the_encoder(images, side):
    byol = start(input_size=side, max_epochs=0).fit(images)
    assert byol.input_size_ == side
    assert byol.image_shape_ == (3, 16, 16)
    given = torch.from_numpy(images).movedim(-1, 1) / 255
    size = (side, side)
    larger = F.interpolate(given, size, mode="bilinear", antialias=side < 16)
    itself = start(max_epochs=0).fit(larger.numpy())
    np.testing.assert_allclose(
        byol.transform(images), itself.encoder_(larger).detach(), rtol=1e-4, atol=1e-5
    )
    seen = []

    def note(module, given):
        seen.append(tuple(given[0].shape[2:]))

    byol = start(input_size=side)
    encoder = byol.fit(images).encoder_
    encoder.network.register_forward_pre_hook(note)
    byol.transform(images)
    assert set(seen) == {(side, side)}


@pytest.mark.parametrize("shape", [(3, 16, 24), (3, 24, 16), (1, 10, 30)])
def test_the_shorter_side_counts(shape):
    resized = Resize(20)(torch.rand(2, *shape))
    scale = 20 / min(shape[1:])
    assert resized.shape == (2, shape[0], *(round(s * scale) for s in shape[1:]))
    assert repr(Resize(20)) == "Resize(20)"
    own = torch.rand(2, *shape)
    assert Resize(min(shape[1:]))(own) is own


@pytest.mark.parametrize("encoder", ["auto", "resnet18", Small])
def test_every_encoder_takes_a_size(images, encoder):
    byol = quick(encoder=encoder, input_size=32, readout=2).fit(images)
    assert byol.encoder_.resize.side == 32
    rows = byol.transform(images)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(byol)).transform(images), rows
    )
    own = quick(encoder=encoder, readout=2).fit(images)
    assert own.input_size_ is None
    assert rows.shape == own.transform(images).shape


def test_a_fitted_encoder_keeps_its_size_or_takes_another(images):
    first = quick(input_size=32, readout=1).fit(images)
    same = quick(encoder=first.encoder_, max_epochs=0).fit(images)
    np.testing.assert_allclose(
        same.transform(images), first.transform(images), rtol=1e-5, atol=1e-6
    )
    other = quick(encoder=first.encoder_, max_epochs=0, input_size=20).fit(images)
    assert other.encoder_.resize.side == 20
    assert first.encoder_.resize.side == 32
    plain = quick(readout=1).fit(images)
    larger = quick(encoder=plain.encoder_, input_size=32, max_epochs=0).fit(images)
    assert isinstance(larger.encoder_[0], Resize)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Weights as torchvision has them, in a file."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = torchvision.models.resnet18()
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(network.state_dict(), path)
    return path


def test_small_images_suit_published_weights_by_themselves(images, published):
    settings = {"encoder": "resnet18", "weights": published, "max_epochs": 0}
    byol = quick(**settings).fit(images)
    assert byol.input_size_ == 160
    assert byol.encoder_.network.conv1.kernel_size == (7, 7)
    itself = quick(**settings, input_size=None).fit(images)
    assert itself.input_size_ is None
    large = np.random.default_rng(0).integers(0, 256, (2, 170, 200, 3), np.uint8)
    assert quick(**settings).fit(large).input_size_ is None
    assert quick(encoder="resnet18").fit(images).input_size_ is None


def test_a_stem_for_small_images_is_not_brought_to_another_size(images, tmp_path):
    trained = quick(encoder="resnet18").fit(images)
    torch.save(trained.encoder_.network.state_dict(), tmp_path / "small.pth")
    settings = {"encoder": "resnet18", "max_epochs": 0}
    byol = quick(**settings, weights=tmp_path / "small.pth").fit(images)
    assert byol.input_size_ is None
    assert byol.encoder_.network.conv1.kernel_size == (3, 3)


@pytest.mark.parametrize(
    ("name", "side"),
    [("resnet50", 160), ("vit_b_16", 224), ("swin_t", 224), ("maxvit_t", 224)],
)
def test_what_is_built_for_one_size_gets_it(name, side):
    is_fixed = side == 224 and name != "swin_t"
    assert wanted_size(name) == (side, is_fixed)
    found = EncoderSpecification(name, (3, 300, 300), [0] * 3, [1] * 3, keeps_stem=True)
    assert found.side == (side if is_fixed else None)
    assert replace(found, image_shape=(3, side, side)).side is None


def test_networks_of_timm_say_their_size():
    pytest.importorskip("timm")
    assert wanted_size("timm/resnet18") == (160, False)
    assert wanted_size("timm/vit_tiny_patch16_224") == (224, True)
    assert wanted_size("timm/vit_base_patch16_384") == (384, True)


def test_a_side_that_is_too_small_is_an_error(images, no_training):
    encoder = nn.Sequential(*(nn.Conv2d(3, 3, 5) for _ in range(3)))
    start(encoder=encoder, max_epochs=0).fit(images)
    with pytest.raises(
        ValueError, match=r"3 x 16 x 16.*brought to input_size=8.*larger input_size"
    ):
        start(encoder=encoder, input_size=8).fit(images)


def test_files_of_safetensors_keep_size_and_stem(images, published, tmp_path):
    settings = {"encoder": "resnet18", "max_epochs": 0}
    for size in ("auto", None, 48):
        byol = quick(**settings, weights=published, input_size=size).fit(images)
        path = tmp_path / f"{size}.safetensors"
        byol.to_safetensors(path)
        again = quick(**settings, weights=path).fit(images)
        assert again.input_size_ == byol.input_size_
        np.testing.assert_array_equal(again.transform(images), byol.transform(images))


# Normalisation.

HALVES = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.mark.parametrize(
    ("given", "mean", "std"),
    [
        (HALVES, [0.5] * 3, [0.25] * 3),
        ((0.5, 0.25), [0.5] * 3, [0.25] * 3),
        ([np.float32([0.1, 0.2, 0.3]), 0.5], [0.1, 0.2, 0.3], [0.5] * 3),
        ("imagenet", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("auto", [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ],
)
def test_normalisation_is_stated_for_a_module(images, given, mean, std):
    byol = start(normalization=given).fit(images)
    normalize = byol.encoder_.normalize
    torch.testing.assert_close(normalize.mean.flatten(), torch.tensor(mean))
    torch.testing.assert_close(normalize.std.flatten(), torch.tensor(std))
    clone(byol)
    joblib.hash(byol)


def test_normalisation_is_stated_for_a_file(images, tmp_path):
    torch.save(Small().state_dict(), tmp_path / "weights.pth")
    settings = {"weights": tmp_path / "weights.pth", "max_epochs": 0}
    byol = start(**settings, normalization=HALVES).fit(images)
    assert byol.encoder_.normalize.mean.flatten().tolist() == [0.5] * 3
    random = quick(normalization=HALVES).fit(images)
    assert random.encoder_.normalize.std.flatten().tolist() == [0.25] * 3


@pytest.mark.parametrize(
    "metadata",
    [
        {"mean": "[0.5, 0.5, 0.5]", "std": "[0.25, 0.25, 0.25]"},
        {"mean": "0.5", "std": "[0.25, 0.25, 0.25]"},
        {"image_mean": "[0.5, 0.5, 0.5]", "image_std": "[0.25, 0.25, 0.25]"},
        {"pretrained_cfg": json.dumps({"mean": HALVES[0], "std": HALVES[1]})},
    ],
)
def test_normalisation_is_read_from_a_file(images, tmp_path, metadata):
    path = tmp_path / "weights.safetensors"
    save_file(Small().state_dict(), path, {"format": "pt"} | metadata)
    byol = start(weights=path, max_epochs=0).fit(images)
    assert byol.encoder_.normalize.mean.flatten().tolist() == [0.5] * 3
    assert byol.encoder_.normalize.std.flatten().tolist() == [0.25] * 3
    byol = start(weights=path, max_epochs=0, normalization=(0.1, 0.2)).fit(images)
    torch.testing.assert_close(
        byol.encoder_.normalize.mean.flatten(), torch.tensor([0.1] * 3)
    )


@pytest.mark.parametrize(
    "metadata",
    [
        {"mean": "[0.5, 0.5]", "std": "[0.25, 0.25]"},
        {"mean": "half", "std": "half"},
        {"mean": "0.5, 0.5, 0.5", "std": "0.2, 0.2, 0.2"},
        {"mean": "(0.5, 0.5, 0.5)", "std": "(0.2, 0.2, 0.2)"},
        {"mean": "[127, 127, 127]", "std": "[58, 58, 58]"},
        {"mean": "[0.5, 0.5, 0.5]"},
        {"std": "0.5"},
        {"mean": f"1{'0' * 400}", "std": "0.5"},
        {"mean": "[" * 100_000, "std": "0.5"},
        {"pretrained_cfg": json.dumps({"mean": [1, 2], "std": 3})},
    ],
)
def test_metadata_that_cannot_be_used_are_told(images, tmp_path, metadata):
    path = tmp_path / "weights.safetensors"
    save_file(Small().state_dict(), path, metadata)
    with pytest.warns(
        WeightsWarning, match=r"says (mean|std)=.*are ImageNet's"
    ) as all_:
        byol = start(weights=path, max_epochs=0).fit(images)
    assert len(all_) == 1
    assert byol.encoder_.normalize.mean.flatten().tolist() == pytest.approx(
        [0.485, 0.456, 0.406]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start(weights=path, max_epochs=0, normalization=HALVES).fit(images)


def test_metadata_that_cannot_be_used_are_quoted(images, tmp_path):
    path = tmp_path / "weights.safetensors"
    metadata = {"mean": "(0.5, 0.5)", "std": "[58.4, 57.1, 57.4]"}
    save_file(Small().state_dict(), path, metadata)
    with pytest.warns(WeightsWarning) as caught:
        start(weights=path, max_epochs=0).fit(images)
    text = str(caught[0].message)
    assert "says mean='(0.5, 0.5)' and std=[58.4, 57.1, 57.4] in its metadata" in text
    assert "state others by normalization" in text


def test_a_file_without_tensors_is_an_error(images, tmp_path, no_training):
    save_file({}, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="holds no tensors"):
        start(weights=tmp_path / "weights.safetensors").fit(images)


@pytest.mark.parametrize("encoder", ["auto", "resnet18", Small])
@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_stated_normalisation_goes_before_that_of_an_encoder(
    images, tmp_path, encoder, form
):
    first, path = quick(encoder=encoder).fit(images), tmp_path / f"weights.{form}"
    if form == "pth":
        torch.save(first.encoder_.state_dict(), path)
    else:
        first.to_safetensors(path)
    settings = {"encoder": encoder, "weights": path, "max_epochs": 0}
    own = quick(**settings).fit(images).encoder_
    assert torch.equal(own.normalize.mean, first.encoder_.normalize.mean)
    stated = quick(**settings, normalization=HALVES).fit(images).encoder_
    assert stated.normalize.mean.flatten().tolist() == [0.5] * 3
    assert stated.normalize.std.flatten().tolist() == [0.25] * 3
    for name, weight in stated.network.state_dict().items():
        assert torch.equal(weight, own.network.state_dict()[name]), name


def test_gray_images_go_into_one_channel_or_three(images):
    gray = images[..., 0]
    cases = (3, "auto"), (3, HALVES), (3, (0.5, 0.25)), (1, (0.5, 0.25))
    for n_channels, given in cases:
        byol = start(encoder=Small(n_channels), normalization=given, max_epochs=0)
        assert byol.fit(gray).encoder_.normalize.mean.numel() == n_channels
        assert byol.transform(gray).shape == (24, 16)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (((0.5, 0.5), (0.2, 0.2)), "one for each channel, 3 here"),
        (((0.5, 0.5, 0.5), (0.2, 0.2)), "one for each channel"),
        ((0.5,), "a pair of a mean and a standard deviation"),
        (("a", "b"), "a pair of a mean and a standard deviation"),
        (((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)), "divide what is meant"),
        ((0.5, 0.0), "deviations above 0"),
        ((0.5, float("nan")), "deviations above 0"),
    ],
)
def test_normalisation_that_is_none_is_an_error(images, no_training, given, message):
    with pytest.raises(ValueError, match=f"normalization .*{message}"):
        start(normalization=given).fit(images)


def test_a_fitted_encoder_brings_its_normalisation(images, no_training):
    first = quick(max_epochs=0).fit(images)
    with pytest.raises(ValueError, match="must be 'auto' for an encoder that is"):
        quick(encoder=first.encoder_, normalization=(0.5, 0.5)).fit(images)


# Which network of a file, and where in a module it goes.


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("prefix", ["", "module.backbone."])
def test_weights_go_into_a_module_that_holds_the_network_deeper(
    images, tmp_path, depth, prefix
):
    trained = Small(seed=5)
    torch.save(prefixed(trained.state_dict(), prefix), tmp_path / "weights.pth")
    wrapped = Wrapper(Small(), depth)
    with pytest.warns(WeightsWarning, match=r"\d of \d+ tensors .*gain"):
        byol = start(
            encoder=wrapped, weights=tmp_path / "weights.pth", max_epochs=0
        ).fit(images)
    plain = start(encoder=trained, max_epochs=0).fit(images)
    np.testing.assert_array_equal(byol.transform(images), plain.transform(images))


TWO = {
    "solo-learn": ({"state_dict": ("backbone.", "momentum_backbone.")}),
    "lightly": ({"state_dict": ("model.backbone.", "model.backbone_momentum.")}),
    "DINO": {"teacher": ("backbone.",), "student": ("backbone.",)},
    "torchvision": {"model": ("",), "model_ema": ("module.",)},
    "timm": {"state_dict": ("",), "state_dict_ema": ("",)},
    "a user's": {"ours": ("net.",), "average": ("net.",)},
}


@pytest.mark.parametrize("form", TWO)
def test_two_networks_in_a_file_are_named_and_chosen(images, tmp_path, form):
    networks, content, path = [], {}, tmp_path / "weights.pth"
    for key, prefixes in TWO[form].items():
        content[key] = {}
        for prefix in prefixes:
            networks.append(Small(seed=len(networks) + 1))
            content[key] |= prefixed(networks[-1].state_dict(), prefix)
    torch.save(content, path)
    with pytest.warns(WeightsWarning, match="several networks") as caught:
        byol = start(weights=path, max_epochs=0).fit(images)
    text = str(caught[0].message)
    first, second = re.findall(r"'([\w.]+\.)'", text)[:2]
    assert f"weights=({str(path)!r}, {second!r})" in text
    for prefix, network in zip((first, second), networks, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            byol = start(weights=(path, prefix), max_epochs=0).fit(images)
        assert torch.equal(byol.encoder_.network.first.weight, network.first.weight)
        np.testing.assert_array_equal(
            pickle.loads(pickle.dumps(byol)).transform(images), byol.transform(images)
        )


def test_an_average_without_counts_of_batches_is_named_too(images, tmp_path):
    state, average = Small(seed=1).state_dict(), Small(seed=2).state_dict()
    average.pop("norm.num_batches_tracked")
    both = prefixed(state, "net.") | prefixed(average, "ema.")
    torch.save(both, tmp_path / "weights.pth")
    with pytest.warns(WeightsWarning, match=r"several networks .*'net\.', 'ema\.'"):
        start(weights=tmp_path / "weights.pth", max_epochs=0).fit(images)


class Two(nn.Module):
    """Holds a network beside a head that is larger."""

    def __init__(self, network):
        super().__init__()
        self.net = network
        self.head = nn.Sequential(nn.Conv2d(16, 80, 1), nn.Conv2d(80, 16, 1))

    def forward(self, images):
        return self.head(self.net(images))


def test_weights_go_beside_a_head_that_is_larger(images, tmp_path):
    trained = Small(seed=5)
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    with pytest.warns(WeightsWarning, match=r"begin at random: network\.head"):
        byol = start(
            encoder=Two(Small()), weights=tmp_path / "weights.pth", max_epochs=0
        ).fit(images)
    assert torch.equal(byol.encoder_.network.net.first.weight, trained.first.weight)


class Many(nn.Module):
    """Holds a network and a head of nearly all of its values."""

    def __init__(self, network, n_outputs=512):
        super().__init__()
        self.net = network
        self.head = nn.Sequential(nn.Linear(512, 4096), nn.Linear(4096, n_outputs))

    def forward(self, images):
        return self.head(self.net(images))


@pytest.mark.filterwarnings("ignore::sklearn_byol.EncoderWarning")
def test_weights_go_beside_a_head_of_nearly_all_values(images, published):
    network = torchvision.models.resnet18()
    network.fc = nn.Identity()
    module = Many(network, n_outputs=12_000)
    with pytest.warns(
        WeightsWarning,
        match=r"4 of 104 .*network\.head\.0\.weight.*"
        r"network\.head\.1, the last layer by name, begins.*torch\.nn\.Identity",
    ):
        byol = start(
            encoder=module, weights=published, max_epochs=0, input_size=None
        ).fit(images)
    first = torch.load(published, weights_only=True)["conv1.weight"]
    assert torch.equal(byol.encoder_.network.net.conv1.weight, first)


@pytest.mark.filterwarnings("ignore::sklearn_byol.EncoderWarning")
def test_layers_that_do_not_correspond_are_not_compared(images, published):
    other = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 512, 3), nn.Flatten(2))
    module = Wrapper(nn.Sequential(*other, nn.AdaptiveAvgPool1d(1), nn.Flatten()))
    with pytest.raises(ValueError, match="does not fit the encoder") as caught:
        start(encoder=module, weights=published).fit(images)
    assert "has the shape" not in str(caught.value)
    network = torchvision.models.densenet121()
    with pytest.raises(ValueError, match=r"features\.conv0\.weight is not there"):
        start(encoder=network, weights=published, input_size=32).fit(images)


@pytest.mark.filterwarnings("ignore::sklearn_byol.EncoderWarning")
def test_a_last_layer_that_begins_at_random_is_named(images, published):
    module = Wrapper(torchvision.models.resnet18(num_classes=10))
    with pytest.warns(
        WeightsWarning,
        match=r"fc\.weight has the shape \(1000, 512\) .*network\.net\.fc, the last "
        r"layer by name, begins at random.*out of a random layer.*torch\.nn\.Identity",
    ):
        start(encoder=module, weights=published, max_epochs=0, input_size=None).fit(
            images
        )


def test_statistics_alone_are_no_network(images, tmp_path, no_training):
    quick(max_epochs=0).fit(images).to_safetensors(tmp_path / "auto.safetensors")
    with pytest.raises(ValueError, match=r"conv1\.weight is not there"):
        quick(encoder="resnet18", weights=tmp_path / "auto.safetensors").fit(images)


def test_two_networks_that_are_the_same_need_no_choice(images, tmp_path):
    state = Small(seed=5).state_dict()
    both = prefixed(state, "online.") | prefixed(state, "target.")
    torch.save(both, tmp_path / "weights.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start(weights=tmp_path / "weights.pth", max_epochs=0).fit(images)


@pytest.mark.parametrize(
    "weights", [("a.pth",), ("a.pth", 3), ("a.pth", "b", "c"), ("pretrained", "b")]
)
def test_a_pair_that_is_none_is_an_error(images, no_training, weights):
    with pytest.raises(ValueError, match="a pair of the path of a file and a prefix"):
        start(weights=weights).fit(images)


@pytest.mark.parametrize(
    ("prefixes", "named"),
    [
        (("online.", "target."), "'online.', 'target.'"),
        (("model.a.", "model.b."), "'model.', 'model.a.', 'model.b.'"),
        (("net.",), "'net.', 'net.first.', 'net.norm.', 'net.second.'"),
    ],
)
def test_a_prefix_that_is_not_there_is_an_error(
    images, tmp_path, no_training, prefixes, named
):
    path, state = tmp_path / "weights.pth", Small().state_dict()
    torch.save({k: v for p in prefixes for k, v in prefixed(state, p).items()}, path)
    with pytest.raises(
        ValueError, match=rf"begins with 'nothing\.'.*prefixes in it are {named}\."
    ):
        start(weights=(path, "nothing.")).fit(images)


@pytest.mark.parametrize("prefix", ["target_encoder.net.", "target_encoder.", "target"])
def test_a_prefix_chooses_by_the_beginning_of_names(images, tmp_path, prefix):
    online, target = Small(seed=1), Small(seed=2)
    both = prefixed(online.state_dict(), "online_encoder.net.")
    both |= prefixed(target.state_dict(), "target_encoder.net.")
    torch.save(both, tmp_path / "weights.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        byol = start(weights=(tmp_path / "weights.pth", prefix), max_epochs=0)
        encoder = byol.fit(images).encoder_
    assert torch.equal(encoder.network.first.weight, target.first.weight)


@pytest.mark.parametrize("prefix", ["net.", "net.average."])
def test_a_prefix_that_others_begin_with_is_meant_itself(images, tmp_path, prefix):
    networks = {"net.": Small(seed=1), "net.average.": Small(seed=2)}
    states = [prefixed(networks[begin].state_dict(), begin) for begin in networks]
    states[0].pop("net.norm.num_batches_tracked")
    torch.save(states[0] | states[1], tmp_path / "weights.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        byol = start(weights=(tmp_path / "weights.pth", prefix), max_epochs=0)
        encoder = byol.fit(images).encoder_
    assert torch.equal(encoder.network.first.weight, networks[prefix].first.weight)


@pytest.mark.parametrize(
    "settings",
    [{}, {"input_size": 20}, {"encoder": "resnet18"}, {"encoder": Small}],
    ids=str,
)
def test_a_checkpoint_of_ours_is_a_file_of_two_networks(images, tmp_path, settings):
    byol = quick(**settings, checkpoint=tmp_path / "here", max_epochs=2).fit(images)
    (*_, path) = sorted((tmp_path / "here").glob("*.checkpoint"))
    content = torch.load(path, weights_only=True)["state"]["network"]
    with pytest.warns(WeightsWarning, match=r"several networks .*'encoder\.', 'target"):
        again = quick(**settings, weights=path, max_epochs=0).fit(images)
    np.testing.assert_array_equal(again.transform(images), byol.transform(images))
    for prefix, begin in {"encoder.": "encoder.", "target.": "target.0."}.items():
        chosen = quick(**settings, weights=(path, prefix), max_epochs=0).fit(images)
        kept = {k: v for k, v in content.items() if k.startswith(begin)}
        for name, own in chosen.encoder_.state_dict().items():
            if not name.startswith("scale."):
                assert torch.equal(kept.pop(begin + name), own)
        assert not any(".network." in name for name in kept)


def test_only_prefixes_that_can_matter_are_tried(tmp_path, monkeypatch):
    tried, usual = [], _weights._match

    def noted(found, used, own, prefix):
        tried.append(prefix)
        return usual(found, used, own, prefix)

    monkeypatch.setattr(_weights, "_match", noted)
    network = torchvision.models.densenet121()
    torch.save(prefixed(network.state_dict(), "module."), tmp_path / "weights.pth")
    given = EncoderSpecification("densenet121", (3, 32, 32), [0.5] * 3, [0.5] * 3)
    _, match = pretrained_start(given, tmp_path / "weights.pth")
    assert not match.missing
    assert len(tried) < 30  # of some hundreds


# What it is computed in.


def test_bfloat16_is_not_taken_where_gradients_are_none(monkeypatch):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False
    )
    cpu, shape = torch.device("cpu"), (3, 16, 16)
    small = nn.Sequential(
        *(nn.Conv2d(3, 3, 3, stride=2, padding=1) for _ in range(5)), nn.Flatten()
    )
    assert sees_single_pixels(small, shape)
    assert not sees_single_pixels(small, (3, 64, 64))
    resolve = _device.resolve_precision
    assert resolve("auto", cpu, shape, small) == torch.float32
    assert resolve("auto", cpu, (3, 64, 64), small) == torch.bfloat16
    with pytest.raises(ValueError, match="maps of a single pixel"):
        resolve("bfloat16", cpu, shape, small)
    depthwise = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.Flatten())
    assert resolve("auto", cpu, shape, depthwise) == torch.float32
    assert resolve("bfloat16", cpu, shape, depthwise) == torch.bfloat16


def test_resnet18_on_small_images_trains_to_the_same_bits(images):
    settings = {"encoder": "resnet18", "input_size": None, "max_epochs": 2}
    rows = [quick(**settings).fit_transform(images) for _ in range(2)]
    np.testing.assert_array_equal(*rows)


# The classifier.


def test_the_classifier_begins_with_weights(images):
    y = np.arange(24) % 2
    byol = start(max_epochs=0, input_size=24)
    clf = BYOLClassifier(byol, max_epochs=2, random_state=0).fit(images, y)
    assert clf.byol_.input_size_ == 24
    assert clf.predict(images).shape == (24,)
    norm = clf.encoder_.network.norm
    assert torch.equal(norm.running_mean, Small().norm.running_mean)


# What transform is computed in.


class Cancelling(nn.Module):
    """Subtracts two numbers that bfloat16 can hardly tell apart."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(48, 16, bias=False)
        self.same = nn.Linear(48, 16, bias=False)
        with torch.no_grad():
            self.same.weight.copy_(self.layer.weight * 1.001)

    def forward(self, images):
        rows = images.flatten(1)[:, :48]
        return self.same(rows) - self.layer(rows)


def has_bfloat16(monkeypatch):
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False
    )


@pytest.mark.parametrize(("encoder", "is_lower"), [("auto", True), (Cancelling, False)])
def test_transform_is_faster_where_rows_stay_the_same(
    images, monkeypatch, encoder, is_lower
):
    byol = quick(encoder=encoder, precision="float32").fit(images)
    exact = byol.transform(images)
    has_bfloat16(monkeypatch)
    np.testing.assert_array_equal(byol.transform(images), exact)
    rows = byol.set_params(transform_precision="auto").transform(images)
    far = np.linalg.norm(rows - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert far.max() <= 0.01
    assert (far.max() > 0) == is_lower
    assert rows.dtype == np.float32
    forced = byol.set_params(transform_precision="bfloat16").transform(images)
    assert not np.array_equal(forced, exact)
    with pytest.raises(ValueError, match="transform_precision must be"):
        byol.set_params(transform_precision="half").transform(images)


# How far it goes.


def test_an_encoder_stays_near_what_it_knew(images):
    settings = {"lr": 0.02, "encoder_lr": 0.02, "max_epochs": 3}
    free = start(**settings, min_similarity=0).fit(images)
    assert free.trained_share_ == 1
    near = start(**settings, min_similarity=0.9).fit(images)
    share = near.trained_share_
    assert 0 < share < 1
    first = start(max_epochs=0).fit(images)
    rows = [byol.transform(images) for byol in (first, free, near)]
    assert similarity(rows[0], rows[1]) < 0.9 <= similarity(rows[0], rows[2])
    for own, begun, trained in zip(
        *(byol.encoder_.parameters() for byol in (near, first, free)), strict=True
    ):
        torch.testing.assert_close(own, torch.lerp(begun, trained, share))
    with pytest.warns(WeightsWarning, match="Nothing of the training is kept"):
        held = start(**settings, min_similarity=1).fit(images)
    assert held.trained_share_ == 0
    np.testing.assert_array_equal(held.transform(images), rows[0])


def test_what_stays_similar_goes_all_the_way(images):
    byol = start(max_epochs=2).fit(images)
    assert byol.trained_share_ == 1
    assert not np.array_equal(
        byol.transform(images), start(max_epochs=0).fit_transform(images)
    )
    assert quick().fit(images).trained_share_ == 1


def test_going_on_measures_from_the_first_weights(images, tmp_path):
    settings = {"lr": 0.02, "encoder_lr": 0.02, "min_similarity": 0.9}
    whole = start(**settings, max_epochs=4).fit(images)
    first = start(max_epochs=0).fit_transform(images)
    byol = start(**settings, max_epochs=2, warm_start=True).fit(images)
    for n_epochs in (3, 4):
        byol = pickle.loads(pickle.dumps(byol))
        byol.set_params(max_epochs=n_epochs).fit(images)
        assert similarity(first, byol.transform(images)) >= 0.9
    # The state that is gone on with is that of the training, not the averaged one.
    assert byol.history_["loss"][0] == whole.history_["loss"][0]
    kept = byol._state["network"]["encoder.network.first.weight"]
    assert not np.allclose(kept, byol.encoder_.network.first.weight.detach())
    folder = {"checkpoint": tmp_path / "here"}
    once = start(**settings, **folder, max_epochs=4).fit(images)
    found = start(**settings, **folder, max_epochs=4).fit(images)
    for again in (once, found):
        np.testing.assert_array_equal(again.transform(images), whole.transform(images))
    partial = start(**settings).partial_fit(images)
    for _ in range(3):
        partial.partial_fit(images)
    assert similarity(first, partial.transform(images)) >= 0.9


def test_similarity_is_kornblith_s_without_bias():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 50)).astype(np.float32)
    turned = rows @ np.linalg.qr(rng.normal(size=(50, 50)))[0].astype(np.float32)
    assert similarity(rows, 3 * turned + 1) == pytest.approx(1, abs=1e-4)
    other = rng.normal(size=(200, 900)).astype(np.float32)
    assert abs(similarity(rows, other)) < 0.05  # 0.6 with the bias
    half = np.hstack([rows, other[:, :50]])
    assert similarity(rows, half) == pytest.approx(0.5**0.5, abs=0.05)
    assert similarity(0 * rows, other) == 1
    assert similarity(rows, 0 * rows) == 0


def test_views_are_mild_where_much_is_known(images):
    assert start().fit(images).views_.preset == "mild"
    assert start(views="natural").fit(images).views_.preset == "natural"
    assert quick().fit(images).views_.preset == "natural"
    pair = start(views=("auto", "safe")).fit(images).views_
    assert [one.preset for one in pair] == ["mild", "safe"]
    small = images[:, :8, :8]
    assert start().fit(small).views_.preset == "mild"
    assert start(encoder=Small(1)).fit(small[..., 0]).views_.preset == "digits"


def test_too_few_images_to_compare_are_said(images):
    settings = {"lr": 0.02, "encoder_lr": 0.03, "max_epochs": 9, "min_similarity": 0.99}
    for n_images in (3, 7):
        with pytest.warns(WeightsWarning, match=f"{n_images} images are too few"):
            byol = start(**settings).fit(images[:n_images])
        assert byol.trained_share_ == 1
    with pytest.warns(WeightsWarning, match="as far as 8 images tell"):
        byol = start(**settings).fit(images[:8])
    assert byol.trained_share_ == 0


def test_similarity_asked_for_later_is_to_the_first_weights(images):
    settings = {"lr": 0.02, "encoder_lr": 0.03, "warm_start": True}
    byol = start(**settings, max_epochs=5, min_similarity=0).fit(images)
    assert byol.trained_share_ == 1
    byol.set_params(max_epochs=6, min_similarity=0.9).fit(images)
    assert byol.trained_share_ < 1
    first = start(max_epochs=0).fit_transform(images)
    assert similarity(first, byol.transform(images)) >= 0.9
    # From scratch first weights are not kept: those that the call finds count.
    byol = quick(**settings, encoder=Small(), max_epochs=1).fit(images)
    rows = byol.transform(images)
    byol.set_params(max_epochs=6, min_similarity=0.9).fit(images)
    assert similarity(rows, byol.transform(images)) >= 0.9


# What surrounds it.


def test_strengths_of_views_are_mild_too(images):
    views = RandomViews(hue=0.05)
    byol = start(views=views, max_epochs=0).fit(images)
    assert (byol.views_.preset, byol.views_.hue) == ("mild", 0.05)
    assert views.preset == "auto"
    strong = start(views=RandomViews("natural"), max_epochs=0).fit(images)
    assert strong.views_.preset == "natural"
    assert quick(views=views).fit(images).views_.preset == "natural"


def test_an_encoder_that_was_fitted_keeps_its_size(images):
    first = start(input_size=24, max_epochs=0).fit(images)
    same = quick(encoder=first.encoder_, max_epochs=0).fit(images)
    assert same.input_size_ == 24
    np.testing.assert_array_equal(same.transform(images), first.transform(images))
    left = quick(encoder=first.encoder_, input_size=None, max_epochs=0).fit(images)
    assert left.input_size_ is None
    np.testing.assert_allclose(
        left.transform(images), start(max_epochs=0).fit_transform(images), rtol=1e-5
    )


def test_a_file_of_an_encoder_that_was_taken_over_says_its_size(images, tmp_path):
    first = start(input_size=24, max_epochs=0).fit(images)
    second = quick(encoder=first.encoder_, max_epochs=0).fit(images)
    second.to_safetensors(tmp_path / "second.safetensors")
    with safe_open(tmp_path / "second.safetensors", "pt") as file:
        said = file.metadata()
    assert (said["input_size"], said["keeps_stem"]) == ("24", "null")


def test_what_was_saved_before_sizes_leaves_images_as_they_are(images, tmp_path):
    settings = {"encoder": "resnet18", "input_size": None, "max_epochs": 0}
    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), tmp_path / "resnet18.pth")
    byol = quick(**settings, weights=tmp_path / "resnet18.pth").fit(images)
    state = byol.__getstate__()
    state["_specification"].pop("input_size")
    state.pop("_digest")
    state["_digest"] = _saving.digest_of(state)
    again = BYOLTransformer.__new__(BYOLTransformer)
    again.__setstate__(state)
    assert next(again.encoder_.named_children())[0] == "normalize"
    np.testing.assert_array_equal(again.transform(images), byol.transform(images))


def test_a_convolution_may_be_called_by_keyword(images):
    class ByKeyword(Small):
        def forward(self, images):
            return self.second(input=self.norm(self.first(input=images)))

    rows = quick(encoder=ByKeyword()).fit_transform(images)
    assert rows.shape == (len(images), 16)


@pytest.mark.parametrize(
    ("shape", "inside", "largest"),
    [((4, 16), 256, 256 * 1024), ((512, 1024), 16, 512 * 1024)],
)
def test_images_at_once_are_as_many_as_the_larger_size_allows(shape, inside, largest):
    seen = []

    class Noted(Small):
        def forward(self, images):
            seen.append(len(images))
            return super().forward(images)

    X = np.zeros((20, *shape), np.uint8)
    X[::2] = 255
    byol = quick(encoder=Noted(1), input_size=inside, max_epochs=0).fit(X[:8])
    seen.clear()
    byol.transform(X)
    assert max(seen) == 2**22 // largest


@pytest.mark.filterwarnings("ignore::sklearn_byol.EncoderWarning")
def test_an_optimizer_that_mixes_the_groups_is_an_error(images):
    def mixes(params, lr, weight_decay):
        return torch.optim.SGD([p for group in params for p in group["params"]], lr)

    with pytest.raises(ValueError, match=r"must keep the groups .* encoder_lr=0.006"):
        start(optimizer=mixes, lr=0.1, encoder_lr=0.006).fit(images)
    start(optimizer=mixes, lr=0.1, encoder_lr=0.1).fit(images)

    def keeps(params, lr, weight_decay):
        return torch.optim.SGD(params, lr)

    frozen = Small().requires_grad_(False)
    start(encoder=frozen, optimizer=keeps, lr=0.1, encoder_lr=0.006).fit(images)


def test_float16_that_overflows_is_an_error(images):
    class Large(Small):
        def forward(self, images):
            return 1e4 * super().forward(1e4 * images)

    byol = quick(encoder=Large(), max_epochs=0).fit(images)
    assert np.isfinite(byol.transform(images)).all()
    byol.set_params(transform_precision="float16")
    with pytest.raises(ValueError, match="beyond its range"):
        byol.transform(images)

    class Broken(Small):
        factor = 1.0

        def forward(self, images):
            return super().forward(images) * self.factor

    byol = quick(encoder=Broken(), max_epochs=0).fit(images)
    byol.encoder_.network.factor = torch.nan
    for precision in ("float32", "float16"):  # not of the precision
        byol.set_params(transform_precision=precision)
        assert np.isnan(byol.transform(images)).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("111", "must be a str among|'normalization' parameter"),
        (("111", "111"), "must be a pair"),
        ((np.array(0.5),), "must be a pair"),
        (((0.5,) * 3, (0.5, 0.5, "1")), "must be a pair"),
        (0.5, "'normalization' parameter"),
    ],
)
def test_normalization_is_of_numbers(images, given, message):
    with pytest.raises(ValueError, match=message):
        start(normalization=given).fit(images)


def test_normalization_takes_arrays_and_small_deviations(images):
    byol = start(normalization=np.array([[0.5] * 3, [5e-4] * 3]), max_epochs=0)
    normalize = clone(byol).fit(images).encoder_.normalize
    np.testing.assert_allclose(normalize.std.flatten(), 5e-4)
    np.testing.assert_allclose(normalize.mean.flatten(), 0.5)
    for pair in (
        (np.array(0.5), np.float32(0.25)),
        (torch.full((3,), 0.5), torch.full((3, 1, 1), 0.25)),
    ):
        normalize = clone(byol).set_params(normalization=pair).fit(images).encoder_[0]
        np.testing.assert_allclose(normalize.mean.flatten(), [0.5] * 3)
        np.testing.assert_allclose(normalize.std.flatten(), [0.25] * 3)
    bands = np.concatenate([images, images[..., :1]], axis=3)
    with pytest.raises(ValueError, match="is of three channels, and images have 4"):
        start(encoder=Small(4), normalization="imagenet").fit(bands)


@pytest.mark.parametrize("size", [0, 4097, 10**6, "large"])
def test_a_size_is_of_pixels(images, size):
    with pytest.raises(ValueError, match="'input_size' parameter"):
        start(input_size=size).fit(images)


class Counted(torch.utils.data.Dataset):
    """Images that count how often they are asked for."""

    n_read = 0

    def __len__(self):
        return 12

    def __getitem__(self, index):
        Counted.n_read += 1
        return torch.full((3, 16, 16), 0.1 * (index % 7))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weights": "nothere.pth"}, "is no file"),
        ({"weights": ("nothere.pth", "net.")}, "is no file"),
        ({"weights": "."}, "is no file"),
        ({"weights": ("a",)}, "a pair of the path"),
        ({"encoder": "auto"}, "needs an encoder with published weights"),
        ({"normalization": (0.5,)}, "must be a pair"),
        ({"normalization": ((0.5, 0.5), (0.5,) * 3)}, "must be a pair"),
        ({"normalization": ((100.0,) * 3, (50.0,) * 3)}, "divide what is meant"),
    ],
    ids=str,
)
@pytest.mark.parametrize("folder", [None, "here"])
def test_what_cannot_be_is_said_before_images_are_read(
    given, message, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Counted.n_read = 0
    with pytest.raises(ValueError, match=message):
        start(**given, checkpoint=folder).fit(Counted())
    assert Counted.n_read == 0
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("side", [28, 250, 256])
def test_a_file_of_a_transformer_is_brought_to_its_size(side, tmp_path):
    network = torchvision.models.vit_b_32()
    torch.save(network.state_dict(), tmp_path / "vit.pth")
    settings = {"weights": tmp_path / "vit.pth", "max_epochs": 0}
    X = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    assert quick(encoder="vit_b_32", **settings).fit(X).input_size_ == 224


@pytest.mark.filterwarnings("ignore::sklearn_byol.EncoderWarning")
def test_a_network_with_much_behind_it_takes_its_file(images, tmp_path):
    resnet = torchvision.models.resnet18()
    torch.save(resnet.state_dict(), tmp_path / "resnet18.pth")

    class Hybrid(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = resnet.conv1, resnet.bn1
            self.layer1 = resnet.layer1
            self.more = nn.ModuleList(nn.Linear(64, 64) for _ in range(60))

        def forward(self, images):
            rows = self.layer1(self.bn1(self.conv1(images))).mean((2, 3))
            for layer in self.more:
                rows = layer(rows)
            return rows

    with pytest.warns(WeightsWarning, match="begin at random"):
        byol = quick(
            encoder=Hybrid(), weights=tmp_path / "resnet18.pth", max_epochs=0
        ).fit(images)
    assert torch.equal(byol.encoder_.network.conv1.weight, resnet.conv1.weight)


def test_names_of_densenets_are_theirs_alone(images, tmp_path):
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.denselayer1 = nn.Module()
            self.denselayer1.conv = nn.ModuleDict(
                {"1": nn.Conv2d(3, 4, 3), "2": nn.Conv2d(4, 8, 3)}
            )

        def forward(self, images):
            for layer in self.denselayer1.conv.values():
                images = layer(images)
            return images

    network = Dense()
    torch.save(network.state_dict(), tmp_path / "dense.pth")
    byol = quick(encoder=Dense(), weights=tmp_path / "dense.pth", max_epochs=0)
    byol.fit(images)
    for name, weight in network.state_dict().items():
        assert torch.equal(byol.encoder_.network.state_dict()[name], weight)
