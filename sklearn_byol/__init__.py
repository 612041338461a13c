"""BYOL image representations as a scikit-learn transformer."""

from sklearn_byol._about import __version__ as __version__
from sklearn_byol._show_versions import show_versions
from sklearn_byol.estimators._classifier import BYOLClassifier
from sklearn_byol.estimators._recipes import recipe
from sklearn_byol.estimators._transformer import BYOLTransformer
from sklearn_byol.exceptions import (
    CheckpointWarning,
    CollapseWarning,
    DeviceWarning,
    EncoderWarning,
    ImagesWarning,
    InterruptWarning,
    LabelsWarning,
    PixelRangeWarning,
    PoolWarning,
    SmallImageWarning,
    UnreadableImagesError,
    VersionWarning,
    ViewsWarning,
    WeightsWarning,
)
from sklearn_byol.images._folders import list_images
from sklearn_byol.model_selection import UnlabeledPool
from sklearn_byol.views._random_views import RandomViews

__all__ = [
    "BYOLClassifier",
    "BYOLTransformer",
    "CheckpointWarning",
    "CollapseWarning",
    "DeviceWarning",
    "EncoderWarning",
    "ImagesWarning",
    "InterruptWarning",
    "LabelsWarning",
    "PixelRangeWarning",
    "PoolWarning",
    "RandomViews",
    "SmallImageWarning",
    "UnlabeledPool",
    "UnreadableImagesError",
    "VersionWarning",
    "ViewsWarning",
    "WeightsWarning",
    "list_images",
    "recipe",
    "show_versions",
]

# Where users know them, so that no saved file names a private module.
for _public in (BYOLClassifier, BYOLTransformer, RandomViews, UnlabeledPool):
    _public.__module__ = __name__
