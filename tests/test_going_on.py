"""Trainings that are gone on with: warm_start and partial_fit."""

import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from sklearn_byol import RandomViews
from tests.conftest import quick


def weights(byol):
    return {name: value.clone() for name, value in byol.encoder_.state_dict().items()}


def assert_same_weights(one, other):
    for name, value in weights(one).items():
        torch.testing.assert_close(
            value, weights(other)[name], rtol=0, atol=0, msg=name
        )


def figures(byol):
    clock = {"seconds", "images_per_second"}
    return {name: row for name, row in byol.history_.items() if name not in clock}


@pytest.mark.parametrize("is_saved", [False, True])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lars"])
def test_warm_start_trains_up_to_max_epochs_in_all(digits, optimizer, is_saved):
    X, _ = digits
    byol = quick(max_epochs=2, warm_start=True, optimizer=optimizer, batch_size=50)
    byol.fit(X)
    first = figures(byol)
    if is_saved:
        byol = pickle.loads(pickle.dumps(byol))
    byol.set_params(max_epochs=3).fit(X)
    assert byol.n_iter_ == 3
    assert {name: row[:2] for name, row in figures(byol).items()} == first
    assert figures(byol)["loss"][2] < first["loss"][0]


def test_a_constant_schedule_goes_on_as_if_it_had_never_stopped(digits):
    X, _ = digits
    fixed = {"views": RandomViews("digits"), "batch_size": 50, "momentum": 0.9}
    fixed["warmup_epochs"] = 0
    one, two = (quick(**fixed) for _ in range(2))
    for _ in range(3):
        one.partial_fit(X)
    two.partial_fit(X).partial_fit(X)
    two = pickle.loads(pickle.dumps(two)).partial_fit(X)
    assert_same_weights(one, two)
    assert figures(one) == figures(two)
    assert one.history_["lr"] == [one.lr_] * 3
    assert one.history_["momentum"] == [0.9] * 3


def test_without_warm_start_fit_begins_anew(digits):
    X, _ = digits
    byol = quick(max_epochs=2).fit(X)
    assert_same_weights(byol.fit(X), quick(max_epochs=2).fit(X))
    assert byol.n_iter_ == 2
    partial = quick().partial_fit(X)
    assert_same_weights(partial.fit(X), quick().fit(X))
    assert partial.n_iter_ == 1


def test_max_epochs_that_are_trained_already_train_nothing(digits):
    X, _ = digits
    byol = quick(max_epochs=2, warm_start=True).fit(X)
    before = weights(byol)
    byol.fit(X)
    assert byol.n_iter_ == 2
    for name, value in weights(byol).items():
        assert torch.equal(value, before[name])


def test_partial_fit_takes_other_images_of_the_same_shape(digits):
    X, _ = digits
    byol = quick(batch_size=32).partial_fit(X[:100])
    statistics = byol.encoder_.normalize.mean.clone()
    byol.partial_fit(X[100:130]).partial_fit(X[130:132])
    assert byol.n_iter_ == 3
    assert torch.equal(byol.encoder_.normalize.mean, statistics)
    assert byol.transform(X).shape == (200, 512)


def test_partial_fit_takes_parameters_that_were_set_between(digits):
    X, _ = digits
    byol = quick(lr=1e-3, warmup_epochs=0).partial_fit(X)
    byol.set_params(lr=5e-4, momentum=0.5).partial_fit(X)
    assert byol.history_["lr"] == [1e-3, 5e-4]
    assert byol.history_["momentum"] == [0.99, 0.5]


@pytest.mark.slow
def test_partial_fit_learns(digits):
    X, y = digits
    untrained = quick(lr=1e-12).partial_fit(X)
    trained = quick(batch_size=50)
    for _ in range(30):
        trained.partial_fit(X)
    from sklearn.neighbors import KNeighborsClassifier  # noqa: PLC0415

    def accuracy(byol):
        rows = byol.transform(X)
        return KNeighborsClassifier(1).fit(rows[:40], y[:40]).score(rows[40:], y[40:])

    assert accuracy(trained) > accuracy(untrained)


def test_only_who_goes_on_keeps_the_training(digits, tmp_path):
    X, _ = digits
    sizes = {}
    for is_warm in (False, True):
        byol = quick(warm_start=is_warm).fit(X)
        joblib.dump(byol, tmp_path / "byol.joblib")
        sizes[is_warm] = (tmp_path / "byol.joblib").stat().st_size
    assert sizes[True] > 4 * sizes[False]


def test_a_clone_begins_anew(digits):
    X, _ = digits
    byol = quick(warm_start=True).fit(X)
    assert clone(byol).fit(X).n_iter_ == 1
    assert_same_weights(clone(byol).fit(X), quick().fit(X))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_dim": 8}, "hidden_dim was 1024 when training began and is 8 now"),
        ({"encoder": "resnet18"}, "encoder was 'auto'"),
        ({"optimizer": "sgd"}, "optimizer was 'adamw'"),
    ],
)
def test_other_networks_are_an_error_and_nothing_is_lost(digits, changes, message):
    X, _ = digits
    byol = quick(warm_start=True).fit(X)
    rows = byol.transform(X)
    for call in (byol.set_params(max_epochs=2, **changes).fit, byol.partial_fit):
        with pytest.raises(ValueError, match=message):
            call(X)
    np.testing.assert_array_equal(byol.transform(X), rows)


def test_other_images_are_an_error_and_nothing_is_lost(digits):
    X, _ = digits
    byol = quick().partial_fit(X)
    with pytest.raises(ValueError, match="X has 49 features, but BYOLTransformer"):
        byol.partial_fit(X[:, :49])
    with pytest.raises(ValueError, match="values"):
        byol.partial_fit(X * 100)
    with pytest.raises(ValueError, match=r"1 sample"):
        byol.partial_fit(X[:1])
    assert byol.partial_fit(X).n_iter_ == 2


class Breaks(Callback):
    """Fails in the middle of an epoch, after a step."""

    def on_batch_end(self, net, **kw):
        raise ConnectionError("power cut")


def test_a_call_that_fails_in_the_middle_changes_nothing(digits):
    X, _ = digits
    one, two = (quick(batch_size=50).partial_fit(X) for _ in range(2))
    with pytest.raises(ConnectionError):
        one.set_params(callbacks=[Breaks()]).partial_fit(X)
    one.set_params(callbacks=None)
    assert_same_weights(one.partial_fit(X), two.partial_fit(X))


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_mapped_file_is_read_and_not_written(digits, tmp_path, mode):
    X, _ = digits
    joblib.dump(quick().partial_fit(X), tmp_path / "byol.joblib")
    before = (tmp_path / "byol.joblib").read_bytes()
    mapped = joblib.load(tmp_path / "byol.joblib", mmap_mode=mode).partial_fit(X)
    assert (tmp_path / "byol.joblib").read_bytes() == before
    assert_same_weights(mapped, quick().partial_fit(X).partial_fit(X))


def dropping():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5))


def test_torchs_random_state_has_no_part_in_it(digits):
    X, _ = digits
    trained = []
    for seed in (1, 2):
        byol = quick(encoder=dropping)
        for _ in range(2):
            torch.manual_seed(seed)
            byol.partial_fit(X)
        trained.append(byol)
    assert_same_weights(*trained)


def test_a_fit_that_kept_no_state_is_gone_on_with_by_new_heads(digits):
    X, _ = digits
    fitted = quick(max_epochs=2).fit(X)
    before = weights(fitted)
    fitted.set_params(lr=1e-12).partial_fit(X)
    assert fitted.n_iter_ == 3
    assert fitted.history_["epoch"] == [1, 2, 3]
    for name, weight in fitted.encoder_.named_parameters():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=1e-6)
    warm = quick(max_epochs=2).fit(X).set_params(warm_start=True, lr=1e-12).fit(X)
    for name, weight in warm.encoder_.named_parameters():
        torch.testing.assert_close(weight, before[name], rtol=0, atol=1e-6)


def test_a_fit_with_nothing_to_do_changes_no_schedule(digits):
    X, _ = digits
    rates = []
    for n_calls in (1, 2):
        byol = quick(max_epochs=2, warm_start=True, batch_size=50)
        for _ in range(n_calls):
            byol.fit(X)
        rates.append(byol.set_params(max_epochs=4).fit(X[:60]).history_["lr"])
    assert rates[0] == rates[1]


def test_warm_up_of_partial_fit_does_not_depend_on_the_images_of_a_call(digits):
    X, _ = digits
    byol = quick(batch_size=20)
    for n_images in (40, 200, 20):
        byol.partial_fit(X[:n_images])
    steps = np.array([2, 12, 13])
    np.testing.assert_allclose(byol.history_["lr"], byol.lr_ * steps / 100)


def test_memory_does_not_grow_with_calls(digits):
    X, _ = digits
    byol = quick(batch_size=50)
    sizes = [len(pickle.dumps(byol.partial_fit(X))) for _ in range(4)]
    assert sizes[3] - sizes[1] < 2000  # two rows of the history


def test_a_training_goes_on_after_another_kind_of_generator(digits):
    byol = quick(warm_start=True).fit(digits[0])
    drawn = byol._state["batches"]["views"]
    byol._state["batches"]["views"] = drawn[:16]  # as long as that of CUDA
    first = byol.history_["loss"]
    byol.set_params(max_epochs=2).fit(digits[0])
    assert byol.history_["loss"][:1] == first


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_training_goes_on_after_a_device_without_a_fused_step(digits, optimizer):
    byol, other = (
        quick(warm_start=True, optimizer=optimizer).fit(digits[0]) for _ in range(2)
    )
    for group in byol._state["optimizer"]["param_groups"]:
        group["fused"] = False
    for estimator in (byol, other):
        estimator.set_params(max_epochs=2).fit(digits[0])
    assert byol.history_["loss"] == other.history_["loss"]
    assert all(group["fused"] for group in byol._state["optimizer"]["param_groups"])
