"""What would compute on two devices, or wait for a GPU, without having one.

Torch's fake tensors know their device and shape and have no values, so that steps on a
GPU can be gone through on any machine: mixing devices raises, and so does whatever
needs a value, for which the program would wait until the GPU has computed it. Copies
are collected. Left out is what asks for the GPU itself: its generators, the backward
pass, autocast; and the fused steps of SGD, and of Adam with a rate that the GPU reads,
which fake tensors do not know.
"""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sklearn_byol import BYOLClassifier
from sklearn_byol.images._in_memory import Images
from sklearn_byol.networks._byol import build_byol_network as build
from sklearn_byol.networks._encoders import EncoderSpecification
from sklearn_byol.training import _batches, _training
from sklearn_byol.training._fine_tuning import (
    LinearHead,
    TuningPlan,
    compute_cross_entropy,
)
from sklearn_byol.training._loop import train_epoch, train_step
from sklearn_byol.training._plan import Plan, Schedule
from sklearn_byol.training._training import Training
from sklearn_byol.views import _colour, _geometry
from sklearn_byol.views._pair import views_for
from sklearn_byol.views._presets import PRESETS
from sklearn_byol.views._random_views import RandomViews

GPU = torch.device("cuda", 0)
FREE = {torch.ops.aten.empty_like.default}  # takes no values


class CopiesThatWait(TorchDispatchMode):
    """Collects what takes tensors of two devices, and so copies, and waits for it."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        leaves = tree_leaves((args, result))
        devices = {leaf.device.type for leaf in leaves if isinstance(leaf, Tensor)}
        goes_on = kwargs.get("non_blocking") and result.device == GPU
        if len(devices) > 1 and not goes_on and function not in FREE:
            self.found.append(str(function))
        return result


@contextmanager
def no_waiting():
    """Go through steps on a GPU that is not there; they must not wait for it."""
    with FakeTensorMode(allow_non_fake_inputs=True), CopiesThatWait() as copies:
        yield copies
    assert copies.found == []


class Undrawn:
    """Stands where a generator on the GPU would."""

    def __init__(self, device):
        self.device = device

    def manual_seed(self, seed):
        return self


@pytest.fixture(autouse=True)
def _draws(monkeypatch):
    """Draw without a generator, which cannot be on such a GPU."""

    def uniform(shape, low, high, generator):
        return torch.rand(shape, device=generator.device) * (high - low) + low

    for module in (_geometry, _colour):
        monkeypatch.setattr(module, "uniform", uniform)
    monkeypatch.setattr(_batches, "Generator", Undrawn)
    _geometry.on_device.cache_clear()  # of what has values
    yield
    _geometry.on_device.cache_clear()


def draw(views, images):
    pair, _ = views_for(views, tuple(images.shape[1:]))
    return pair(images, Undrawn(GPU))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 48)])
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_views_are_drawn_without_waiting_for_a_gpu(name, shape):
    with no_waiting():
        for view in draw(RandomViews(name), torch.rand((16, *shape), device=GPU)):
            assert view.device == GPU
            assert view.shape == (16, *shape)


def test_what_would_wait_is_found():
    with FakeTensorMode(), pytest.raises(DynamicOutputShapeException, match="nonzero"):
        (torch.rand(16, device=GPU) < 0.1).nonzero()
    waits = {
        "a number": lambda: torch.tensor(1.0, device=GPU),
        "numbers": lambda: torch.tensor([1.0, 2.0], device=GPU),
        "indices": lambda: torch.rand(3, device=GPU)[torch.tensor([0, 2])],
        "the way back": lambda: torch.rand(3, device=GPU).to("cpu", non_blocking=True),
    }
    for name, function in waits.items():
        with FakeTensorMode(), CopiesThatWait() as copies:
            function()
        assert copies.found, name
    with FakeTensorMode(), pytest.raises(RuntimeError, match="same device"):
        torch.rand(3) + torch.rand(3, device=GPU)


def on_gpu(module):
    """Give a module weights on the GPU that is not there."""
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            moved = torch.empty_like(weight, device=GPU)
            part.register_parameter(name, nn.Parameter(moved, weight.requires_grad))
        for name, value in list(part.named_buffers(recurse=False)):
            part.register_buffer(name, torch.empty_like(value, device=GPU))
    return module


def backward(loss, weights):
    """Stand in for torch's backward pass, which asks for the GPU itself."""
    assert loss.device == GPU
    assert loss.requires_grad
    for weight in weights:
        weight.grad = torch.zeros_like(weight)


def training_of(encoder, n_dims, images, optimizer):
    """Begin a training of two steps."""
    plan = Plan(
        representation_dim=n_dims,
        projection_dim=16,
        hidden_dim=32,
        optimizer=optimizer,
        schedule=Schedule(0.1, 0.01, 0.1, 0.9, 0.0, n_steps=2, n_warmup=0),
        batch_size=32,
        max_epochs=1,
        callbacks=(),
        device=GPU,
        precision=torch.float32,
        seed=0,
        is_drawing=False,
        verbose=0,
    )
    pair, _ = views_for("auto", images.shape)
    return Training(encoder, images, pair, plan)


@pytest.mark.parametrize("optimizer", ["adamw", "lars"])
@pytest.mark.parametrize(
    ("encoder", "shape"),
    [("auto", (1, 8, 8)), ("auto", (3, 32, 32)), ("resnet18", (3, 32, 32))],
)
def test_a_step_is_taken_without_waiting_for_a_gpu(
    monkeypatch, encoder, shape, optimizer
):
    images = Images(np.zeros((64, *shape), np.uint8), (0, 255))
    statistics = [0.5] * shape[0]
    built = EncoderSpecification(encoder, shape, statistics, statistics).build()
    n_dims = built(torch.rand(2, *shape)).shape[1]
    whole = build(built, n_dims, 32, 16).to(memory_format=torch.channels_last)
    monkeypatch.setattr(_training, "build_byol_network", lambda *_, **__: on_gpu(whole))
    monkeypatch.setattr(nn.Module, "to", lambda module, *place, **form: module)
    with no_waiting() as copies:
        images.keep_on(GPU)
        training = training_of(built, n_dims, images, optimizer)
        net = training.net
        copies.found.clear()
        trained = [w for w in net.module_.parameters() if w.requires_grad]
        monkeypatch.setattr(Tensor, "backward", lambda loss: backward(loss, trained))
        monkeypatch.setattr(training.figures, "record", lambda *given: None)
        train_epoch(training, train_step)
    assert net.step_ == len(training.batches) == 2
    assert training.figures.losses[1].device == GPU
    assert all(weight.device == GPU for weight in net.module_.parameters())


def test_labels_and_weights_of_classes_go_to_a_gpu_without_waiting():
    encoder = EncoderSpecification("auto", (1, 8, 8), [0.5], [0.5]).build()
    head = LinearHead(np.ones((3, 512)), np.zeros(3), np.zeros(512), np.ones(512))
    module = nn.Sequential(encoder, head)
    settings = TuningPlan.of(
        BYOLClassifier(),
        n_images=6,
        n_epochs=None,
        device=GPU,
        precision=torch.float32,
        seed=0,
        is_drawing=False,
    )
    with no_waiting():
        shown = torch.rand((6, 1, 8, 8), device=GPU)
        codes = torch.tensor([0, 1, 2, 2, 1, 0])
        weights = torch.tensor([1.0, 2.0, 0.5, 0.5, 2.0, 1.0])
        given = on_gpu(module), shown, codes, weights
        loss = compute_cross_entropy(*given, settings)
    assert loss.device == GPU
    assert loss.requires_grad
