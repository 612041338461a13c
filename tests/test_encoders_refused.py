"""An encoder that cannot take images is refused: which layer, why, and what to do.

Torch's own words are the cause of such an error, and no part of it.
"""

import contextlib

import pytest
import torch
from torch import nn

from sklearn_byol.networks._encoders import (
    EncoderSpecification,
    check_view_shape,
    representation_dim,
)
from sklearn_byol.networks._layers import in_code, in_words, watched
from tests.conftest import tiny

SHAPE = (1, 8, 8)
FLATTEN, POOL = "torch.nn.Flatten()", "torch.nn.AdaptiveAvgPool2d(1)"


def error_of(encoder, shape=SHAPE):
    """Return what an encoder is refused with."""
    mean = [0.5] * shape[0]
    built = EncoderSpecification(encoder, shape, mean, mean).build()
    with pytest.raises(ValueError, match=r"^encoder ") as caught:
        representation_dim(built, shape)
    return caught.value


def conv(n_channels, *, of=1, size=3):
    return nn.Conv2d(of, n_channels, size)


class Own(nn.Module):
    """A module of a user's, as they are written."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([conv(4)])
        self.fc = nn.Linear(100, 10)

    def forward(self, images):
        return self.fc(self.blocks[0](images).flatten(1))


class Particular(nn.Module):
    """Says by itself what it cannot take."""

    def forward(self, images):
        raise ValueError("I want a square of 7 pixels.")


class OfFunctions(nn.Module):
    """Has no layers."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(16, 4))

    def forward(self, images):
        return images.flatten(1) @ self.weight


class Catching(nn.Module):
    """Goes on behind a layer that raises, and has another that raises."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(5, 4)

    def forward(self, images):
        try:
            return self.first(images)
        except RuntimeError:
            return self.second(images.flatten(1))


# The encoder, what its error begins with behind the shape, and what it ends with.
REFUSED = {
    "only_a_linear": (
        nn.Linear(64, 32),
        "Linear(in_features=64, out_features=32) takes vectors of 64 values and was "
        "given images of 1 x 8 x 8.",
        f"Put {FLATTEN} before it.",
    ),
    "linear_of_other_images": (
        nn.Sequential(nn.Linear(784, 32), nn.ReLU()),
        "encoder[0], Linear(in_features=784, out_features=32), takes vectors of 784 ",
        f"Put {FLATTEN} before it and give it in_features=64.",
    ),
    "linear_behind_maps": (
        nn.Sequential(conv(4), nn.ReLU(), nn.Linear(4, 8)),
        "encoder[2], Linear(in_features=4, out_features=8), takes vectors of 4 values "
        "and was given maps of 4 x 6 x 6.",
        f"Put {POOL} and {FLATTEN} before it.",
    ),
    "linear_of_all_of_a_map": (
        nn.Sequential(conv(4), nn.Linear(144, 8)),
        "encoder[1], Linear(in_features=144, out_features=8), takes vectors of 144 ",
        f"Put {FLATTEN} before it.",
    ),
    "linear_of_other_maps": (
        nn.Sequential(conv(4), nn.Linear(9, 8)),
        "encoder[1], Linear(in_features=9, out_features=8), takes vectors of 9 values",
        f"Put {POOL} and {FLATTEN} before it and give it in_features=4.",
    ),
    "linear_of_other_vectors": (
        Own(),
        "encoder.fc, Linear(in_features=100, out_features=10), takes vectors of 100 "
        "values and was given vectors of 144 values.",
        "Give it in_features=144, or bring images to the size that it was made for, by "
        "input_size or before.",
    ),
    "what_a_function_returns": (
        Own,
        "encoder.fc, Linear(in_features=100, out_features=10), takes vectors of 100 ",
        "by input_size or before.",
    ),
    "convolution_of_colours": (
        nn.Sequential(conv(4, of=3), nn.Flatten()),
        "encoder[0], Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1)), takes images "
        "with 3 channels and was given images of 1 x 8 x 8.",
        "Give it in_channels=1, or pass images with 3 channels.",
    ),
    "convolution_of_other_maps": (
        nn.Sequential(conv(4), nn.Sequential(conv(2, of=8))),
        "encoder[1][0], Conv2d(8, 2, kernel_size=(3, 3), stride=(1, 1)), takes maps "
        "with 8 channels and was given maps of 4 x 6 x 6.",
        "Give it in_channels=4.",
    ),
    "convolution_behind_vectors": (
        nn.Sequential(nn.Flatten(), conv(4)),
        "encoder[1], Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1)), takes maps with "
        "1 channel and was given vectors of 64 values.",
        "Put a layer before it that gives it what it takes, pass larger images, or "
        "choose another encoder.",
    ),
    "convolution_of_sequences": (
        nn.Conv1d(1, 4, 3),
        "Conv1d(1, 4, kernel_size=(3,), stride=(1,)) takes sequences with 1 channel ",
        "Take torch.nn.Conv2d instead.",
    ),
    "transposed_convolution_of_volumes": (
        nn.ConvTranspose3d(1, 4, 3),
        "ConvTranspose3d(1, 4, kernel_size=(3, 3, 3), stride=(1, 1, 1)) takes volumes ",
        "Take torch.nn.ConvTranspose2d instead.",
    ),
    "convolution_of_larger_images": (
        nn.Sequential(conv(4), nn.MaxPool2d(4), conv(4, of=4)),
        "encoder[2], Conv2d(4, 4, kernel_size=(3, 3), stride=(1, 1)), has a window of "
        "3x3 and was given maps of 4 x 1 x 1.",
        "Pass larger images or a larger input_size, or choose another encoder.",
    ),
    "dilated_convolution_of_larger_images": (
        nn.Conv2d(1, 4, 3, dilation=4),
        "Conv2d(1, 4, kernel_size=(3, 3), stride=(1, 1), dilation=(4, 4)) has a window",
        "or choose another encoder.",
    ),
    "pool_of_larger_images": (
        nn.Sequential(conv(4), nn.MaxPool2d(8)),
        "encoder[1], MaxPool2d(kernel_size=8, stride=8), has a window of 8x8 and was ",
        "Pass larger images or a larger input_size, or choose another encoder.",
    ),
    "norm_of_other_maps": (
        nn.Sequential(conv(4), nn.BatchNorm2d(8)),
        "encoder[1], BatchNorm2d(8), takes 8 channels and was given maps of 4 x 6 x 6.",
        "Give it num_features=4.",
    ),
    "norm_of_vectors": (
        nn.Sequential(conv(4), nn.BatchNorm1d(4)),
        "encoder[1], BatchNorm1d(4), takes vectors or sequences and was given maps of ",
        "Take torch.nn.BatchNorm2d(4) instead.",
    ),
    "norm_of_maps": (
        nn.Sequential(nn.Flatten(), nn.BatchNorm2d(64)),
        "encoder[1], BatchNorm2d(64), takes maps and was given vectors of 64 values.",
        "Take torch.nn.BatchNorm1d(64) instead.",
    ),
    "norm_of_groups": (
        nn.Sequential(conv(4), nn.GroupNorm(2, 8)),
        "encoder[1], GroupNorm(2, 8), takes 8 channels and was given maps of 4 x 6 x 6",
        "Give it num_channels=4.",
    ),
    "norm_of_other_vectors": (
        nn.Sequential(nn.Flatten(), nn.LayerNorm(32)),
        "encoder[1], LayerNorm((32,), elementwise_affine=True), takes last axes of 32 ",
        "Give it normalized_shape=(64,).",
    ),
    "doubles": (
        nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).double(),
        "encoder[1], Linear(in_features=64, out_features=4), has weights of "
        "torch.float64 and was given torch.float32.",
        "Pass encoder.float().",
    ),
    "layer_that_is_not_known_here": (
        nn.Sequential(conv(4), nn.Unflatten(1, (3, 3))),
        "encoder[1], Unflatten(dim=1, unflattened_size=(3, 3)), refuses maps of 4 x 6 "
        "x 6, as its own error above says.",
        "choose another encoder.",
    ),
    "layer_of_several_tensors": (
        nn.MultiheadAttention(8, 2),
        "MultiheadAttention refuses images of 1 x 8 x 8, as its own error above says.",
        "choose another encoder.",
    ),
    "layer_behind_one_that_may_raise": (
        Catching(),
        "encoder.second, Linear(in_features=5, out_features=4), takes vectors of 5 ",
        "by input_size or before.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_layer_that_refuses_is_named_with_what_to_do(name):
    encoder, beginning, end = REFUSED[name]
    text = str(error_of(encoder))
    shape = "float32 images of shape 1 x 8 x 8 (n_channels x height x width)"
    assert text.startswith(f"encoder cannot take {shape}: {beginning}")
    assert text.endswith(end)


@pytest.mark.parametrize("name", REFUSED)
def test_the_words_of_torch_are_the_cause_only(name):
    error = error_of(REFUSED[name][0])
    assert isinstance(error.__cause__, (RuntimeError, ValueError, TypeError))
    assert str(error.__cause__) not in str(error)


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (
            Particular(),
            "I want a square of 7 pixels (raised by Particular, given images of 1 x 8 "
            "x 8). Choose an encoder",
        ),
        (
            nn.Sequential(conv(4), Particular()),
            "I want a square of 7 pixels (raised by encoder[1], Particular, given maps "
            "of 4 x 6 x 6). Choose an encoder",
        ),
        (OfFunctions(), "(2x64 and 16x4) (raised by OfFunctions, given images of"),
    ],
)
def test_a_module_of_the_users_own_says_it_in_its_words(encoder, words):
    assert words in str(error_of(encoder))


def test_a_module_whose_calls_cannot_be_seen_says_it_in_its_words():
    class Unseen(Particular):
        def register_forward_pre_hook(self, *args, **options):
            raise RuntimeError("It takes no hooks.")

    assert "I want a square of 7 pixels. Choose" in str(error_of(Unseen()))


def test_what_comes_behind_the_network_says_it_in_its_words():
    built = EncoderSpecification(conv(4), SHAPE, [0.5], [0.5], readout=9).build()
    with pytest.raises(
        ValueError, match=r"width\): readout=9 needs a last feature map"
    ):
        representation_dim(built, SHAPE)


def test_an_encoder_of_other_channels_says_how_many_it_takes():
    built = EncoderSpecification(nn.Flatten(), (3, 8, 8), [0.5] * 3, [0.5] * 3).build()
    with pytest.raises(ValueError, match=r"it was built for 3 channels\. Pass im"):
        representation_dim(built, (2, 8, 8))


def test_a_layer_that_refuses_in_training_only_is_named():
    encoder = nn.Sequential(conv(4, size=8), nn.InstanceNorm2d(4))
    assert "encoder[1], InstanceNorm2d(4, " in str(error_of(encoder))


@pytest.mark.parametrize(
    ("encoder", "layer"),
    [
        (nn.Linear(8, 4), "Linear(in_features=8, out_features=4) takes"),
        (
            nn.Sequential(nn.ReLU(), nn.Linear(8, 4), nn.Flatten()),
            "encoder[1], Linear(in_features=8, out_features=4), takes",
        ),
    ],
)
def test_a_linear_that_torch_applies_to_rows_of_pixels_is_refused(encoder, layer):
    text = str(error_of(encoder))
    assert f"each row of pixels for an image: {layer} vectors of 8 values" in text
    assert text.endswith(f"Put {FLATTEN} before it and give it in_features=64.")


@pytest.mark.parametrize(
    "encoder",
    [
        nn.Sequential(nn.Flatten(2), nn.Flatten(), nn.Linear(64, 8)),
        nn.Sequential(nn.Flatten(1, 2), nn.Linear(8, 4), nn.Flatten()),
        nn.Sequential(conv(4, size=1), nn.Linear(8, 8), nn.Flatten()),
    ],
)
def test_a_linear_of_what_is_no_image_any_more_is_taken(encoder):
    built = EncoderSpecification(encoder, SHAPE, [0.5], [0.5]).build()
    assert representation_dim(built, SHAPE) > 0


def test_images_that_are_brought_to_a_size_are_compared_at_that():
    encoder = nn.Sequential(nn.Linear(16, 4), nn.Flatten())
    built = EncoderSpecification(encoder, SHAPE, [0.5], [0.5], input_size=16).build()
    with pytest.raises(ValueError, match="was given images of 1 x 16 x 16"):
        representation_dim(built, SHAPE)


def test_a_layer_that_cannot_take_views_is_named():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
    built = EncoderSpecification(encoder, SHAPE, [0.5], [0.5]).build()
    words = r"no views of 6x6, .*: encoder\[1\], Linear.* 36 values\. Set size=1\.$"
    with pytest.raises(ValueError, match=words):
        check_view_shape(built, (1, 6, 6), SHAPE)


def test_a_fit_says_it_too(digits, no_training):
    with pytest.raises(ValueError, match=r"Put torch\.nn\.Flatten\(\) before it\.$"):
        tiny(encoder=nn.Linear(64, 32)).fit(digits[0].reshape(-1, 8, 8))


def test_finding_the_layer_leaves_no_hooks():
    encoder = Own()
    built = EncoderSpecification(encoder, SHAPE, [0.5], [0.5]).build()
    with pytest.raises(ValueError, match="encoder cannot take"):
        representation_dim(built, SHAPE)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in built.modules())


# How layers are called


class Named(nn.Module):
    """Has layers of all names."""

    def __init__(self):
        super().__init__()
        self.of_names = nn.ModuleDict({"my head": nn.Identity()})
        self.rest = nn.Sequential(nn.ReLU(), nn.Identity())
        del self.rest[0]
        self.add_module("0", nn.Sequential(nn.Identity()))


@pytest.mark.parametrize("name", [name for name, _ in Named().named_modules()])
def test_the_code_of_a_layer_is_the_layer(name):
    encoder = Named()
    layer = eval(in_code(encoder, name), {"encoder": encoder})
    assert layer is encoder.get_submodule(name)


def test_a_long_layer_is_named_shortly():
    layer = nn.MaxPool2d((3, 3), (2, 2), (1, 1), (2, 2), True, True)
    assert len(in_words(layer)) <= 80
    assert in_words(nn.Linear(2, 3)) == "Linear(in_features=2, out_features=3)"
    assert in_words(nn.Sequential(layer)) == "Sequential"


def test_calls_are_noted_in_their_order():
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with watched(network) as calls:
        network(torch.zeros(1, 2, 2))
    assert [call.name for call in calls.made] == ["", "0", "1"]
    assert calls.made[2].shape == (1, 4)
    assert not calls.not_done


def test_a_layer_whose_error_was_caught_is_done():
    class Caught(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, images):
            with contextlib.suppress(RuntimeError):
                return self.layer(images)
            return images

    network = nn.Sequential(Caught())
    with watched(network) as calls:
        network(torch.zeros(2, 4))
    assert len(calls.made) == 3
    assert not calls.not_done
