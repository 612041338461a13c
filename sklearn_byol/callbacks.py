"""Callbacks for `BYOLTransformer(callbacks=...)`, besides those of skorch."""

import math
from dataclasses import KW_ONLY, dataclass
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import train_test_split
from sklearn.utils import check_scalar, column_or_1d
from skorch import NeuralNet
from skorch.callbacks import Callback

from sklearn_byol.metrics import knn_accuracy
from sklearn_byol.training._history import FIGURES

__all__ = ["ProbeCallback"]

OURS = {*FIGURES, "train_loss", "batches", "encoder_lr", "validation_score"}


@dataclass(repr=False, eq=False)
class ProbeCallback(Callback):
    """Scores representations on a few labelled images while the encoder trains.

    A share of the images votes on the labels of the others, by cosine
    (`metrics.knn_accuracy`). Labels are looked at and not learned from: training is the
    same with and without. The history has it by its `name`, which callbacks behind
    this one may monitor: `EarlyStopping("knn_accuracy", lower_is_better=False)`.

    Parameters
    ----------
    X : array-like, path, sequence of images or Dataset
        Labelled images as `transform` takes them; a few hundred suffice.
    y : array-like of shape (n_samples,)
        Their labels; two or more of each.
    n_epochs : int, default=1
        Epochs from one score to the next; in between the history has NaN. An encoder
        that was trained already is scored before the first epoch too.
    test_size : float, default=0.5
        Share of the images whose labels are guessed, in (0, 1).
    n_neighbors : int, default=20
        How many vote, at most as many as there are to vote.
    random_state : int, default=0
        Divides the images.
    name : str, default="knn_accuracy"
        What the history calls it; two probes of one training have two names.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol import BYOLTransformer
    >>> from sklearn_byol.callbacks import ProbeCallback
    >>> X, y = load_digits(return_X_y=True)
    >>> probe = ProbeCallback(X[:200], y[:200])
    >>> byol = BYOLTransformer(max_epochs=2, callbacks=[probe], random_state=0).fit(X)
    >>> [0 < accuracy < 1 for accuracy in byol.history_["knn_accuracy"]]
    [True, True]
    """

    X: object
    y: ArrayLike
    _: KW_ONLY
    n_epochs: int = 1
    test_size: float = 0.5
    n_neighbors: int = 20
    random_state: int = 0
    name: str = "knn_accuracy"

    def at_start(self, net: NeuralNet) -> dict[str, float]:
        """Score an encoder that has been trained already, for the row of epoch 0."""
        self._read(net)
        return {self.name: self._score(net)}

    def on_train_begin(self, net: NeuralNet, *data: object, **kw: object) -> None:
        """Read the labelled images as the transformer reads its own, and divide them.

        Raises
        ------
        ValueError
            If images and labels are not as many, a class has a single image, the images
            are not like those of fit, or another probe has the same name.
        """
        self._read(net)

    def on_epoch_end(self, net: NeuralNet, **kw: object) -> None:
        """Score the encoder, if it is time, and write it to the history."""
        is_due = len(net.history) % self.n_epochs == 0
        net.history.record(self.name, self._score(net) if is_due else math.nan)

    def _read(self, net: NeuralNet) -> None:
        """Read and divide the labelled images."""
        try:
            check_scalar(self.n_epochs, "n_epochs", Integral, min_val=1)
            check_scalar(self.name, "name", str)
            self._check_name(net)
            self.images_ = net.read_images_(self.X)
            self.labels_ = column_or_1d(self.y)
            self.train_, self.test_ = train_test_split(
                np.arange(len(self.images_)),
                test_size=self.test_size,
                stratify=self.labels_,
                random_state=self.random_state,
            )
        except (ValueError, TypeError) as error:
            error.add_note("This is about a parameter of ProbeCallback.")
            raise

    def _check_name(self, net: NeuralNet) -> None:
        """Refuse a name that another probe, or the training itself, writes to."""
        probes = [c for _, c in net.callbacks_ if isinstance(c, ProbeCallback)]
        if [probe.name for probe in probes].count(self.name) > 1 or self.name in OURS:
            raise ValueError(
                f"name={self.name!r} is taken: the history would hold two things by "
                "it. Pass ProbeCallback(X, y, name='another_name')."
            )

    def _score(self, net: NeuralNet) -> float:
        """Let one part vote on the labels of the other."""
        rows, y = net.represent_(self.images_), self.labels_
        train, test = self.train_, self.test_
        n = min(self.n_neighbors, len(train))
        return knn_accuracy(rows[train], y[train], rows[test], y[test], n_neighbors=n)
