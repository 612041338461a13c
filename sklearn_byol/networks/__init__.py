"""Encoders and heads: the networks that BYOL trains."""

from sklearn_byol.networks._image_encoder import ImageEncoder, Mirror, Scale
from sklearn_byol.networks._inputs import Normalize, Resize
from sklearn_byol.networks._oriented_gradients import OrientedGradients
from sklearn_byol.networks._readout import CellAverage, GridAverage, Readout
from sklearn_byol.networks._residual import ResidualBlock, ResidualEncoder

# Where they are found from, so that no saved file names a private module.
for _public in (
    CellAverage,
    GridAverage,
    ImageEncoder,
    Normalize,
    OrientedGradients,
    Readout,
    ResidualBlock,
    ResidualEncoder,
    Resize,
    Mirror,
    Scale,
):
    _public.__module__ = __name__
