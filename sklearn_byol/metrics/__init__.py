"""How good representations are: figures that need no labels, and nearest neighbours.

None of the label-free figures is a proof of quality. A collapsed encoder has the best
alignment and the worst of the others; an encoder that tells apart what does not matter,
such as noise, or has not learned yet, can have the best uniformity and effective rank.
Where there are a few labels, score by a classifier or by `knn_accuracy`.
"""

from sklearn_byol.metrics._knn import knn_accuracy
from sklearn_byol.metrics._label_free import alignment, effective_rank, uniformity
from sklearn_byol.metrics._scorers import (
    alignment_scorer,
    effective_rank_scorer,
    uniformity_scorer,
)

__all__ = [
    "alignment",
    "alignment_scorer",
    "effective_rank",
    "effective_rank_scorer",
    "knn_accuracy",
    "uniformity",
    "uniformity_scorer",
]
