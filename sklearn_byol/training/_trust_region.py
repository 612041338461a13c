"""How far an encoder that knew much already goes from where it began.

Nothing without labels tells whether views are right for images. Where they are not,
BYOL unlearns what the encoder knew. So the encoder goes only as far as representations
stay similar to those of its beginning: in the end its weights are averaged with the
first ones (Wortsman et al. 2022, arXiv 2109.01903), by as much as that takes.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_byol.exceptions import WeightsWarning, warn
from sklearn_byol.training._checkpoints import State
from sklearn_byol.training._sample import evenly, rows_of_some
from sklearn_byol.training._training import Training

Rows = NDArray[np.float32]  # (n_images, n_dims)

N_COMPARED = 256  # images
LEAST_COMPARED = 8  # fewer say next to nothing
N_HALVINGS = 4  # so that the share is found to a sixteenth
TOO_FEW = (
    "{} images are too few to tell how far the encoder has gone from the weights that "
    "it began with, and min_similarity takes nothing back. Take {} or more."
)
NOTHING_KEPT = (
    "Nothing of the training is kept: it took the encoder too far from the weights "
    "that it began with. A sixteenth of the way leaves representations less similar to "
    "the first ones than min_similarity={:g}, as far as {} images tell. Try a lower "
    "encoder_lr, fewer epochs or milder views, or a lower min_similarity."
)


def settle(training: Training) -> float:
    """Take the encoder back as far as `min_similarity` wants; return the share kept.

    The share is of the way from the first weights to the trained ones: 1 leaves the
    encoder as it is, 0 makes it what it was.
    """
    began, plan, encoder = training.began, training.plan, training.encoder
    n_compared = min(N_COMPARED, len(training.images))
    if not (began and plan.min_similarity and training.net.history):
        return 1.0
    if n_compared < LEAST_COMPARED:
        warn(TOO_FEW.format(n_compared, LEAST_COMPARED), WeightsWarning)
        return 1.0
    end = {name: value.clone() for name, value in encoder.state_dict().items()}
    places = evenly(training, n_compared)

    def learned() -> Rows:
        return rows_of_some(training, places, learned_alone=True)

    def is_similar(share: float) -> bool:
        encoder.load_state_dict(between(began, end, share))
        return similarity(first, learned()) >= plan.min_similarity

    encoder.load_state_dict(began)
    first = learned()
    share = 1.0 if is_similar(1.0) else 0.0
    if not share:
        for step in 0.5 ** np.arange(1, N_HALVINGS + 1):
            share += step if is_similar(share + step) else 0.0
    share = float(plan.processes.first(share))
    encoder.load_state_dict(between(began, end, share))
    if share == 0:
        warn(NOTHING_KEPT.format(plan.min_similarity, n_compared), WeightsWarning)
    return share


def between(began: State, end: State, share: float) -> State:
    """Return weights on the way from the first to the last; counts are the last."""
    if share == 1:
        return end
    return {
        name: torch.lerp(began[name].to(value), value, share)
        if value.is_floating_point()
        else value
        for name, value in end.items()
    }


def similarity(first: Rows, second: Rows) -> float:
    """Linear CKA of two representations of the same images, without bias; 1 at most.

    Kornblith et al. (2019), Similarity of neural network representations revisited,
    arXiv 1905.00414; its estimate without bias is that of Song et al. (2012), Feature
    selection via dependence maximization. What is constant is similar to anything.
    """
    grams = [_gram(rows) for rows in (first, second)]
    (own, cross), (_, other) = [[_hsic(a, b) for b in grams] for a in grams]
    if own <= 0:
        return 1.0
    return cross / np.sqrt(own * other) if other > 0 else 0.0


def _gram(rows: Rows) -> NDArray[np.float64]:
    """Inner products of centred rows, without those with themselves."""
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    gram = centred @ centred.T
    np.fill_diagonal(gram, 0.0)
    return gram


def _hsic(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Estimate the Hilbert-Schmidt independence criterion, times n * (n - 3)."""
    n = len(first)
    together = (first * second).sum()
    apart = first.sum() * second.sum() / ((n - 1) * (n - 2))
    mixed = 2 / (n - 2) * (first.sum(axis=0) @ second.sum(axis=0))
    return float(together + apart - mixed)
