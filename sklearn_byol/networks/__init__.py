"""Encoders and heads: the networks that BYOL trains."""

from sklearn_byol.networks._auto import (
    ResidualEncoder,
    auto_encoder,
    auto_readout,
)
from sklearn_byol.networks._build import (
    build_byol_network,
    build_encoder,
    is_complete,
    representation_dim,
)
from sklearn_byol.networks._byol import BYOLNetwork, BYOLOutput
from sklearn_byol.networks._heads import mlp
from sklearn_byol.networks._named import named_encoder
from sklearn_byol.networks._normalize import Normalize
from sklearn_byol.networks._pretrained import PretrainedStart, pretrained_start
from sklearn_byol.networks._readout import Readout

__all__ = [
    "BYOLNetwork",
    "BYOLOutput",
    "Normalize",
    "PretrainedStart",
    "Readout",
    "ResidualEncoder",
    "auto_encoder",
    "auto_readout",
    "build_byol_network",
    "build_encoder",
    "is_complete",
    "mlp",
    "named_encoder",
    "pretrained_start",
    "representation_dim",
]
