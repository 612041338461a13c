"""Whether a training from random weights went well, as far as that shows unlabelled.

Between a healthy training and one that has collapsed to a point lie those that keep a
few directions, or lose what a random network already tells apart: their loss is low.
Thresholds are from a grid of good and bad trainings (benchmarks/README.md).
"""

from dataclasses import dataclass

import torch

from sklearn_byol.exceptions import CollapseWarning, warn
from sklearn_byol.objective import effective_rank
from sklearn_byol.training._device import seeded_torch
from sklearn_byol.training._history import History
from sklearn_byol.training._sample import Rows, evenly, rows_of_some
from sklearn_byol.training._training import Training
from sklearn_byol.training._trust_region import similarity

COLLAPSED = 0.05  # spread; a healthy training has ten times as much
LOW_SPREAD, LOW_RANK = 0.45, 4.0  # of projections
LOW_SHARE = 0.5  # of the directions that representations had before training
FAR = 0.25  # similarity to those, where directions are not more than before
N_FOR_SPREAD, N_FOR_RANK = 16, 32  # images of a batch, numbers of a projection
N_COMPARED, LEAST_COMPARED = 256, 64  # images

SILENCE = "Silence this by filtering sklearn_byol.exceptions.CollapseWarning."
WAY_OUT = (
    "Representations may be worse than those of an untrained encoder: compare them by "
    "ProbeCallback, or with max_epochs=0. Try a lower lr, more epochs, a larger "
    "batch_size, or views that change the images less."
)


@dataclass(frozen=True)
class Distance:
    """How far representations of some images are from those before training."""

    share: float  # of the directions that they used, which they use
    similarity: float  # linear CKA

    @classmethod
    def between(cls, first: Rows, last: Rows) -> "Distance":
        """Compare representations of the same images."""
        ranks = [
            effective_rank(torch.from_numpy(rows)).item() for rows in (first, last)
        ]
        return cls(ranks[1] / ranks[0], float(similarity(first, last)))


def learned_rows(training: Training) -> Rows | None:
    """Represent some images by what is learned, if they are enough to compare."""
    if len(training.images) < LEAST_COMPARED:
        return None
    with seeded_torch(training.plan.seed, training.plan.device):  # some always draw
        return rows_of_some(training, evenly(training, N_COMPARED), learned_alone=True)


def check_health(training: Training, history: History) -> None:
    """Warn if a training has gone wrong; from its beginning it is compared with that.

    New heads of an encoder that knows images say little of it, and few images little
    of anything.
    """
    plan, first = training.plan, training.first
    if not training.net.history:
        return
    n_directions = min(plan.batch_size, plan.projection_dim, plan.representation_dim)
    if plan.is_pretrained or len(training.images) < LEAST_COMPARED:
        n_directions = 0
    last = None if first is None else learned_rows(training)
    distance = None
    if first is not None and last is not None and plan.is_first:
        distance = Distance.between(first, last)
    warn_of_collapse(history, n_directions, distance)


def warn_of_collapse(
    history: History, n_directions: int, distance: Distance | None = None
) -> None:
    """Warn if projections are nearly all the same, or representations have suffered.

    A batch of projections has at most `n_directions`; with 0 only the first is said.
    """
    if not history["spread"]:
        return
    spread, rank = history["spread"][-1], history["effective_rank"][-1]
    if spread < COLLAPSED:
        warn(
            "Training ended collapsed: the spread of the projections is "
            f"{spread:.3f}, where about 1 is healthy. Try a lower lr, a larger "
            "batch_size, a momentum nearer to 1, or views that change the images less. "
            f"{SILENCE}",
            CollapseWarning,
        )
        return
    signs = []
    if spread < LOW_SPREAD and n_directions >= N_FOR_SPREAD:
        signs.append(f"the spread of the projections is {spread:.2f}, of about 0.8")
    if rank < LOW_RANK and n_directions >= N_FOR_RANK:
        signs.append(f"their effective rank is {rank:.1f} of {n_directions}")
    if distance is not None and distance.share < LOW_SHARE:
        signs.append(
            f"representations use {distance.share:.0%} of the directions that they "
            "used before training"
        )
    if distance is not None and distance.similarity < FAR and distance.share < 1:
        signs.append(
            "representations have little in common with those before training (CKA "
            f"{distance.similarity:.2f})"
        )
    if signs:
        warn(
            f"Training ended partly collapsed, or diverged: {'; '.join(signs)}. "
            f"{WAY_OUT} {SILENCE}",
            CollapseWarning,
        )
