"""Encoders and heads: the networks that BYOL trains."""

from sklearn_byol.networks._byol import BYOLNetwork, BYOLOutput, build_byol_network
from sklearn_byol.networks._encoders import (
    EncoderSpecification,
    Normalize,
    is_complete,
    representation_dim,
)
from sklearn_byol.networks._pretrained import pretrained_start
from sklearn_byol.networks._readout import GridAverage, Readout
from sklearn_byol.networks._residual import ResidualBlock, ResidualEncoder

__all__ = [
    "BYOLNetwork",
    "BYOLOutput",
    "EncoderSpecification",
    "ResidualEncoder",
    "build_byol_network",
    "is_complete",
    "pretrained_start",
    "representation_dim",
]

# Where they are found from, so that no saved file names a private module.
for _public in (GridAverage, Normalize, Readout, ResidualBlock, ResidualEncoder):
    _public.__module__ = __name__
