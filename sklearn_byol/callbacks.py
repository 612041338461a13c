"""Callbacks for `BYOLTransformer(callbacks=...)`, besides those of skorch."""

import math
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils import check_scalar
from skorch import NeuralNet
from skorch.callbacks import Callback

from sklearn_byol._unlabelled import as_labels, labels_among
from sklearn_byol.metrics import check_as_many, knn_accuracy
from sklearn_byol.training._history import FIGURES, record_best

__all__ = ["ProbeCallback"]

OURS = {*FIGURES, "train_loss", "batches", "encoder_lr", "validation_score"}


@dataclass(repr=False, eq=False)
class ProbeCallback(Callback):
    """Scores representations on a few labelled images while the encoder trains.

    A share of the images votes on the labels of the others, by cosine
    (`metrics.knn_accuracy`). Labels are looked at and not learned from: training is the
    same with and without. The history has it by its `name`, which callbacks behind
    this one may monitor: `EarlyStopping("knn_accuracy", lower_is_better=False,
    load_best=True)`. Beside it is whether it is the best so far, for
    `Checkpoint(monitor="knn_accuracy_best")`.

    Parameters
    ----------
    X : array-like, path, sequence of images or Dataset
        Labelled images as `transform` takes them; a few hundred suffice.
    y : array-like of shape (n_samples,)
        Their labels; two or more of each of two classes at least. Images without a
        label, which -1, None or NaN marks, are left out.
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
            If images and labels are not as many, no two classes are labelled, a class
            has a single image, the images are not like those of fit, or another probe
            has the same name.
        """
        self._read(net)

    def on_epoch_end(self, net: NeuralNet, **kw: object) -> None:
        """Score the encoder, if it is time, and write it to the history."""
        is_due = len(net.history) % self.n_epochs == 0
        net.history.record(self.name, self._score(net) if is_due else math.nan)
        record_best(net, self.name, lower_is_better=False)

    def _read(self, net: NeuralNet) -> None:
        """Read and divide the labelled images."""
        try:
            check_scalar(self.n_epochs, "n_epochs", Integral, min_val=1)
            check_scalar(self.name, "name", str)
            self._check_name(net)
            images, values = net.read_images_(self.X), as_labels("y", self.y)
            check_as_many("y", values, "X", images)
            chosen, self.labels_ = labels_among("y", values)
            _check_enough(self.labels_)
            self.images_ = images[chosen]
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


def _check_enough(labels: NDArray[Any]) -> None:
    """Check that there are two classes, and images to vote and to be scored of each."""
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or counts.min() < 2:
        rare = classes.tolist()[counts.argmin()]
        raise ValueError(
            "y must label two images or more of each class, and two classes or more. "
            f"Classes labelled: {len(classes)}; images of the rarest, {rare!r}: "
            f"{counts.min()}. -1, None and NaN are no label."
        )
