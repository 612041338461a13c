"""Which steps are recorded on a GPU, and what they compute; that takes no GPU."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, EpochTimer, LRScheduler
from torch import nn

from sklearn_byol import RandomViews
from sklearn_byol.callbacks import ProbeCallback
from sklearn_byol.networks._encoders import EncoderSpecification
from sklearn_byol.objective import update_target
from sklearn_byol.training import _recorded, _run
from sklearn_byol.training._device import GLOBAL_STATE
from sklearn_byol.training._loop import train_step
from sklearn_byol.training._recorded import (
    N_BEFORE,
    GraphMemory,
    LearnsOnGPU,
    Recorded,
    can_record,
    is_known_network,
    rates_of,
    steps_of,
)
from tests.conftest import quick, small_network


class AskedError(Exception):
    """Ends a training before its first step."""


@pytest.fixture
def is_recorded(monkeypatch):
    """Tell whether a training could be recorded, which does not begin."""
    found = []

    def asked(training):
        found.append(can_record(training))
        raise AskedError

    monkeypatch.setattr(_run, "steps_of", asked)

    def tell(X, **parameters):
        with pytest.raises(AskedError):
            quick(**{"max_epochs": 10, "batch_size": 20, **parameters}).fit(X)
        return found.pop()

    return tell


class Looks(Callback):
    """Looks at each batch."""

    def on_batch_end(self, net, batch=None, **kw):
        assert len(batch)


class Own(nn.Module):
    """Might ask for a number."""

    def forward(self, x):
        return x


RECORDED = {
    "defaults": {},
    "views": {"views": RandomViews("gray", blur=0.5)},
    "early stopping": {"callbacks": [EarlyStopping("train_loss"), EpochTimer()]},
    "bar": {"verbose": 1},
    "resnet": {"encoder": "resnet18"},
}
NOT_RECORDED = {
    "module": {"encoder": small_network},
    "dropout": {"encoder": lambda: nn.Sequential(small_network(), nn.Dropout())},
    "another network": {"encoder": "squeezenet1_1"},
    "function": {"views": torch.clone},
    "looks at batches": {"callbacks": [Looks()]},
    "scheduler": {"callbacks": [LRScheduler()]},
    "few steps": {"max_epochs": 9},
}


@pytest.mark.parametrize("name", RECORDED | NOT_RECORDED)
def test_steps_are_recorded_where_all_are_alike(name, is_recorded):
    X = np.random.default_rng(0).random((40, 32, 32))
    parameters = (RECORDED | NOT_RECORDED)[name]
    assert is_recorded(X, **parameters) == (name in RECORDED)


@pytest.fixture
def resnet():
    """A network of torchvision between normalisation and readout."""
    return EncoderSpecification("resnet18", (3, 32, 32), [0.5] * 3, [0.5] * 3).build()


def test_networks_that_were_changed_are_not_known(resnet):
    assert is_known_network(resnet)
    hook = resnet.network.layer1.register_forward_hook(lambda *given: None)
    assert not is_known_network(resnet)
    hook.remove()
    assert is_known_network(resnet)
    resnet.network.bn1.momentum = None  # counts on the device
    assert not is_known_network(resnet)
    resnet.network.bn1 = Own()
    assert not is_known_network(resnet)


def test_what_looks_for_anomalies_reads_numbers(digits, is_recorded):
    assert is_recorded(digits[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.autograd.set_detect_anomaly(True):
            assert not is_recorded(digits[0])


def test_scores_of_labels_leave_steps_recorded(digits, is_recorded):
    assert is_recorded(digits[0], callbacks=[ProbeCallback(*digits)])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_rates_that_a_device_reads_train_the_same(optimizer, digits, monkeypatch):
    settings = {"optimizer": optimizer, "max_epochs": 3, "precision": "float32"}
    expected = quick(**settings).fit(digits[0])

    @contextmanager
    def reading(training):
        yield partial(train_step, learns=LearnsOnGPU(training))

    monkeypatch.setattr(_run, "steps_of", reading)
    byol = quick(**settings).fit(digits[0])
    for name in ("loss", "spread", "lr", "momentum"):
        assert byol.history_[name] == pytest.approx(expected.history_[name], 1e-3)
    weights = expected.encoder_.state_dict()
    for name, weight in byol.encoder_.state_dict().items():
        torch.testing.assert_close(weight, weights[name], rtol=1e-3, atol=1e-3)


def test_a_tensor_moves_the_target_as_a_number_does():
    theta = [torch.rand(3, 4), torch.rand(5)]
    for tau in (0.0, 0.9, 0.9999, 1.0):
        xi = [torch.zeros(3, 4), torch.ones(5)]
        other = [weight.clone() for weight in xi]
        update_target(xi, theta, tau)
        update_target(other, theta, torch.tensor(tau, dtype=torch.float64))
        torch.testing.assert_close(other, xi)


def test_an_optimizer_has_its_own_rates_again():
    weight = nn.Parameter(torch.ones(2))
    other = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([{"params": [weight]}, {"params": [other]}], lr=0.5)
    optimizer.param_groups[1]["lr"] = 0.25
    lrs = [torch.tensor(0.1), torch.tensor(0.2)]
    with pytest.raises(ConnectionError), rates_of(optimizer, lrs):  # noqa: PT012
        for group, lr in zip(optimizer.param_groups, lrs, strict=True):
            assert group["lr"] is lr
            group["weight_decay"] = 0.125
        raise ConnectionError
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.125] * 2


class Tape:
    """Stands for the memory of a GPU: what is recorded can be replayed."""

    def __init__(self):
        self.has_place, self.shapes, self.n_replayed = True, [], 0
        self.branches, self.recorded = [None] * 2, []

    def give_back(self):
        GraphMemory.give_back(self)

    def has_room(self):
        return self.has_place

    def record(self, function, inputs, generators):
        self.shapes.append(inputs[0].shape)
        output = function(*inputs)

        def replay():
            self.n_replayed += 1
            output.copy_(function(*inputs))

        return SimpleNamespace(replay=replay), output


def test_each_size_is_recorded_once_after_a_few_calls():
    tape = Tape()
    double = Recorded(lambda x: 2 * x, tape)
    for n in range(6):
        for size in (4, 3):
            x = torch.full((size,), float(n))
            assert torch.equal(double(x), 2 * x)
    assert [tuple(shape) for shape in tape.shapes] == [(4,), (3,)]
    assert tape.n_replayed == 2 * (6 - N_BEFORE)


def test_what_was_recorded_is_let_go_of():
    tape = Tape()
    double = Recorded(lambda x: 2 * x, tape)
    for _ in range(N_BEFORE + 1):
        output = double(torch.ones(2))
    tape.give_back()
    assert double.graphs == {}
    assert torch.equal(output, torch.full((2,), 2.0))  # of those who still hold it


def test_without_room_or_beside_another_nothing_is_recorded():
    tape = Tape()
    double = Recorded(lambda x: 2 * x, tape)
    tape.has_place = False
    x = torch.ones(2)
    for _ in range(5):
        assert torch.equal(double(x), 2 * x)
    tape.has_place = True
    with ThreadPoolExecutor(1) as thread, GLOBAL_STATE:
        assert torch.equal(thread.submit(double, x).result(), 2 * x)
    assert tape.shapes == []
    double(x)
    assert len(tape.shapes) == 1


def test_views_are_drawn_as_before_after_an_error(digits, monkeypatch):
    found = []

    @contextmanager
    def looked_at(training):
        training.plan = replace(training.plan, device=torch.device("cuda"))
        monkeypatch.setattr(_recorded, "GraphMemory", lambda device: Tape())
        monkeypatch.setattr(_recorded, "LearnsOnGPU", lambda *given: None)
        views, forward = training.batches.views, training.forward
        with pytest.raises(ConnectionError), steps_of(training):  # noqa: PT012
            found.append(training.batches.views is views)
            found.append(training.forward is forward)
            raise ConnectionError
        found.append(training.batches.views is views)
        found.append(training.forward is forward)
        training.plan = replace(training.plan, device=torch.device("cpu"))
        yield train_step

    monkeypatch.setattr(_run, "steps_of", looked_at)
    quick(max_epochs=10).fit(digits[0])
    assert found == [False, False, True, True]


def test_a_cpu_takes_the_step_as_it_is(digits, monkeypatch):
    found = []

    @contextmanager
    def looked_at(training):
        with steps_of(training) as step:
            found.append(step)
            yield step

    monkeypatch.setattr(_run, "steps_of", looked_at)
    quick().fit(digits[0])
    assert found == [train_step]
