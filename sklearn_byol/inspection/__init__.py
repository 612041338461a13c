"""Pictures of what an encoder is shown and what it has learned.

Displays in scikit-learn's manner: `from_estimator` or `from_representations` computes
and draws, `plot` draws again on other axes, and `ax_` or `axes_` and `figure_` are left
to change. Colours can be told apart by colour-blind readers.
"""

from sklearn_byol.inspection._label_efficiency import LabelEfficiencyDisplay
from sklearn_byol.inspection._neighbors import NeighborsDisplay
from sklearn_byol.inspection._occlusion import OcclusionDisplay
from sklearn_byol.inspection._representation_map import RepresentationMapDisplay
from sklearn_byol.inspection._training_curve import TrainingCurveDisplay
from sklearn_byol.inspection._views import ViewsDisplay

__all__ = [
    "LabelEfficiencyDisplay",
    "NeighborsDisplay",
    "OcclusionDisplay",
    "RepresentationMapDisplay",
    "TrainingCurveDisplay",
    "ViewsDisplay",
]
