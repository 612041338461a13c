"""Values of every parameter of BYOLTransformer that fit refuses, case by case."""

import functools

import numpy as np
import pytest
import timm
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_byol import RandomViews
from tests.conftest import tiny

pytestmark = pytest.mark.usefixtures("limited", "no_training")

IMAGES = np.random.default_rng(0).random((6, 8, 8))
NAN, INF = float("nan"), float("inf")


class Raises(nn.Module):
    """Cannot take anything."""

    def forward(self, images):
        raise KeyError("lost")


class RaisesInTraining(nn.Module):
    """Cannot take anything while it trains."""

    def forward(self, images):
        if self.training:
            raise RuntimeError("not like this")
        return images.flatten(1)


class NotANumber(nn.Module):
    """Returns vectors that are no numbers."""

    def forward(self, images):
        return images.flatten(1) * NAN


def needs_an_argument(size):
    return nn.Flatten()


def raises():
    raise OSError("no such weights here")


def on_meta():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4, device="meta"))


def of_doubles():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).double()


def of_integers():
    return nn.Sequential(nn.Flatten(), nn.Threshold(0.5, 0))


def no_views(images):
    return None


def failing_views(images):
    raise ZeroDivisionError("division by zero")


def smaller_views(images):
    return images[..., 1:]


def byte_views(images):
    return (images * 255).byte()


REFUSED = {
    "encoder": {
        "unknown": ("resnet", "encoder='resnet' is neither 'auto' nor the name of a"),
        "unknown_of_timm": (
            "timm/resnet",
            f"encoder='timm/resnet' is not a network of timm {timm.__version__}.",
        ),
        "nothing_of_timm": (
            "timm/",
            f"encoder='timm/' is not a network of timm {timm.__version__}. Close to",
        ),
        "returns_none": (lambda: None, "encoder="),
        "raises": (raises, "This is about encoder="),
        "class_that_needs_an_argument": (nn.Linear, "This is about encoder="),
        "module_that_raises": (
            Raises(),
            "encoder cannot take float32 images of shape 1 x 8 x 8",
        ),
        "module_that_raises_in_training": (
            RaisesInTraining(),
            "encoder cannot take float32 images of shape 1 x 8 x 8",
        ),
        "module_on_meta": (
            on_meta(),
            "encoder has weights on the meta device, which have no",
        ),
        "module_of_doubles": (
            of_doubles(),
            "encoder cannot take float32 images of shape 1 x 8 x 8",
        ),
        "module_of_nan": (
            NotANumber(),
            "encoder returned values that are infinite or not a number",
        ),
        "module_of_one_axis": (
            nn.Flatten(0),
            "encoder must return one vector per image, shape (n_images,",
        ),
    },
    "weights": {
        "empty": (
            "",
            "weights='' is no file. Pass the path of a state dict, or",
        ),
        "nowhere": (
            "nowhere.pth",
            "weights='nowhere.pth' is no file. Pass the path of a",
        ),
        "prefix_that_is_no_string": (
            ("weights.pth", 3),
            "weights must be 'pretrained', the path of a file, or a",
        ),
        "one_of_a_pair": (
            ("weights.pth",),
            "weights must be 'pretrained', the path of a file, or a",
        ),
    },
    "normalization": {
        "one_number": (0.5, "The 'normalization' parameter of BYOLTransformer must"),
        "three_channels_of_five": (
            ([0.5] * 5, [0.2] * 5),
            "normalization must be a pair of a mean and a standard",
        ),
        "of_bytes": (
            (127.0, 64.0),
            "normalization is of pixels in [0, 1]: means must lie in",
        ),
        "no_deviation": (
            (0.5, 0.0),
            "normalization is of pixels in [0, 1]: means must lie in",
        ),
    },
    "input_size": {
        "zero": (0, "The 'input_size' parameter of BYOLTransformer must be"),
        "pair": ((32, 32), "The 'input_size' parameter of BYOLTransformer must be"),
    },
    "views": {
        "unknown": ("paper", "views must be one of the presets 'auto', 'byol',"),
        "three": (
            ("byol", "byol", "byol"),
            "A pair of views has 2 members. Got 3: ('byol', 'byol',",
        ),
        "pair_with_none": (
            ("byol", None),
            "views must be one of the presets 'auto', 'byol', 'symmetric',",
        ),
        "class": (RandomViews, "views is the class RandomViews. Pass one of it:"),
        "returns_none": (no_views, "views="),
        "raises": (failing_views, "This is about views="),
        "smaller": (smaller_views, "views="),
        "bytes": (byte_views, "views="),
        "strength": (RandomViews(hue=3), "in the range [0.0, 0.5] or None. Got 3"),
        "preset_of_a_pair": (
            ("byol", RandomViews("paper")),
            "The 'preset' parameter of RandomViews must be a str among",
        ),
    },
    "image_shape": {
        "negative": ((-8, -8), "image_shape must be (height, width), (height, width,"),
        "other_size": ((7, 9), "image_shape=(7, 9) does not fit X of shape (6, 8, 8),"),
        "other_channels": (
            (8, 8, 3),
            "image_shape=(8, 8, 3) does not fit X of shape (6, 8, 8),",
        ),
        "huge": (
            (10**9, 10**9),
            "image_shape=(1000000000, 1000000000) does not fit X of",
        ),
    },
    "readout": {
        "zero": (0, "Got 0 instead."),
        "finer_than_the_map": (
            9,
            "encoder cannot take float32 images of shape 1 x 8 x 8",
        ),
    },
    "projection_dim": {
        "zero": (0, "Got 0 instead."),
        "huge": (10**13, "Got 10000000000000 instead."),
    },
    "hidden_dim": {
        "zero": (0, "Got 0 instead."),
        "huge": (10**13, "Got 10000000000000 instead."),
    },
    "momentum": {
        "negative": (-0.1, "Got -0.1 instead."),
        "above_one": (1.1, "Got 1.1 instead."),
    },
    "optimizer": {  # with a learning rate, since "auto" is known for names only
        "returns_none": (lambda *args, **options: None, "optimizer="),
        "takes_nothing": (
            lambda: None,
            "<lambda>() got an unexpected keyword argument 'lr'",
        ),
        "not_an_optimizer": (functools.partial(dict), "optimizer=functools.partial("),
        "closure_optimizer": (
            torch.optim.LBFGS,
            "LBFGS.__init__() got an unexpected keyword argument",
        ),
    },
    "lr": {
        "zero": (0, "Got 0 instead."),
    },
    "weight_decay": {
        "negative": (-1e-4, "Got -0.0001 instead."),
        "infinite": (INF, "Got inf instead."),
    },
    "warmup_epochs": {
        "negative": (-1, "Got -1 instead."),
    },
    "batch_size": {
        "one": (1, "Got 1 instead."),
    },
    "max_epochs": {
        "negative": (-1, "Got -1 instead."),
    },
    "callbacks": {
        "function": (
            [print],
            "callbacks must be instances of skorch.callbacks.Callback,",
        ),
        "name_that_is_none": (
            [(3, Callback())],
            "callbacks must be instances of skorch.callbacks.Callback,",
        ),
        "name_of_ours": (
            [("bar", Callback())],
            "callbacks must have names of their own, and none of bar.",
        ),
        "same_names": (
            [("one", Callback()), ("one", Callback())],
            "callbacks must have names of their own, and none of bar.",
        ),
    },
    "device": {
        "unknown": ("gpu", "device must be 'auto', 'cpu', 'cuda', 'mps' or a numbered"),
        "empty": (
            "",
            "device must be 'auto', 'cpu', 'cuda', 'mps' or a numbered",
        ),
        "not_there": (
            "cuda:99",
            "device='cuda:99' is not there: torch sees 0 CUDA devices",
        ),
        "meta": ("meta", "device must be 'auto', 'cpu', 'cuda', 'mps' or a numbered"),
    },
    "precision": {
        "double": ("float64", "Got 'float64' instead."),
    },
    "n_jobs": {
        "zero": (0, "Got 0 instead."),
    },
    "on_error": {
        "unknown": ("ignore", "Got 'ignore' instead."),
    },
    "checkpoint": {
        "empty": (
            "",
            "checkpoint must be None or name a folder. Got ''.",
        ),
        "no_folder": (
            __file__,
            f"checkpoint={__file__!r} must be a folder that can be",
        ),
        "null_byte": (
            "a\0b",
            "checkpoint='a\\x00b' must be a folder that can be written:",
        ),
        "too_long": ("a" * 5000, "aaa' must be a folder that can be written:"),
    },
    "checkpoint_minutes": {
        "negative": (-1, "Got -1 instead."),
    },
    "warm_start": {
        "word": ("yes", "Got 'yes' instead."),
    },
    "random_state": {
        "negative": (-1, "Got -1 instead."),
    },
    "verbose": {
        "negative": (-1, "Got -1 instead."),
    },
}
NEEDED = {"optimizer": {"lr": 1e-3}}
OF_VIEWS = {"strength": ["hue"], "preset_of_a_pair": ["preset"]}  # their own names
CASES = [(name, case) for name, cases in REFUSED.items() for case in cases]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_parameter_that_cannot_be_is_an_error_that_names_it(name, case):
    value, words = REFUSED[name][case]
    with pytest.raises((ValueError, TypeError, OSError, ArithmeticError)) as caught:
        tiny(**{**NEEDED.get(name, {}), name: value}).fit(IMAGES)
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert words in told
    assert any(word in told for word in (name, *OF_VIEWS.get(case, ())))
