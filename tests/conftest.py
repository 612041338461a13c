"""Small images that every test file may use."""

import os

# Before scipy is imported: scikit-learn's check of array libraries is skipped without.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_byol import BYOLTransformer


@pytest.fixture(scope="session")
def digits():
    """200 digits as rows, with their labels."""
    X, y = load_digits(return_X_y=True)
    return X[:200], y[:200]


@pytest.fixture
def generator():
    """A seeded generator of torch."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def colour_images():
    """12 RGB images of 16x16 pixels, uint8, channels last."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)


def quick(**parameters):
    """A transformer that is trained in a moment."""
    return BYOLTransformer(
        **{"max_epochs": 1, "random_state": 0, "device": "cpu", **parameters}
    )


def pipeline(**parameters):
    return Pipeline(
        [
            ("byol", quick(**parameters)),
            ("scale", StandardScaler()),
            ("clf", LogisticRegression()),
        ]
    )


@pytest.fixture(scope="session")
def fitted(digits):
    """A transformer that is fitted; tests do not change it."""
    return quick().fit(digits[0])


class Blind(nn.Module):
    """Sees nothing: all images have the same representation."""

    def __init__(self):
        super().__init__()
        self.vector = nn.Parameter(torch.ones(1, 8))

    def forward(self, images):
        return self.vector.expand(len(images), 8)
