"""BYOL image representations as a scikit-learn transformer."""

from sklearn_byol._classifier import BYOLClassifier
from sklearn_byol._pool import UnlabeledPool
from sklearn_byol._recipes import recipe
from sklearn_byol._transformer import BYOLTransformer
from sklearn_byol._version import __version__ as __version__
from sklearn_byol.exceptions import (
    CheckpointWarning,
    CollapseWarning,
    DeviceWarning,
    LabelsWarning,
    PoolWarning,
    SmallImageWarning,
    UnreadableImagesError,
    VersionWarning,
    ViewsWarning,
    WeightsWarning,
)
from sklearn_byol.views import RandomViews

__all__ = [
    "BYOLClassifier",
    "BYOLTransformer",
    "CheckpointWarning",
    "CollapseWarning",
    "DeviceWarning",
    "LabelsWarning",
    "PoolWarning",
    "RandomViews",
    "SmallImageWarning",
    "UnlabeledPool",
    "UnreadableImagesError",
    "VersionWarning",
    "ViewsWarning",
    "WeightsWarning",
    "recipe",
]
