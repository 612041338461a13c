"""Encoders and heads: the networks that BYOL trains."""

from sklearn_byol.networks._auto import (
    ResidualEncoder,
    auto_encoder,
    auto_readout,
)
from sklearn_byol.networks._build import (
    build_byol_network,
    build_encoder,
    representation_dim,
)
from sklearn_byol.networks._byol import BYOLNetwork, BYOLOutput
from sklearn_byol.networks._heads import mlp
from sklearn_byol.networks._named import named_encoder
from sklearn_byol.networks._normalize import Normalize
from sklearn_byol.networks._readout import Readout

__all__ = [
    "BYOLNetwork",
    "BYOLOutput",
    "Normalize",
    "Readout",
    "ResidualEncoder",
    "auto_encoder",
    "auto_readout",
    "build_byol_network",
    "build_encoder",
    "mlp",
    "named_encoder",
    "representation_dim",
]
