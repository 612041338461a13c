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
        "none": (None, "Got None instead."),
        "number": (3, "Got 3 instead."),
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
        "returns_type": (lambda: nn.Flatten, "encoder="),
        "raises": (raises, "This is about encoder="),
        "needs_an_argument": (needs_an_argument, "This is about encoder="),
        "class_that_needs_an_argument": (nn.Linear, "This is about encoder="),
        "module_of_three_channels": (
            nn.Conv2d(3, 4, 3),
            "encoder cannot take float32 images of shape 1 x 8 x 8",
        ),
        "module_larger_than_images": (
            nn.Conv2d(1, 4, 9),
            "encoder cannot take float32 images of shape 1 x 8 x 8",
        ),
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
            "encoder must return one vector an image, shape (n_images,",
        ),
        "list": ([nn.Flatten()], "Got [Flatten(start_dim=1, end_"),
    },
    "weights": {
        "number": (3, "Got 3 instead."),
        "empty": (
            "weights='' is no file. Pass the path of a state dict, or",
            "weights='' is no file. Pass the path of a state dict, or",
        ),
        "nowhere": (
            "nowhere.pth",
            "weights='nowhere.pth' is no file. Pass the path of a",
        ),
        "folder": (".", "weights='.' is no file. Pass the path of a state dict, or"),
        "pretrained_without_a_name": (
            "pretrained",
            "weights='pretrained' needs an encoder with published",
        ),
        "true": (True, "Got True instead."),
    },
    "views": {
        "none": (None, "Got None instead."),
        "number": (3, "Got 3 instead."),
        "unknown": ("paper", "views must be one of the presets 'auto', 'byol',"),
        "empty_pair": ((), "A pair of views has 2 members. Got 0: ()."),
        "three": (
            ("byol", "byol", "byol"),
            "A pair of views has 2 members. Got 3: ('byol', 'byol',",
        ),
        "pair_with_none": (
            ("byol", None),
            "views must be a preset's name, a RandomViews, a callable,",
        ),
        "dict": ({"hue": 0.3}, "Got {'hue': 0.3} instead."),
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
        "set": ({"byol"}, "Got {'byol'}"),
    },
    "image_shape": {
        "string": ("8x8", "Got '8x8' instead."),
        "number": (8, "Got 8 instead."),
        "one_side": ((64,), "image_shape must be (height, width), (height, width,"),
        "float": ((8.0, 8.0), "image_shape must be (height, width), (height, width,"),
        "negative": ((-8, -8), "image_shape must be (height, width), (height, width,"),
        "zero": ((0, 64), "image_shape must be (height, width), (height, width,"),
        "bools": (
            (True, 64),
            "image_shape=(True, 64) does not fit X of shape (6, 8, 8),",
        ),
        "none_inside": (
            (8, None),
            "image_shape must be (height, width), (height, width,",
        ),
        "nested": (
            ((8, 8), (8, 8)),
            "image_shape must be (height, width), (height, width,",
        ),
        "other_size": ((7, 9), "image_shape=(7, 9) does not fit X of shape (6, 8, 8),"),
        "other_channels": (
            (8, 8, 3),
            "image_shape=(8, 8, 3) does not fit X of shape (6, 8, 8),",
        ),
        "array": (np.array([8, 8]), "Got array([8, 8]) instead."),
        "huge": (
            (10**9, 10**9),
            "image_shape=(1000000000, 1000000000) does not fit X of",
        ),
    },
    "readout": {
        "zero": (0, "Got 0 instead."),
        "negative": (-2, "Got -2 instead."),
        "float": (1.5, "Got 1.5 instead."),
        "word": ("grid", "Got 'grid' instead."),
        "none": (None, "Got None instead."),
        "finer_than_the_map": (
            9,
            "encoder cannot take float32 images of shape 1 x 8 x 8",
        ),
    },
    "projection_dim": {
        "zero": (0, "Got 0 instead."),
        "float": (2.5, "Got 2.5 instead."),
        "none": (None, "Got None instead."),
        "infinite": (INF, "Got inf instead."),
        "huge": (10**13, "Got 10000000000000 instead."),
    },
    "hidden_dim": {
        "zero": (0, "Got 0 instead."),
        "negative": (-4, "Got -4 instead."),
        "huge": (10**13, "Got 10000000000000 instead."),
        "beyond_64_bits": (10**30, "Got 10000000000000000000000000"),
    },
    "momentum": {
        "negative": (-0.1, "Got -0.1 instead."),
        "above_one": (1.1, "Got 1.1 instead."),
        "nan": (NAN, "Got nan instead."),
        "word": ("high", "Got 'high' instead."),
        "complex": (0.5j, "Got 0.5j instead."),
    },
    "optimizer": {  # with a learning rate, since "auto" is known for names only
        "none": (None, "Got None instead."),
        "unknown": ("adam", "Got 'adam' instead."),
        "instance": (torch.optim.SGD([torch.zeros(1)], lr=1.0), "Got SGD ("),
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
        "negative": (-1e-3, "Got -0.001 instead."),
        "nan": (NAN, "Got nan instead."),
        "infinite": (INF, "Got inf instead."),
        "word": ("fast", "Got 'fast' instead."),
        "array": (np.array([1e-3]), "Got array([0.001]) instead."),
    },
    "weight_decay": {
        "negative": (-1e-4, "Got -0.0001 instead."),
        "nan": (NAN, "Got nan instead."),
        "infinite": (INF, "Got inf instead."),
        "word": ("some", "Got 'some' instead."),
    },
    "warmup_epochs": {
        "negative": (-1, "Got -1 instead."),
        "nan": (NAN, "Got nan instead."),
        "infinite": (INF, "Got inf instead."),
    },
    "batch_size": {
        "zero": (0, "Got 0 instead."),
        "one": (1, "Got 1 instead."),
        "float": (2.0, "Got 2.0 instead."),
        "word": ("all", "Got 'all' instead."),
        "true": (True, "Got True instead."),
    },
    "max_epochs": {
        "negative": (-1, "Got -1 instead."),
        "float": (1.0, "Got 1.0 instead."),
        "infinite": (INF, "Got inf instead."),
        "word": ("auto", "Got 'auto' instead."),
    },
    "callbacks": {
        "string": ("progress", "Got 'progress' instead."),
        "one": (Callback(), "Got"),
        "class": (
            [Callback],
            "callbacks must be instances of skorch.callbacks.Callback,",
        ),
        "function": (
            [print],
            "callbacks must be instances of skorch.callbacks.Callback,",
        ),
        "pair_without_a_callback": (
            [("name", 3)],
            "callbacks must be instances of skorch.callbacks.Callback,",
        ),
        "name_that_is_none": (
            [(3, Callback())],
            "callbacks must be instances of skorch.callbacks.Callback,",
        ),
        "name_of_ours": (
            [("schedules", Callback())],
            "callbacks must have names of their own, and none of bar,",
        ),
        "same_names": (
            [("one", Callback()), ("one", Callback())],
            "callbacks must have names of their own, and none of bar,",
        ),
        "dict": ({"one": Callback()}, "Got {'one':"),
    },
    "device": {
        "none": (None, "Got None instead."),
        "unknown": ("gpu", "device must be 'auto', 'cpu', 'cuda', 'mps' or a numbered"),
        "empty": (
            "device must be 'auto', 'cpu', 'cuda', 'mps' or a numbered",
            "device must be 'auto', 'cpu', 'cuda', 'mps' or a numbered",
        ),
        "not_there": (
            "cuda:99",
            "device='cuda:99' is not there: torch sees 0 CUDA devices",
        ),
        "meta": ("meta", "device must be 'auto', 'cpu', 'cuda', 'mps' or a numbered"),
        "object": (torch.device("cpu"), "Got device(type='cpu') instead"),
    },
    "precision": {
        "half": ("float16", "Got 'float16' instead."),
        "dtype": (torch.bfloat16, "Got torch.bfloat16 instead."),
    },
    "n_jobs": {
        "float": (1.5, "Got 1.5 instead."),
        "word": ("all", "Got 'all' instead."),
        "zero": (0, "Got 0 instead."),
    },
    "cache": {
        "number": (3, "Got 3 instead."),
        "true": (True, "Got True instead."),
    },
    "on_error": {
        "unknown": ("ignore", "Got 'ignore' instead."),
        "none": (None, "Got None instead."),
    },
    "checkpoint": {
        "number": (3, "Got 3 instead."),
        "empty": (
            "",
            "checkpoint must be None or name a folder. Got ''.",
        ),
        "no_folder": (
            "/dev/null",
            "checkpoint='/dev/null' must be a folder that can be",
        ),
        "below_a_file": (
            "/dev/null/folder",
            "checkpoint='/dev/null/folder' must be a folder that can",
        ),
        "null_byte": (
            "a\0b",
            "checkpoint='a\\x00b' must be a folder that can be written:",
        ),
        "too_long": ("a" * 5000, "[Errno 36] File name too long:"),
    },
    "checkpoint_minutes": {
        "negative": (-1, "Got -1 instead."),
        "nan": (NAN, "Got nan instead."),
    },
    "warm_start": {
        "word": ("yes", "Got 'yes' instead."),
    },
    "random_state": {
        "negative": (-1, "Got -1 instead."),
        "word": ("seed", "Got 'seed' instead."),
        "too_large": (2**40, "Got 1099511627776 instead."),
        "generator": (np.random.default_rng(0), "Got Generator(PCG64)"),
    },
    "verbose": {
        "word": ("loud", "Got 'loud' instead."),
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
