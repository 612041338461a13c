"""Which steps are recorded on a GPU, and what they compute; that takes no GPU."""

from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, EpochTimer, LRScheduler
from torch import nn

from sklearn_byol import RandomViews
from sklearn_byol.callbacks import ProbeCallback
from sklearn_byol.objective import update_target
from sklearn_byol.training import _run
from sklearn_byol.training._loop import train_step
from sklearn_byol.training._recorded import LearnsOnGPU, can_record, rates_of, steps_of
from tests.conftest import quick, small_network


@pytest.fixture
def answers(monkeypatch):
    """Collect whether trainings could be recorded."""
    found = []

    @contextmanager
    def asked(training):
        found.append(can_record(training))
        yield train_step

    monkeypatch.setattr(_run, "steps_of", asked)
    return found


class Looks(Callback):
    """Looks at each batch."""

    def on_batch_end(self, net, batch=None, **kw):
        assert len(batch)


RECORDED = {
    "defaults": {},
    "views": {"views": RandomViews("gray", blur=0.5)},
    "early stopping": {"callbacks": [EarlyStopping("train_loss"), EpochTimer()]},
    "bar": {"verbose": 1},
    "resnet": {"encoder": "resnet18"},
}
NOT_RECORDED = {
    "module": {"encoder": small_network},
    "dropout": {"encoder": lambda: nn.Sequential(nn.Flatten(), nn.Dropout())},
    "another network": {"encoder": "squeezenet1_1"},
    "function": {"views": torch.clone},
    "looks at batches": {"callbacks": [Looks()]},
    "scheduler": {"callbacks": [LRScheduler()]},
}


@pytest.mark.parametrize("name", RECORDED | NOT_RECORDED)
def test_steps_are_recorded_where_all_are_alike(name, answers):
    X = np.random.default_rng(0).random((40, 32, 32))
    parameters = (RECORDED | NOT_RECORDED)[name]
    quick(**{"batch_size": 20, "hidden_dim": 8, **parameters}).fit(X)
    assert answers == [name in RECORDED]


def test_scores_of_labels_leave_steps_recorded(digits, answers):
    probe = ProbeCallback(*digits)
    quick(callbacks=[probe]).fit(digits[0])
    assert answers == [True]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_rates_that_a_device_reads_train_the_same(optimizer, digits, monkeypatch):
    settings = {"optimizer": optimizer, "max_epochs": 3, "precision": "float32"}
    expected = quick(**settings).fit(digits[0])

    @contextmanager
    def reading(training):
        monkeypatch.setattr(_run, "can_record", lambda training: False, raising=False)
        learns = LearnsOnGPU(training)
        learns.function = getattr(learns.function, "function", learns.function)
        yield partial(train_step, learns=learns)

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
    optimizer = torch.optim.AdamW([weight], lr=0.5)
    lr = torch.tensor(0.25)
    with pytest.raises(ConnectionError), rates_of(optimizer, lr):  # noqa: PT012
        assert optimizer.param_groups[0]["lr"] is lr
        assert optimizer.param_groups[0]["capturable"]
        raise ConnectionError
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert not optimizer.param_groups[0]["capturable"]


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
