"""Weights that know half of the digits save epochs on all of them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from tests.conftest import quick

PATH = Path(__file__).parent.parent / "examples" / "plot_pretrained.py"


@pytest.fixture
def example():
    specification = importlib.util.spec_from_file_location("plot_pretrained", PATH)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_two_epochs_from_pretrained_weights_are_worth_five_from_scratch(
    example, tmp_path
):
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=0
    )
    path = tmp_path / "weights.pth"
    example.pretrain(X, y, path)
    scratch, pretrained = (
        np.mean(example.accuracies(byol.fit(X), X, y, X_test, y_test))
        for byol in (quick(max_epochs=5), quick(max_epochs=2, weights=path))
    )
    assert pretrained > scratch
