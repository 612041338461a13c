"""Encoders and heads: the networks that BYOL trains."""

from sklearn_byol.networks._auto import ResidualEncoder, auto_encoder
from sklearn_byol.networks._build import build_encoder, representation_dim
from sklearn_byol.networks._byol import BYOLNetwork, BYOLOutput
from sklearn_byol.networks._heads import mlp
from sklearn_byol.networks._named import named_encoder
from sklearn_byol.networks._normalize import Normalize

__all__ = [
    "BYOLNetwork",
    "BYOLOutput",
    "Normalize",
    "ResidualEncoder",
    "auto_encoder",
    "build_encoder",
    "mlp",
    "named_encoder",
    "representation_dim",
]
