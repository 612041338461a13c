"""Algorithm 1 of the paper, and what it needs."""

from sklearn_byol.training._callbacks import check_callbacks
from sklearn_byol.training._checkpoints import Checkpoints, State, as_arrays
from sklearn_byol.training._device import (
    batches_advice,
    device_or_best,
    draws_globally,
    represent,
    resolve_device,
    resolve_precision,
    seeded_torch,
)
from sklearn_byol.training._fine_tuning import (
    LabelledImages,
    LinearHead,
    Tuning,
    TuningPlan,
    tune,
)
from sklearn_byol.training._history import History
from sklearn_byol.training._optimizers import OPTIMIZERS
from sklearn_byol.training._plan import Plan, warn_of_risks
from sklearn_byol.training._processes import Processes, join
from sklearn_byol.training._run import run
from sklearn_byol.training._training import Training

__all__ = [
    "OPTIMIZERS",
    "Checkpoints",
    "History",
    "LabelledImages",
    "LinearHead",
    "Plan",
    "Processes",
    "State",
    "Training",
    "Tuning",
    "TuningPlan",
    "as_arrays",
    "batches_advice",
    "check_callbacks",
    "device_or_best",
    "draws_globally",
    "join",
    "represent",
    "resolve_device",
    "resolve_precision",
    "run",
    "seeded_torch",
    "tune",
    "warn_of_risks",
]
