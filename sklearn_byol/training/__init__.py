"""Algorithm 1 of the paper on skorch's loop."""

from sklearn_byol.training._devices import (
    device_or_best,
    ready,
    resolve_device,
    resolve_precision,
)
from sklearn_byol.training._inference import represent
from sklearn_byol.training._labelled import LabelledImages, LinearHead
from sklearn_byol.training._optimizers import OPTIMIZERS
from sklearn_byol.training._randomness import draws_globally, seeded_torch
from sklearn_byol.training._risks import warn_of_risks
from sklearn_byol.training._schedule import Schedule, resolve_schedule
from sklearn_byol.training._settings import TrainingSettings
from sklearn_byol.training._train import check_callbacks, train
from sklearn_byol.training._tuning import TuningSettings, tune

__all__ = [
    "OPTIMIZERS",
    "LabelledImages",
    "LinearHead",
    "Schedule",
    "TrainingSettings",
    "TuningSettings",
    "check_callbacks",
    "device_or_best",
    "draws_globally",
    "ready",
    "represent",
    "resolve_device",
    "resolve_precision",
    "resolve_schedule",
    "seeded_torch",
    "train",
    "tune",
    "warn_of_risks",
]
