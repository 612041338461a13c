"""BYOL among scikit-learn's estimators."""

from sklearn_byol.estimators._classifier import BYOLClassifier
from sklearn_byol.estimators._recipes import recipe
from sklearn_byol.estimators._transformer import BYOLTransformer

__all__ = ["BYOLClassifier", "BYOLTransformer", "recipe"]
