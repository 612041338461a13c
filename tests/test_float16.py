"""Trainings in float16: a scaled loss, steps left out, and going on in another type."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.amp import GradScaler

from sklearn_byol import BYOLClassifier
from sklearn_byol.training._checkpoints import go_back, state_of
from sklearn_byol.training._device import resolve_precision
from sklearn_byol.training._loop import train_epoch, train_step
from sklearn_byol.training._optimizers import make_optimizer
from sklearn_byol.training._scaling import make_scaler
from sklearn_byol.training._training import Training
from sklearn_byol.views._pair import views_for
from tests.conftest import small_network, tiny
from tests.test_training import auto, images, settings  # noqa: F401  a fixture

SHAPE = (3, 32, 32)


def training_of(images, **changes):  # noqa: F811
    views, _ = views_for("auto", (1, 8, 8))
    plan = settings(precision=torch.float16, **changes)
    return Training(auto(), images, views, plan)


def overflowing_once():
    return GradScaler("cpu", init_scale=2.0**60, backoff_factor=2.0**-50)


@pytest.fixture
def _dirty_memory(monkeypatch):
    """Let memory that nothing was written to hold no numbers."""
    usual = torch.empty_like

    def dirty(tensor, **options):
        empty = usual(tensor, **options)
        return empty.fill_(torch.nan) if empty.is_floating_point() else empty

    monkeypatch.setattr(torch, "empty_like", dirty)


FUSED = partial(torch.optim.SGD, momentum=0.9, fused=True)


@pytest.mark.usefixtures("_dirty_memory")
@pytest.mark.parametrize(
    "optimizer",
    [
        *("adamw", "sgd", "lars", torch.optim.RMSprop, torch.optim.SGD),
        *(FUSED, partial(FUSED, nesterov=True), partial(FUSED, dampening=0.5)),
        partial(torch.optim.Adam, fused=True, amsgrad=True),
        partial(torch.optim.Adagrad, fused=True),
    ],
)
def test_steps_of_which_gradients_overflow_are_left_out(images, optimizer):  # noqa: F811
    training = training_of(images, optimizer=optimizer, batch_size=10)
    training.scaler = overflowing_once()
    weight = next(training.encoder.parameters())
    weights = [weight.detach().clone()]
    for _ in range(2):
        train_epoch(training, train_step)
        weights.append(weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert weight.isfinite().all()


@pytest.mark.parametrize("optimizer", ["sgd", FUSED, partial(FUSED, nesterov=True)])
def test_momentum_that_begins_at_zero_gives_the_same_bits(optimizer):
    weights = []
    for precision in (torch.float32, torch.float16):
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        made = make_optimizer(optimizer, layer, lr=0.1, weight_decay=0.1)
        make_scaler(precision, made)
        for _ in range(3):
            made.zero_grad()
            layer(torch.ones(4, 3)).square().sum().backward()
            made.step()
        weights.append(layer.weight.detach())
    assert torch.equal(*weights)


def test_the_scale_of_a_loss_is_part_of_the_state(images):  # noqa: F811
    one, other = training_of(images, batch_size=10), training_of(images, batch_size=10)
    one.scaler = overflowing_once()
    train_epoch(one, train_step)
    assert one.scaler.get_scale() == 2.0**10
    go_back(other, state_of(one))
    assert other.scaler.get_scale() == 2.0**10
    state = state_of(one)
    del state["scaler"]  # as in files that are older
    go_back(other, state)
    assert other.scaler.get_scale() == 2.0**10


@pytest.mark.parametrize("before", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("after", ["float32", "float16"])
def test_a_training_goes_on_in_another_precision(digits, before, after):
    X = digits[0][:24]
    byol = tiny(encoder=small_network(), precision=before, warm_start=True).fit(X)
    byol.set_params(precision=after, max_epochs=2).fit(X)
    byol.partial_fit(X)
    assert byol.n_iter_ == 3
    assert np.isfinite(byol.history_["loss"]).all()


def test_gradients_are_computed_where_the_user_has_turned_them_off(digits):
    X = digits[0][:24]
    byol = tiny(encoder=small_network(), precision="float16")
    with torch.no_grad():
        losses = byol.fit(X).history_["loss"]
    assert losses == byol.fit(X).history_["loss"]


class Broken(torch.autograd.Function):
    """Passes on what it is given, and no numbers as gradients."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.nan


class BreaksGradients(nn.Module):
    """An encoder that cannot be trained."""

    def __init__(self):
        super().__init__()
        self.network = small_network()

    def forward(self, x):
        return Broken.apply(self.network(x))


def test_gradients_that_are_never_numbers_are_an_error(digits):
    byol = tiny(encoder=BreaksGradients(), precision="float16", max_epochs=30)
    with pytest.raises(FloatingPointError, match="step after step"):
        byol.fit(digits[0][:24])


def test_tuning_trains_in_float16(digits):
    X, y = digits
    byol = tiny(encoder=small_network(), precision="float16")
    classifier = BYOLClassifier(byol, max_epochs=2, random_state=0).fit(X[:40], y[:40])
    assert np.isfinite(classifier.predict_proba(X[:4])).all()


def test_optimizers_that_compute_gradients_again_are_refused(images):  # noqa: F811
    def lbfgs(params, lr, weight_decay):
        return torch.optim.LBFGS([p for group in params for p in group["params"]], lr)

    with pytest.raises(ValueError, match="as LBFGS does"):
        training_of(images, optimizer=lbfgs)


def test_mps_has_no_float16():
    with pytest.raises(ValueError, match="is not for MPS"):
        resolve_precision("float16", torch.device("mps"), SHAPE)


@pytest.mark.parametrize(
    ("name", "capability", "expected"),
    [
        ("Tesla T4", (7, 5), torch.float16),
        ("Tesla V100-SXM2-16GB", (7, 0), torch.float16),
        ("NVIDIA GeForce GTX 1660 Ti", (7, 5), torch.float32),
        ("NVIDIA GeForce GTX 1080", (6, 1), torch.float32),
    ],
)
def test_auto_takes_float16_where_it_is_fast(monkeypatch, name, capability, expected):
    monkeypatch.setattr(torch.cuda, "_exchange_device", lambda index: -1)
    monkeypatch.setattr(torch.cuda, "_maybe_exchange_device", lambda index: -1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert resolve_precision("auto", torch.device("cuda:0"), SHAPE) == expected
