"""Encoders and heads: the networks that BYOL trains."""

from sklearn_byol.networks._inputs import Normalize, Resize
from sklearn_byol.networks._readout import GridAverage, Readout
from sklearn_byol.networks._residual import ResidualBlock, ResidualEncoder

# Where they are found from, so that no saved file names a private module.
for _public in (
    GridAverage,
    Normalize,
    Readout,
    ResidualBlock,
    ResidualEncoder,
    Resize,
):
    _public.__module__ = __name__
