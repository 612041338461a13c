"""Ctrl-C, told from callbacks that end a training by the same exception."""

import contextlib
import signal
import threading

import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping

from tests.conftest import quick
from tests.launched import small

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
    states = [torch.load(path)["state"] for path in tmp_path.glob("*.checkpoint")]
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
