"""Ctrl-C, told from callbacks that end a training by the same exception."""

import contextlib
import signal
import threading

import pandas as pd
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback, Checkpoint, EarlyStopping

from sklearn_byol import BYOLClassifier, InterruptWarning
from sklearn_byol.callbacks import ProbeCallback
from sklearn_byol.training._interrupts import held_interrupts
from tests.conftest import quick
from tests.launched import small
from tests.test_checkpoints import assert_same

SETTINGS = {"encoder": small, "max_epochs": 9, "batch_size": 100}


class Presses(Callback):
    """Presses Ctrl-C at the end of the second epoch, behind all other callbacks."""

    def __init__(self, number=signal.SIGINT):
        self.number = number

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            signal.raise_signal(self.number)


def raises(number, frame):
    raise KeyboardInterrupt


def stopping():
    """Stop a training after its third epoch."""
    return EarlyStopping("train_loss", patience=2, threshold=0.9)


@pytest.fixture(params=[raises, signal.default_int_handler])
def handler(request):
    """A handler of the program's own, and Python's."""
    before = signal.signal(signal.SIGINT, request.param)
    yield request.param
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_at_the_end_of_an_epoch_is_no_early_stopping(digits, tmp_path, handler):
    X, _ = digits
    kept = {"checkpoint": tmp_path, "checkpoint_minutes": 0}
    byol = quick(**SETTINGS, **kept, callbacks=[stopping(), Presses()])
    with pytest.raises(KeyboardInterrupt):
        byol.fit(X)
    assert not hasattr(byol, "encoder_")
    states = [
        torch.load(path, weights_only=True)["state"]
        for path in tmp_path.glob("*.checkpoint")
    ]
    assert states
    assert not any(state["is_over"] for state in states)
    assert signal.getsignal(signal.SIGINT) is handler


def test_early_stopping_ends_a_training_whatever_the_handler(digits, handler):
    byol = quick(**SETTINGS, callbacks=[stopping()]).fit(digits[0])
    assert byol.n_iter_ == 3
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_handler_that_only_takes_a_note_lets_training_go_on(digits):
    notes = []
    before = signal.signal(signal.SIGINT, lambda number, frame: notes.append(number))
    try:
        byol = quick(**SETTINGS, callbacks=[Presses(), stopping()]).fit(digits[0])
    finally:
        signal.signal(signal.SIGINT, before)
    assert notes == [signal.SIGINT]
    assert byol.n_iter_ == 3


def test_an_ignored_signal_stays_ignored(digits):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        byol = quick(**SETTINGS, callbacks=[Presses(), stopping()]).fit(digits[0])
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert byol.n_iter_ == 3


def test_in_a_thread_ctrl_c_reaches_the_main_one_only(digits, handler):
    epoch, pressed, fitted = threading.Event(), threading.Event(), []

    class Waits(Callback):
        def on_epoch_end(self, net, **kwargs):
            epoch.set()
            assert pressed.wait(60)

    def fit():
        callbacks = [stopping(), Waits()]
        fitted.append(quick(**SETTINGS, callbacks=callbacks).fit(digits[0]))

    thread = threading.Thread(target=fit)
    thread.start()
    assert epoch.wait(60)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    pressed.set()
    thread.join()
    assert fitted[0].n_iter_ == 3
    assert signal.getsignal(signal.SIGINT) is handler


class Swallows(Callback):
    """Presses Ctrl-C in the middle of an epoch, and takes it for nothing."""

    def on_batch_end(self, net, **kwargs):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_another_signal_that_interrupts_is_no_early_stopping(digits):
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            quick(**SETTINGS, callbacks=[Presses(signal.SIGTERM)]).fit(digits[0])
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_handler_that_a_callback_sets_counts(digits, handler):
    class Sets(Callback):
        def on_epoch_begin(self, net, **kwargs):
            signal.signal(signal.SIGINT, raises)

    with pytest.raises(KeyboardInterrupt):
        quick(**SETTINGS, callbacks=[Sets(), Presses()]).fit(digits[0])


def test_ctrl_c_that_a_callback_has_swallowed_is_forgotten(digits, handler):
    byol = quick(**SETTINGS, callbacks=[Swallows(), stopping()]).fit(digits[0])
    assert byol.n_iter_ == 3


class Fails(Callback):
    """Fails at the end of an epoch, or in the middle of the next one."""

    def __init__(self, at=2, error=RuntimeError, *, is_inside=False):
        self.at, self.error, self.is_inside = at, error, is_inside

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.at and not self.is_inside:
            raise self.error("mine")

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.at + 1 and self.is_inside:
            raise self.error("mine")


INTERRUPTS = [
    Presses(),
    Fails(),
    Fails(is_inside=True),
    Fails(error=MemoryError),
    Fails(error=SystemError, is_inside=True),
]


@pytest.mark.parametrize("cut", INTERRUPTS)
def test_the_last_whole_epoch_is_in_the_checkpoint(digits, tmp_path, cut):
    X, _ = digits
    settings = {"max_epochs": 4, "batch_size": 50}
    byol = quick(**settings, checkpoint=tmp_path, callbacks=[cut])
    with pytest.raises((KeyboardInterrupt, Exception)) as caught:
        byol.fit(X)
    assert "2 whole epochs kept in checkpoint" in caught.value.__notes__[0]
    epochs = Epochs()
    byol.set_params(callbacks=[epochs]).fit(X)
    whole = quick(**settings).fit(X)
    assert epochs.seen[-1] == 4
    assert len([n for n in epochs.seen if n > 2]) == 2
    assert_same(byol, whole)


class Epochs(Callback):
    """Notes which epochs it sees; a list of its own keeps it from being made anew."""

    def __init__(self):
        self.seen = []

    def on_epoch_end(self, net, **kwargs):
        self.seen.append(len(net.history))


def test_callbacks_hear_of_an_epoch_that_an_error_has_kept_from_them(digits, tmp_path):
    X, y = digits
    settings = {"max_epochs": 3, "checkpoint": tmp_path}
    with pytest.raises(RuntimeError, match="mine"):
        quick(**settings, callbacks=[Fails(), ProbeCallback(X, y)]).fit(X)
    byol = quick(**settings, callbacks=[ProbeCallback(X, y)]).fit(X)
    whole = quick(max_epochs=3, callbacks=[ProbeCallback(X, y)]).fit(X)
    assert byol.history_["knn_accuracy"] == whole.history_["knn_accuracy"]


def test_callbacks_hear_of_the_last_epoch_where_an_error_came_then(digits, tmp_path):
    X, _ = digits
    settings = {"max_epochs": 2, "checkpoint": tmp_path}
    with pytest.raises(RuntimeError, match="mine"):
        quick(**settings, callbacks=[Fails()]).fit(X)
    epochs = Epochs()
    quick(**settings, callbacks=[epochs]).fit(X)
    assert epochs.seen == [2]


@pytest.mark.parametrize("cut", INTERRUPTS)
def test_the_encoder_of_an_earlier_fit_stays(digits, cut):
    X, _ = digits
    byol = quick().fit(X)
    before = byol.transform(X[:5])
    with pytest.raises((KeyboardInterrupt, Exception)) as caught:
        byol.set_params(max_epochs=4, callbacks=[cut]).fit(X)
    assert "What was fitted before is still there." in caught.value.__notes__
    assert (byol.transform(X[:5]) == before).all()
    assert byol.n_iter_ == 1


def test_the_encoder_of_an_earlier_fit_is_there_while_another_is_trained(digits):
    X, _ = digits
    byol = quick().fit(X)
    before, seen = byol.transform(X[:5]), []

    class Serves(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(byol.transform(X[:5]))

    byol.set_params(callbacks=[Serves()], random_state=1).fit(X)
    assert (seen[0] == before).all()
    assert (byol.transform(X[:5]) != before).any()


def test_parameters_that_cannot_be_leave_an_earlier_fit(digits):
    byol = quick().fit(digits[0])
    with pytest.raises(ValueError, match="momentum"):
        byol.set_params(momentum=2).fit(digits[0])
    assert byol.transform(digits[0]).shape == (200, 512)


def test_without_a_checkpoint_a_note_says_what_is_lost(digits):
    with pytest.raises(KeyboardInterrupt) as caught:
        quick(**SETTINGS, callbacks=[Presses()]).fit(digits[0])
    assert "2 whole epochs lost. With checkpoint=" in caught.value.__notes__[0]


def test_a_warm_start_counts_the_epochs_that_it_has_lost(digits):
    byol = quick(warm_start=True).fit(digits[0])
    with pytest.raises(KeyboardInterrupt) as caught:
        byol.set_params(max_epochs=5, callbacks=[Presses()]).fit(digits[0])
    assert "1 whole epoch lost" in caught.value.__notes__[0]


def test_ctrl_c_may_keep_what_there_is(digits, handler):
    byol = quick(**SETTINGS, callbacks=[Presses()], on_interrupt="keep")
    with pytest.warns(InterruptWarning, match="after 2 of 9 epochs"):
        byol.fit(digits[0])
    assert byol.n_iter_ == 2
    assert len(byol.history_["loss"]) == 2
    assert len(byol.transform(digits[0])) == 200


class PressesInside(Callback):
    """Presses Ctrl-C in the middle of the third epoch."""

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == 3:
            signal.raise_signal(signal.SIGINT)


def test_of_an_epoch_that_is_cut_off_there_is_no_row(digits):
    byol = quick(**SETTINGS, callbacks=[PressesInside()], on_interrupt="keep")
    with pytest.warns(InterruptWarning):
        byol.fit(digits[0])
    assert byol.n_iter_ == 2


@pytest.mark.parametrize("cut", [Presses(), PressesInside()])
def test_what_was_kept_can_be_gone_on_with(digits, cut):
    X, _ = digits
    byol = quick(**SETTINGS, callbacks=[cut], on_interrupt="keep", warm_start=True)
    with pytest.warns(InterruptWarning):
        byol.fit(X)
    byol.set_params(callbacks=None).fit(X)
    assert byol.history_["epoch"] == list(range(1, 10))


def test_what_was_kept_is_in_the_checkpoint_to_its_last_whole_epoch(digits, tmp_path):
    X, _ = digits
    settings = {**SETTINGS, "max_epochs": 4}
    kept = {"on_interrupt": "keep", "checkpoint": tmp_path}
    byol = quick(**settings, **kept, callbacks=[PressesInside()])
    with pytest.warns(InterruptWarning, match="resumes in checkpoint"):
        byol.fit(X)
    assert_same(byol.set_params(callbacks=None).fit(X), quick(**settings).fit(X))


def test_a_callback_may_ask_to_stop_in_the_middle_of_an_epoch(digits):
    byol = quick(**SETTINGS, callbacks=[Fails(error=KeyboardInterrupt, is_inside=True)])
    with pytest.warns(InterruptWarning):
        byol.fit(digits[0])
    assert byol.n_iter_ == 2


def test_a_loss_that_is_not_finite_is_not_put_into_the_checkpoint(digits, tmp_path):
    cut = Fails(error=FloatingPointError, is_inside=True)
    with pytest.raises(FloatingPointError) as caught:
        quick(**SETTINGS, checkpoint=tmp_path, callbacks=[cut]).fit(digits[0])
    assert not hasattr(caught.value, "__notes__")
    assert not [*tmp_path.glob("*.checkpoint")]


def test_tuning_that_is_cut_off_leaves_byol(digits):
    X, y = digits
    classifier = BYOLClassifier(quick(), callbacks=[Presses()], max_epochs=4)
    with pytest.raises(KeyboardInterrupt) as caught:
        classifier.fit(X, y)
    assert "byol=FrozenEstimator(classifier.byol_)" in caught.value.__notes__[0]
    again = BYOLClassifier(FrozenEstimator(classifier.byol_), max_epochs=1)
    assert again.fit(X, y).byol_ is classifier.byol_


def test_tuning_that_is_cut_off_leaves_an_earlier_classifier(digits):
    X, y = digits
    classifier = BYOLClassifier(quick(), max_epochs=1, random_state=0).fit(X, y)
    before = classifier.predict_proba(X)
    with pytest.raises(KeyboardInterrupt):
        classifier.set_params(callbacks=[Presses()], max_epochs=4).fit(X, y)
    assert (classifier.predict_proba(X) == before).all()
    assert classifier.untuned_byol_ is not classifier.byol_
    again = classifier.set_params(callbacks=None, max_epochs=1).fit(X, y)
    assert not hasattr(again, "untuned_byol_")


def test_tuning_keeps_what_there_is_where_byol_does(digits):
    X, y = digits
    byol = quick(on_interrupt="keep")
    classifier = BYOLClassifier(byol, callbacks=[Presses()], max_epochs=4)
    with pytest.warns(InterruptWarning):
        classifier.fit(X, y)
    assert classifier.n_iter_ == 2


def test_a_training_that_is_over_is_made_longer_in_its_folder(digits, tmp_path):
    X, _ = digits
    quick(max_epochs=2, checkpoint=tmp_path).fit(X)
    epochs = Epochs()
    settings = {"max_epochs": 3, "checkpoint": tmp_path, "callbacks": [epochs]}
    byol = quick(**settings, warm_start=True).fit(X)
    assert epochs.seen == [3]
    assert byol.n_iter_ == 3


def test_how_to_make_it_longer_is_said(digits, tmp_path):
    quick(max_epochs=2, checkpoint=tmp_path).fit(digits[0])
    with pytest.raises(ValueError, match="Pass warm_start=True to train it for longer"):
        quick(max_epochs=3, checkpoint=tmp_path).fit(digits[0])


def test_other_parameters_are_another_training_with_warm_start_too(digits, tmp_path):
    quick(max_epochs=2, checkpoint=tmp_path).fit(digits[0])
    with pytest.raises(ValueError, match=r"lr is 0.01 here.*Choose another folder"):
        quick(max_epochs=3, lr=0.01, checkpoint=tmp_path, warm_start=True).fit(
            digits[0]
        )


@pytest.mark.parametrize("at", [1, 2])
def test_callbacks_hear_of_each_epoch_once(digits, tmp_path, at):
    X, _ = digits
    settings = {"max_epochs": 3, "batch_size": 50, "checkpoint": tmp_path}
    settings["checkpoint_minutes"] = 0
    cuts = [Fails(at), Fails(at, is_inside=True)]
    for cut in cuts:
        with pytest.raises(RuntimeError, match="mine"):
            quick(**settings, callbacks=[cut]).fit(X)
    epochs = Epochs()
    quick(**settings, callbacks=[epochs]).fit(X)
    assert epochs.seen == list(range(at + 1, 4))


def test_a_training_that_ended_between_is_over(digits, tmp_path):
    X, _ = digits
    settings = {"checkpoint": tmp_path, "warm_start": True}
    with pytest.raises(RuntimeError, match="mine"):
        quick(max_epochs=2, **settings, callbacks=[Fails()]).fit(X)
    byol = quick(max_epochs=2, **settings).fit(X)
    epochs = Epochs()
    byol.set_params(max_epochs=4, callbacks=[epochs]).fit(X)
    assert epochs.seen == [3, 4]


def test_nothing_is_said_of_a_checkpoint_that_has_nothing(digits, tmp_path):
    class First(Callback):
        def on_batch_end(self, net, **kwargs):
            signal.raise_signal(signal.SIGINT)

    kept = {"on_interrupt": "keep", "checkpoint": tmp_path}
    with pytest.warns(InterruptWarning) as record:
        quick(**SETTINGS, **kept, callbacks=[First()]).fit(digits[0])
    assert "resumes in checkpoint" not in str(record[0].message)


def test_a_first_partial_fit_that_fails_leaves_no_names(digits):
    frame = pd.DataFrame(digits[0], columns=[f"pixel{n}" for n in range(64)])
    byol = quick()
    with pytest.raises(ValueError, match="minimum of 2"):
        byol.partial_fit(frame[:1])
    assert not hasattr(byol, "feature_names_in_")


def test_what_cannot_be_saved_is_refused_before_training(digits, no_training):
    network = small()
    network.register_buffer("count", torch.zeros((), dtype=torch.bfloat16))
    with pytest.raises(ValueError, match=r"the type torch.bfloat16, which numpy lacks"):
        quick(encoder=network).fit(digits[0])


BEST = [
    lambda folder: Checkpoint("train_loss_best", dirname=folder, load_best=True),
    lambda folder: EarlyStopping("train_loss", load_best=True),
]


class First(Callback):
    """Presses Ctrl-C in the first epoch."""

    def on_batch_end(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("make", BEST)
def test_the_first_error_counts(digits, tmp_path, make):
    byol = quick(**SETTINGS, callbacks=[make(tmp_path), First()])
    with pytest.raises(KeyboardInterrupt):
        byol.fit(digits[0])


@pytest.mark.parametrize("make", BEST)
def test_what_there_is_is_kept_where_a_callback_fails_then(digits, tmp_path, make):
    callbacks = [make(tmp_path), First()]
    byol = quick(**SETTINGS, callbacks=callbacks, on_interrupt="keep")
    with pytest.warns(InterruptWarning) as record:
        byol.fit(digits[0])
    assert any("on_train_end" in str(warning.message) for warning in record)
    assert byol.transform(digits[0]).shape[0] == 200


def test_a_monitor_that_nothing_writes_is_named_where_the_best_is_wanted(
    digits, tmp_path
):
    best = Checkpoint("knn_best", dirname=tmp_path, load_best=True)
    with pytest.raises(ValueError, match="monitors 'knn_best', which nothing writes"):
        quick(callbacks=[best]).fit(digits[0])


class FailsAtTheEnd(Callback):
    def __init__(self, error):
        self.error = error

    def on_train_end(self, net, **kwargs):
        raise self.error("mine")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_error_at_the_end_loses_nothing(digits, tmp_path, error):
    X, _ = digits
    settings = {"max_epochs": 2, "checkpoint": tmp_path}
    byol = quick(**settings, callbacks=[FailsAtTheEnd(error)])
    if error is KeyboardInterrupt:  # which is how callbacks ask to stop
        with pytest.warns(InterruptWarning):
            byol.fit(X)
    else:
        with pytest.raises(error, match="mine") as caught:
            byol.fit(X)
        assert "2 whole epochs kept in checkpoint" in caught.value.__notes__[0]
    epochs = Epochs()
    again = quick(**settings, callbacks=[epochs]).fit(X)
    assert epochs.seen == []
    assert_same(again, quick(max_epochs=2).fit(X))


def test_a_signal_that_ends_the_program_is_rescued_from(digits, tmp_path):
    def exits(number, frame):
        raise SystemExit(3)

    before = signal.signal(signal.SIGTERM, exits)
    try:
        byol = quick().fit(digits[0])
        settings = {"max_epochs": 4, "checkpoint": tmp_path}
        byol.set_params(**settings, callbacks=[Presses(signal.SIGTERM)])
        with pytest.raises(SystemExit) as caught:
            byol.fit(digits[0])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "2 whole epochs kept" in caught.value.__notes__[0]
    assert "still there" in caught.value.__notes__[1]


def test_ctrl_c_waits_for_what_is_inside(handler):
    done = []
    with held_interrupts():
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_error_for_want_of_memory_has_the_note_too(digits, tmp_path):
    cut = Fails(error=torch.OutOfMemoryError)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        quick(max_epochs=4, checkpoint=tmp_path, callbacks=[cut]).fit(digits[0])
    assert "2 whole epochs kept" in caught.value.__notes__[0]


def test_after_a_failed_refit_a_classifier_goes_on_as_it_was(digits):
    X, y = digits
    classifier = BYOLClassifier(quick(), max_epochs=2, random_state=0).fit(X, y)
    before = classifier.score(X, y)
    with pytest.raises(KeyboardInterrupt):
        classifier.set_params(callbacks=[Presses()]).fit(X * 100, y)
    classifier.set_params(callbacks=None, encoder_lr=1e-6).partial_fit(X, y)
    assert classifier.score(X, y) > before - 0.1


class FailsAtFirst(Callback):
    is_on = False

    def on_train_begin(self, net, **kwargs):
        if self.is_on:
            raise RuntimeError("mine")


def test_an_error_at_the_beginning_has_lost_nothing(digits):
    byol = quick(warm_start=True, callbacks=[FailsAtFirst()]).fit(digits[0])
    on = FailsAtFirst()
    on.is_on = True
    stop = EarlyStopping("train_loss", load_best=True)
    with pytest.raises(RuntimeError, match="mine") as caught:
        byol.set_params(max_epochs=3, callbacks=[on, stop]).fit(digits[0])
    assert not hasattr(caught.value, "__notes__")


class Exits(Callback):
    """Fails, and ends the program when it is told of the end."""

    def on_epoch_end(self, net, **kwargs):
        raise RuntimeError("mine")

    def on_train_end(self, net, **kwargs):
        raise SystemExit


def test_a_program_that_ends_in_a_callback_says_what_was_first(digits, capsys):
    with pytest.raises(RuntimeError, match="mine") as caught:
        quick(callbacks=[Exits()], verbose=1).fit(digits[0])
    assert "at on_train_end: SystemExit()" in caught.value.__notes__[-1]
