"""What BYOLClassifier cannot learn from is a clear error, and before any training."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch.utils.data import Dataset

from sklearn_byol import BYOLClassifier
from tests.conftest import quick

Y = np.arange(20) % 2


def marked(*labels):
    """Twenty labels, the first of them given and the others -1."""
    return np.array([*labels, *[-1] * (20 - len(labels))])


def bad_labels():
    return {
        "none": (None, {}, "requires y to be passed, but the target y is None"),
        "length": (Y[:-1], {}, "y has 19 labels, but X has 20 images.*number -1"),
        "no_label": (marked(), {}, "y holds no label.*use BYOLTransformer"),
        "one_class": (marked(3, 3), {}, "labels of 1 class, 3, where.*another class"),
        "strings_and_numbers": (
            [*"ab", *[3] * 18],
            {},
            "y mixes.*int, str.*beside strings",
        ),
        "only_none": ([None] * 20, {}, "y holds no label.*-1, None or NaN"),
        "string_of_minus_one": (["a", *["-1"] * 19], {}, "string '-1'.*dtype=object"),
        "array_of_strings": (np.array([*"ab", *[-1] * 18]), {}, "the string '-1'"),
        "continuous": (np.linspace(0, 1, 20), {}, "Unknown label type: continuous"),
        "one_image_to_hold_out": (
            marked(0, 0, 1),
            {"early_stopping": True},
            "early_stopping=True holds out.*class 1 has 1 labelled.*=False",
        ),
        "encoder_lr": (Y, {"encoder_lr": -1}, "'encoder_lr' parameter.*Got -1"),
        "head_lr": (Y, {"head_lr": 0}, "'head_lr' parameter.*Got 0"),
        "max_epochs": (Y, {"max_epochs": 0}, "'max_epochs' parameter.*Got 0"),
        "fraction": (Y, {"validation_fraction": 0.9}, "'validation_fraction' param"),
        "frozen_other": (
            Y,
            {"byol": FrozenEstimator(make_pipeline(StandardScaler()))},
            "must hold a BYOLTransformer.*before BYOLClassifier in a Pipeline",
        ),
        "momentum_of_byol": (Y, {"byol": quick(momentum=2)}, "'momentum' parameter"),
    }


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", bad_labels())
def test_bad_input_is_an_error_before_training(name, digits):
    y, parameters, message = bad_labels()[name]
    with pytest.raises((ValueError, TypeError), match=message):
        BYOLClassifier(**{"byol": quick(), **parameters}).fit(digits[0][:20], y)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X.reshape(-1, 4, 16), r"X has shape \(20, 4, 16\), but"),
        (lambda X: X[:, :49], "X has 49 features"),
        (lambda X: X * 16, "values from 0 to 256, but .* from 0 to 16"),
        (lambda X: np.stack([X.reshape(-1, 8, 8)] * 3, 3), "X has 3 channels, but"),
    ],
)
def test_other_images_than_those_of_a_prefit_byol_are_an_error(
    digits, fitted, change, message
):
    for clf in (
        BYOLClassifier(fitted, prefit=True),
        BYOLClassifier(FrozenEstimator(fitted)),
    ):
        with pytest.raises(ValueError, match=message):
            clf.fit(change(digits[0][:20]), Y)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    "clf",
    [
        BYOLClassifier(prefit=True),
        BYOLClassifier(quick(), prefit=True),
        BYOLClassifier(FrozenEstimator(quick())),
    ],
)
def test_a_prefit_byol_that_is_not_fitted_is_an_error(digits, clf):
    with pytest.raises(NotFittedError, match=r"not fitted.*pass FrozenEstimator"):
        clf.fit(digits[0][:20], Y)


def test_a_clone_with_prefit_says_what_to_do(digits, fitted):
    with pytest.raises(NotFittedError, match="a clone forgets"):
        clone(BYOLClassifier(fitted, prefit=True)).fit(digits[0][:20], Y)


@pytest.mark.usefixtures("no_training")
def test_a_class_whose_images_cannot_be_read_is_an_error(broken):
    y = np.array(["good" in path for path in broken]).astype(int)
    with pytest.raises(ValueError, match="labels of 1 class, 1,"):
        BYOLClassifier(quick(on_error="skip")).fit(broken, y)


def test_a_loss_that_is_no_number_is_an_error(digits, fitted):
    clf = BYOLClassifier(
        FrozenEstimator(fitted), encoder_lr=1e20, head_lr=1e20, max_epochs=20
    )
    with pytest.raises(FloatingPointError, match="encoder_lr"):
        clf.fit(digits[0][:20], Y)
    with pytest.raises(NotFittedError):
        clf.predict(digits[0])


def test_predict_before_fit_is_an_error(digits):
    with pytest.raises(NotFittedError):
        BYOLClassifier().predict(digits[0])


class Stops(Callback):
    def on_batch_end(self, net, **kwargs):
        raise RuntimeError("stop")


def test_what_byol_has_learned_is_kept_where_tuning_fails(images):
    X, y = images
    clf = BYOLClassifier(quick(), callbacks=[Stops()], random_state=0)
    with pytest.raises(RuntimeError, match="stop"):
        clf.fit(X, y)
    with pytest.raises(NotFittedError):
        clf.predict(X)
    assert BYOLClassifier(FrozenEstimator(clf.byol_), max_epochs=1).fit(X, y)


def test_weights_of_classes_are_checked_before_any_image_is_read(images):
    class Unread(Dataset):
        def __len__(self):
            return 20

        def __getitem__(self, index):
            raise AssertionError

    clf = BYOLClassifier(quick(), class_weight={0: -1})
    with pytest.raises(ValueError, match="class_weight must have finite numbers"):
        clf.fit(Unread(), images[1][:20])
