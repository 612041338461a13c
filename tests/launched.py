"""What every process of a launch runs; test_processes.py looks at what they leave.

Called as `launched.py FOLDER TASK ...`; writes FOLDER/TASK-RANK.pt for each task.
"""

import copy
import hashlib
import importlib
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from joblib import parallel_config
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback, TensorBoard
from torch import nn

from sklearn_byol import BYOLClassifier, BYOLTransformer
from sklearn_byol.callbacks import ProbeCallback

RANK = int(os.environ.get("RANK", "0"))
N_EPOCHS = 4
DIGITS, LABELS = load_digits(return_X_y=True)
X, Y = DIGITS[:99], LABELS[:99]  # batches and shares of different sizes


def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU())


def dropping():
    return nn.Sequential(small(), nn.Dropout(0.5))


class WithIdleWeights(nn.Module):
    """Holds a layer that is never used."""

    def __init__(self):
        super().__init__()
        self.used, self.idle = small(), nn.Linear(3, 3)

    def forward(self, images):
        return self.used(images)


def make(**parameters):
    settings = {"encoder": small, "max_epochs": 2, "batch_size": 25, "device": "cpu"}
    settings |= {"random_state": 0, "hidden_dim": 32, "projection_dim": 8}
    return BYOLTransformer(**{**settings, **parameters})


def told(byol, X=X):
    """Take what has to be the same in all processes."""
    digest = hashlib.sha256(byol.transform(X).tobytes())
    for tensor in byol.encoder_.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return {"digest": digest.hexdigest(), "history": byol.history_}


def error_of(function):
    try:
        function()
    except Exception as error:  # noqa: BLE001  whatever it is, the test looks at it
        return f"{type(error).__name__}: {error}"
    return "none"


class Records(Callback):
    """Keeps the first views, the networks before they are seen, and the gradients."""

    kept: dict = {}  # noqa: RUF012  fit makes a copy of the callback

    def on_batch_begin(self, net, batch=None, **kw):
        if net.step_ == 0:
            self.kept["views"] = [view.clone() for view in batch]
            self.kept["network"] = copy.deepcopy(net.module_)

    def on_grad_computed(self, net, **kw):
        if net.step_ == 0:
            named = net.module_.named_parameters()
            self.kept["gradients"] = {
                name: p.grad.clone() for name, p in named if p.requires_grad
            }


class StopsAlone(Callback):
    """One process of all wants to stop."""

    def on_epoch_end(self, net, **kw):
        if RANK == 1 and len(net.history) == 2:
            raise KeyboardInterrupt


class Signals(Callback):
    """One process of all is killed or stopped between two steps."""

    def __init__(self, number):
        self.number = number

    def on_batch_begin(self, net, **kw):
        if RANK == 1 and len(net.history) == N_EPOCHS - 1:
            (FOLDER / "signalled").write_text(str(time.time()), encoding="utf-8")
            os.kill(os.getpid(), self.number)


class Writer:
    """Notes what a logger writes."""

    names: list = []  # noqa: RUF012  fit makes a copy of the callback

    def add_scalar(self, tag, scalar_value, global_step):
        self.names.append(tag)


def defaults():
    parameters = {"encoder": "auto", "random_state": None, "batch_size": 50}
    return told(make(**parameters, precision="bfloat16").fit(X))


def one_step():
    exact = {"precision": "float32"}  # "auto" is less where a processor has bfloat16
    byol = make(max_epochs=1, callbacks=[Records()], **exact).fit(X)
    return {**Records.kept, **told(byol)}


def same_images():
    make(max_epochs=1, callbacks=[Records()]).fit(np.repeat(X[:1], 99, axis=0))
    return Records.kept["views"]


def more_kinds():
    return {
        "dropout": told(make(encoder=dropping).fit(X)),
        "idle weights": told(make(encoder=WithIdleWeights, optimizer="lars").fit(X)),
        "baseline": told(make(max_epochs=0).fit(X)),
        "partial": told(make().partial_fit(X).partial_fit(X[:60])),
        "warm": told(
            make(warm_start=True).fit(X).set_params(max_epochs=3).fit(X),
        ),
    }


def callbacks():
    given = [StopsAlone(), TensorBoard(Writer(), close_after_train=False)]
    probe = ProbeCallback(DIGITS[:200], LABELS[:200])
    stopped = make(max_epochs=9, callbacks=[probe, *given]).fit(X)
    return {**told(stopped), "tags": Writer.names}


def errors():
    def in_threads():
        search = GridSearchCV(
            make_pipeline(make(), LogisticRegression()),
            {"byoltransformer__lr": [1e-3]},
            cv=2,
            error_score="raise",
            n_jobs=2,
        )
        with parallel_config("threading"):
            search.fit(X, Y)

    return {
        "images": error_of(lambda: make().fit(X if RANK else X[::-1])),
        "parameters": error_of(lambda: make(random_state=RANK).fit(X)),
        "labels": error_of(lambda: BYOLClassifier(make()).fit(X, Y + RANK)),
        "shares": error_of(lambda: make(batch_size=3).fit(X)),
        "folder": error_of(lambda: make(checkpoint=FOLDER / "log").fit(X)),
        "threads": error_of(in_threads),
    }


def search():
    grid = {"byoltransformer__lr": [1e-3, 1e-2]}
    pipe = make_pipeline(make(max_epochs=1), LogisticRegression(max_iter=1000))
    found = GridSearchCV(pipe, grid, cv=2).fit(X, Y)
    return {
        "scores": found.cv_results_["mean_test_score"],
        **told(found.best_estimator_[0]),
    }


def classifier():
    parameters = {"max_epochs": 1, "early_stopping": False, "random_state": None}
    tuned = BYOLClassifier(make(random_state=None), **parameters).fit(X, Y)
    return {**told(tuned.byol_), "probabilities": tuned.predict_proba(X)}


def long(number=None, folder=None):
    given = [] if number is None else [Signals(number)]
    kept = {"checkpoint": folder, "checkpoint_minutes": 0} if folder else {}
    return told(make(max_epochs=N_EPOCHS, callbacks=given, **kept).fit(X))


def killed():
    return long(signal.SIGKILL, FOLDER / "checkpoints")


def resumed():
    return long(None, FOLDER / "checkpoints")


def hangs():
    torch.distributed.init_process_group("gloo", timeout=timedelta(seconds=5))
    return long(signal.SIGSTOP)


def learns():
    parameters = {"encoder": "auto", "max_epochs": 8, "batch_size": 128}
    parameters |= {"hidden_dim": 512, "projection_dim": 128}
    byol = make(**parameters).fit(DIGITS[:1024])
    rows = byol.transform(DIGITS)
    probe = LogisticRegression(max_iter=300).fit(rows[:100] / rows.std(), LABELS[:100])
    return {
        **told(byol),
        "score": probe.score(rows[100:] / rows.std(), LABELS[100:]),
    }


TASKS = [
    defaults,
    one_step,
    same_images,
    more_kinds,
    callbacks,
    errors,
    search,
    classifier,
]
TASKS += [long, killed, resumed, hangs, learns]

FOLDER = Path(sys.argv[1]) if sys.argv[1:] else Path()


def main():
    tasks = {task.__name__: task for task in TASKS}
    np.random.seed(RANK)  # noqa: NPY002  random_state=None follows numpy's
    for name in sys.argv[2:]:
        torch.save(tasks[name](), FOLDER / f"{name}-{RANK}.pt")


if __name__ == "__main__":
    # So that functions have the names that they have elsewhere.
    importlib.import_module("tests.launched").main()
