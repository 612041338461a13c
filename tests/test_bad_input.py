"""Bad input is a clear error, and before any training."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError
from torch import nn

import sklearn_byol
from sklearn_byol import RandomViews
from tests.conftest import quick


def bad_inputs():
    good = np.random.default_rng(0).random((6, 64))
    nan, inf = good.copy(), good.copy()
    nan[5, 63], inf[0, 0] = np.nan, np.inf
    images = good.reshape(6, 8, 8, 1).repeat(3, axis=3)
    nan_images = images.copy()
    nan_images[5, 7, 7, 2] = np.nan
    rgb_rows = images.reshape(6, -1)
    return {
        "nan": (nan, {}, "Input X contains NaN"),
        "inf": (inf, {}, "Input X contains infinity"),
        "nan_in_images": (nan_images, {}, "Input X contains NaN"),
        "empty": (good[:0], {}, "0 sample"),
        "one_axis": (good[0], {}, "X has one axis, of 64 values. Reshape your data"),
        "sparse": (sparse.csr_array(good), {}, "[Ss]parse"),
        "complex": (good + 1j, {}, "Complex data not supported"),
        "strings": (["cat", "dog"], {}, "2 of 2 images cannot be read"),
        "one_image": (images[:1], {}, r"1 sample\(s\)"),
        "ambiguous": (np.zeros((6, 3, 9, 3)), {}, "3x9 pixels with 3 channels or"),
        "colour_rows": (rgb_rows, {}, "pixel by pixel or plane by plane"),
        "rows": (good[:, :63].repeat(2, axis=1), {}, "126 features, which is not a sq"),
        "image_shape": (good, {"image_shape": (8, 9)}, "needs 8 x 9 = 72 features"),
        "batch_size": (good, {"batch_size": 1}, "'batch_size' parameter.* Got 1"),
        "momentum": (good, {"momentum": 1.5}, "'momentum' parameter.*Got 1.5"),
        "lr": (good, {"lr": 0.0}, "'lr' parameter.*Got 0.0"),
        "epochs": (good, {"max_epochs": -1}, "'max_epochs' parameter.*Got -1"),
        "encoder": (good, {"encoder": "resnet"}, "encoder='resnet' is neither 'auto'"),
        "device": (good, {"device": "gpu"}, "device must be 'auto'.*Got 'gpu'"),
        "views": (good, {"views": "paper"}, "views must be one of the presets"),
        "views_strength": (good, {"views": RandomViews(hue=2)}, r"hue must be in \[0"),
        "sequence": (good, {"encoder": nn.Flatten(2)}, "one vector an image"),
        "small_map": (
            good,
            {"encoder": nn.Conv2d(1, 2, 3), "readout": 7},
            r"readout=7 needs a last feature map of 7x7 or more; it is 6x6",
        ),
        "callbacks": (good, {"callbacks": [print]}, "callbacks must be instances"),
        "precision": (good, {"precision": "half"}, "'precision' parameter"),
    }


@pytest.mark.parametrize("name", bad_inputs())
def test_bad_input_is_an_error_before_training(name, monkeypatch):
    X, parameters, message = bad_inputs()[name]
    monkeypatch.setattr(
        sklearn_byol.estimators._fitting,
        "Training",
        lambda *args: pytest.fail("it trained"),
    )
    with pytest.raises((ValueError, TypeError), match=message):
        quick(**parameters).fit(X)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X / 16, "values from 0 to 1, but .* fitted on pixels from 0 to 16"),
        (lambda X: X * 16, "values from 0 to 256, but .* from 0 to 16"),
        (lambda X: X.reshape(-1, 4, 16), r"X has shape \(200, 4, 16\), but"),
        (lambda X: X[:, :49], "X has 49 features, but BYOLTransformer is expecting 64"),
        (lambda X: np.stack([X.reshape(-1, 8, 8)] * 3, 3), "X has 3 channels, but"),
    ],
)
def test_other_images_than_in_fit_are_an_error(digits, fitted, change, message):
    with pytest.raises(ValueError, match=message):
        fitted.transform(change(digits[0]))


def test_transform_before_fit_is_an_error(digits):
    with pytest.raises(NotFittedError):
        quick().transform(digits[0])
