"""Files of earlier versions are read; files of other versions say so."""

import pickle
import re
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from torch import nn

import sklearn_byol
from sklearn_byol import BYOLTransformer, VersionWarning
from sklearn_byol.estimators._packing import unpacked
from sklearn_byol.estimators._saving import digest_of
from tests.conftest import quick
from tests.golden.make import LARGEST

GOLDEN = sorted(path for path in Path(__file__).with_name("golden").glob("*.*.*"))
HERE = torch.__version__.partition("+")[0]


@pytest.fixture(params=GOLDEN, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def read(path):
    """Load a file; versions in it may be others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionWarning)
        return joblib.load(path)


def test_a_golden_transformer_represents_as_it_did(folder):
    expected = np.load(folder / "expected.npz")
    byol = read(folder / "transformer.joblib")
    np.testing.assert_allclose(
        byol.transform(expected["X"]), expected["rows"], 1e-3, 1e-4
    )
    assert byol.views_.rotation == 10
    assert byol.n_iter_ == len(byol.history_["loss"]) == 2


def test_a_golden_classifier_classifies_as_it_did(folder):
    expected = np.load(folder / "expected.npz")
    clf = read(folder / "classifier.joblib")
    probabilities = clf.predict_proba(expected["X"])
    np.testing.assert_allclose(probabilities, expected["probabilities"], 1e-3, 1e-4)
    assert list(clf.classes_) == ["left", "right"]


def test_a_golden_transformer_is_trained_further(folder):
    X = np.load(folder / "expected.npz")["X"]
    byol = read(folder / "transformer.joblib").partial_fit(X)
    assert np.isfinite(byol.transform(X)).all()


def test_this_version_has_golden_files():
    assert sklearn_byol.__version__ in {folder.name for folder in GOLDEN}


def test_golden_files_are_small(folder):
    assert sum(path.stat().st_size for path in folder.iterdir()) < LARGEST


def saved_by(estimator, **versions):
    """The state that other versions would have saved."""
    state = estimator.__getstate__()
    del state["_digest"]
    state["_saved_by"] = {**state["_saved_by"], **versions}
    state["_digest"] = digest_of(state)
    return state


@pytest.mark.parametrize(
    ("versions", "there", "here"),
    [
        ({"torch": "2.0.1"}, "torch 2.0.1", f"torch {HERE}"),
        (
            {"sklearn_byol": "0.0.9"},
            "sklearn_byol 0.0.9",
            f"sklearn_byol {sklearn_byol.__version__}",
        ),
    ],
)
def test_another_version_is_told_with_both(versions, there, here, fitted, digits):
    loaded = BYOLTransformer()
    told = f"{re.escape(there)}.* is loaded by .*{re.escape(here)}"
    with pytest.warns(VersionWarning, match=told):
        loaded.__setstate__(saved_by(fitted, **versions))
    np.testing.assert_array_equal(
        loaded.transform(digits[0]), fitted.transform(digits[0])
    )


def test_another_build_of_torch_is_the_same_version(fitted, monkeypatch):
    monkeypatch.setattr(torch, "__version__", f"{HERE}+another")
    pickle.loads(pickle.dumps(fitted))


def test_the_library_of_a_named_network_is_told(colour_images):
    byol = quick(encoder="resnet18", max_epochs=0).fit(colour_images)
    with pytest.warns(VersionWarning, match=r"torchvision 0\.1\.0"):
        BYOLTransformer().__setstate__(saved_by(byol, torchvision="0.1.0"))


@pytest.mark.parametrize("estimator", [quick(), BYOLTransformer(lr=0.1)])
def test_an_estimator_without_weights_warns_of_the_library_only(estimator):
    with pytest.warns(VersionWarning, match=r"sklearn_byol 0\.0\.9 and is loaded"):
        BYOLTransformer().__setstate__(saved_by(estimator, sklearn_byol="0.0.9"))


def test_a_format_of_the_future_is_an_error(fitted):
    state = saved_by(fitted, format=99, sklearn_byol="9.0.0")
    told = (
        f"saved by sklearn_byol 9.0.0 .*{re.escape(sklearn_byol.__version__)} does not"
    )
    with pytest.raises(ValueError, match=told):
        BYOLTransformer().__setstate__(state)


@pytest.mark.parametrize("number", [1, 2])
def test_a_format_without_arrays_of_tensors_is_read(number, digits):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4))
    byol = quick(encoder=module).fit(digits[0])
    state = saved_by(byol, format=number)
    del state["_digest"]
    state = unpacked(state)
    loaded = BYOLTransformer()
    loaded.__setstate__(state | {"_digest": digest_of(state)})
    np.testing.assert_array_equal(
        loaded.transform(digits[0]), byol.transform(digits[0])
    )


def test_a_state_that_says_nothing_of_versions_is_an_error(fitted):
    state = fitted.__getstate__()
    del state["_saved_by"]
    with pytest.raises(ValueError, match="an unknown version of sklearn_byol"):
        BYOLTransformer().__setstate__(state)
