"""Algorithm 1 of the paper on skorch's loop."""

from sklearn_byol.training._callbacks import check_callbacks
from sklearn_byol.training._checkpoints import Checkpoints
from sklearn_byol.training._devices import (
    device_or_best,
    ready,
    resolve_device,
    resolve_precision,
)
from sklearn_byol.training._inference import represent
from sklearn_byol.training._labelled import LabelledImages, LinearHead
from sklearn_byol.training._optimizers import OPTIMIZERS
from sklearn_byol.training._processes import Processes, join
from sklearn_byol.training._randomness import draws_globally, seeded_torch
from sklearn_byol.training._risks import warn_of_risks
from sklearn_byol.training._schedule import Schedule, resolve_schedule
from sklearn_byol.training._settings import TrainingSettings
from sklearn_byol.training._training import History, State, Training
from sklearn_byol.training._tuning import TuningSettings, tune

__all__ = [
    "OPTIMIZERS",
    "Checkpoints",
    "History",
    "LabelledImages",
    "LinearHead",
    "Processes",
    "Schedule",
    "State",
    "Training",
    "TrainingSettings",
    "TuningSettings",
    "check_callbacks",
    "device_or_best",
    "draws_globally",
    "join",
    "ready",
    "represent",
    "resolve_device",
    "resolve_precision",
    "resolve_schedule",
    "seeded_torch",
    "tune",
    "warn_of_risks",
]
