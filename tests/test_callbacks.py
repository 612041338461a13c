"""Callbacks that look at a training."""

import threading

import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback, EarlyStopping, LRScheduler, TensorBoard

from sklearn_byol.callbacks import ProbeCallback
from sklearn_byol.metrics import knn_accuracy
from tests.conftest import quick


def test_the_probe_scores_the_encoder_as_it_stands(digits):
    X, y = digits
    probe = ProbeCallback(X, y, n_neighbors=5)
    byol = quick(max_epochs=2, callbacks=[probe]).fit(X)
    parts = train_test_split(
        byol.transform(X), y, test_size=0.5, stratify=y, random_state=0
    )
    rows, rows_test, labels, labels_test = parts
    expected = knn_accuracy(rows, labels, rows_test, labels_test, n_neighbors=5)
    scores = byol.history_["knn_accuracy"]
    assert len(scores) == 2
    assert scores[-1] == pytest.approx(expected, abs=0.011)  # an image of 100
    assert not hasattr(probe, "images_")  # a copy was used


def test_training_is_the_same_with_a_probe(digits):
    X, y = digits
    plain = quick(max_epochs=2).fit(X)
    probed = quick(max_epochs=2, callbacks=[ProbeCallback(X, y)]).fit(X)
    for name, value in plain.encoder_.state_dict().items():
        assert torch.equal(value, probed.encoder_.state_dict()[name]), name


def test_between_two_scores_there_is_nothing(digits):
    X, y = digits
    probe = ProbeCallback(X, y, n_epochs=2)
    scores = quick(max_epochs=3, callbacks=[probe]).fit(X).history_["knn_accuracy"]
    assert np.isnan(scores).tolist() == [True, False, True]


def test_the_probe_reads_images_as_the_transformer_does(colour_images):
    y = np.arange(12) % 2
    flipped = np.moveaxis(colour_images, -1, 1)
    scores = [
        quick(callbacks=[ProbeCallback(X, y)])
        .fit(colour_images)
        .history_["knn_accuracy"]
        for X in (colour_images, flipped)
    ]
    assert scores[0] == scores[1]


def test_early_stopping_may_watch_the_probe(digits):
    X, y = digits
    stop = EarlyStopping(
        "knn_accuracy", lower_is_better=False, patience=1, threshold=1.0
    )
    byol = quick(max_epochs=9, callbacks=[ProbeCallback(X, y), stop]).fit(X)
    assert byol.n_iter_ == len(byol.history_["knn_accuracy"]) < 9


def test_numbers_of_other_callbacks_are_in_the_history(digits):
    class Counts(Callback):
        def on_epoch_end(self, net, **kw):
            net.history.record("n_epochs", len(net.history))
            net.history.record("text", "not a number")

    history = quick(max_epochs=2, callbacks=[Counts()]).fit(digits[0]).history_
    assert history["n_epochs"] == [1, 2]
    assert "text" not in history


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X[:, :49], y), "X has 49 features"),
        (lambda X, y: (X, y[:-1]), "y has 199 entries, but X has 200"),
        (lambda X, y: (X * 100, y), "values"),
        (lambda X, y: (X, np.r_[99, y[1:]]), "of the rarest, 99: 1"),
    ],
)
def test_labelled_images_that_do_not_fit_are_an_error(digits, change, message):
    X, y = digits
    with pytest.raises(ValueError, match=message):
        quick(callbacks=[ProbeCallback(*change(X, y))]).fit(X)


def test_an_encoder_that_knows_something_is_scored_before_the_first_epoch(digits):
    X, y = digits
    probe = ProbeCallback(X, y)
    trained = quick(max_epochs=5).fit(X)
    further = quick(encoder=trained.encoder_, callbacks=[probe]).fit(X)
    frozen = quick(encoder=trained.encoder_, max_epochs=0, callbacks=[probe]).fit(X)
    assert len(further.history_["knn_accuracy"]) == 2
    assert frozen.history_["knn_accuracy"] == further.history_["knn_accuracy"][:1]
    assert frozen.history_["knn_accuracy"][0] > 0.5


def test_a_scheduler_of_skorchs_sets_the_learning_rate(digits):
    halves = LRScheduler("StepLR", step_size=1, gamma=0.5)
    byol = quick(max_epochs=3, lr=1e-3, callbacks=[halves]).fit(digits[0])
    assert byol.history_["lr"] == [1e-3, 5e-4, 2.5e-4]


def test_a_logger_keeps_its_writer(digits):
    class Writer:
        """Cannot be copied, as writers with threads cannot."""

        def __init__(self):
            self.lock, self.names = threading.Lock(), []

        def add_scalar(self, tag, scalar_value, global_step):
            self.names.append((tag, global_step))

    writer = Writer()
    quick(max_epochs=2, callbacks=[TensorBoard(writer, close_after_train=False)]).fit(
        digits[0]
    )
    assert ("Loss/train_loss", 2) in writer.names


def test_errors_name_the_probe(digits):
    X, y = digits
    with pytest.raises(ValueError, match="n_epochs == 0") as caught:
        quick(callbacks=[ProbeCallback(X, y, n_epochs=0)]).fit(X)
    assert "ProbeCallback" in caught.value.__notes__[0]
