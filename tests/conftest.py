"""Small images that every test file may use."""

import os

# Before scipy is imported: scikit-learn's check of array libraries is skipped without.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits


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
