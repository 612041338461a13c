"""What callbacks of skorch's watch and write, also where a training is gone on with."""

import pytest
import torch
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler

from sklearn_byol.callbacks import ProbeCallback
from tests.conftest import quick
from tests.launched import small
from tests.test_checkpoints import PowerCut, assert_same

HISTORY = "effective_rank, .*lr, momentum, seconds, spread, .*, train_loss_best"


@pytest.mark.parametrize("kind", ["EarlyStopping", "Checkpoint", "LRScheduler"])
def test_what_nothing_writes_cannot_be_monitored(digits, tmp_path, kind):
    callbacks = {
        "EarlyStopping": EarlyStopping(),
        "Checkpoint": Checkpoint("valid_loss", dirname=tmp_path),
        "LRScheduler": LRScheduler("ReduceLROnPlateau", monitor="valid_loss"),
    }
    message = f"{kind} .* monitors 'valid_loss', which nothing writes.* has {HISTORY};"
    with pytest.raises(ValueError, match=message):
        quick(callbacks=[callbacks[kind]]).fit(digits[0])


def test_an_error_of_a_callback_that_monitors_nothing_is_its_own(digits):
    class Fails(Callback):
        def on_epoch_end(self, net, **kw):
            raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        quick(callbacks=[EarlyStopping("spread"), Fails()]).fit(digits[0])


@pytest.mark.parametrize(
    "name", ["train_loss", "spread", "effective_rank", "lr", "knn_accuracy"]
)
def test_what_the_documentation_names_can_be_monitored(digits, name):
    X, y = digits
    callbacks = [ProbeCallback(X[:60], y[:60]), EarlyStopping(name)]
    assert quick(batch_size=100, callbacks=callbacks).fit(X).n_iter_ == 1


@pytest.mark.parametrize("loads_best", [False, True])
def test_early_stopping_goes_on_waiting(digits, tmp_path, loads_best):
    # No epoch is better than the first by nine tenths, so that the third is the last.
    stop = EarlyStopping("train_loss", patience=2, threshold=0.9, load_best=loads_best)
    settings = {"max_epochs": 9, "batch_size": 50, "encoder": small}
    kept = {"checkpoint": tmp_path, "checkpoint_minutes": 0}
    X = digits[0][:100]
    whole = quick(**settings, callbacks=[stop]).fit(X)
    with pytest.raises(ConnectionError):
        quick(**settings, **kept, callbacks=[stop, PowerCut(5)]).fit(X)
    resumed = quick(**settings, **kept, callbacks=[stop]).fit(X)
    assert whole.n_iter_ == resumed.n_iter_ == 3
    assert_same(whole, resumed)


def test_after_warm_start_early_stopping_waits_anew(digits):
    stop = EarlyStopping("train_loss", patience=1, threshold=0.9)
    byol = quick(max_epochs=9, batch_size=100, warm_start=True, callbacks=[stop])
    byol.set_params(encoder=small)
    assert [byol.fit(digits[0]).n_iter_ for _ in range(2)] == [2, 4]


def test_two_probes_have_two_names(digits):
    X, y = digits
    one, other = ProbeCallback(X[:60], y[:60]), ProbeCallback(X[60:], y[60:])
    with pytest.raises(ValueError, match="name='knn_accuracy' is taken"):
        quick(callbacks=[one, other]).fit(X)
    other.name = "accuracy_of_others"
    history = quick(batch_size=100, callbacks=[one, other]).fit(X).history_
    assert {"knn_accuracy", "accuracy_of_others"} <= history.keys()
    other.name = "spread"
    with pytest.raises(ValueError, match="name='spread' is taken"):
        quick(callbacks=[one, other]).fit(X)


def test_two_trainings_do_not_use_one_folder(digits, tmp_path):
    settings = {"checkpoint": tmp_path, "batch_size": 100}

    class Begins(Callback):
        def on_batch_end(self, net, **kw):
            quick(**settings).fit(digits[0])

    with pytest.raises(ValueError, match="is used by another training that is still"):
        quick(**settings, callbacks=[Begins()]).fit(digits[0])
    after = quick(**settings).fit(digits[0])  # the lock is gone
    assert torch.isfinite(next(after.encoder_.parameters())).all()
