"""What values the parameters of BYOLTransformer may take."""

import os
from numbers import Integral, Real
from typing import Any

from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from sklearn_byol.training import OPTIMIZERS
from sklearn_byol.views import RandomViews

__all__ = ["CONSTRAINTS"]

AUTO = StrOptions({"auto"})
COUNT = Interval(Integral, 1, None, closed="left")
WIDTH = Interval(Integral, 1, 2**20, closed="both")  # more is a slip, and no memory
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")

CONSTRAINTS: dict[str, list[Any]] = {
    "encoder": [str, nn.Module, callable],
    "weights": [str, os.PathLike, None],
    "views": [str, RandomViews, tuple, list, callable],
    "image_shape": [tuple, list, None],
    "readout": [AUTO, COUNT],
    "projection_dim": [WIDTH],
    "hidden_dim": [WIDTH],
    "momentum": [AUTO, Interval(Real, 0, 1, closed="both")],
    "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
    "lr": [AUTO, Interval(Real, 0, None, closed="neither")],
    "weight_decay": [AUTO, NOT_NEGATIVE],
    "warmup_epochs": [AUTO, NOT_NEGATIVE],
    "batch_size": [Interval(Integral, 2, None, closed="left")],
    "max_epochs": [Interval(Integral, 0, None, closed="left")],
    "callbacks": [list, tuple, None],
    "device": [str],
    "precision": [StrOptions({"auto", "float32", "bfloat16"})],
    "n_jobs": [COUNT, Interval(Integral, None, -1, closed="right"), None],
    "cache": [str, os.PathLike, None],
    "on_error": [StrOptions({"raise", "skip"})],
    "checkpoint": [str, os.PathLike, None],
    "checkpoint_minutes": [NOT_NEGATIVE],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
