"""The unlabelled pool, in pipelines, searches and cross-validation."""

import numpy as np
import pytest
import sklearn
from PIL import Image
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier

import sklearn_byol.estimators._fitting
from sklearn_byol import PoolWarning, UnlabeledPool
from sklearn_byol.model_selection import LabeledTestSplit
from tests.conftest import pipeline, quick


@pytest.fixture
def trained(monkeypatch):
    """The numbers of images of all trainings in this process."""
    numbers = []
    original = sklearn_byol.estimators._fitting.Training

    def begin(encoder, images, *rest):
        numbers.append(len(images))
        return original(encoder, images, *rest)

    monkeypatch.setattr(sklearn_byol.estimators._fitting, "Training", begin)
    return numbers


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def test_pool_is_trained_on_after_the_others(digits):
    X, _ = digits
    together = quick().fit(X[:90])
    apart = quick().fit(X[:60], X_unlabeled=X[60:90])
    np.testing.assert_array_equal(apart.transform(X), together.transform(X))


def test_pool_may_be_of_another_kind(tmp_path, trained):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    for index, image in enumerate(images[5:]):
        Image.fromarray(image).resize((40, 32)).save(tmp_path / f"{index}.png")
    byol = quick().fit(images[:5], X_unlabeled=tmp_path)
    assert trained == [12]
    assert byol.transform(tmp_path).shape[0] == 7


def test_skipped_images_of_the_pool_are_named(tmp_path, colour_images):
    paths = [str(tmp_path / f"{name}.png") for name in "abc"]
    for path in paths[1:]:
        Image.fromarray(colour_images[0]).save(path)
    byol = quick(on_error="skip").fit(colour_images, X_unlabeled=paths)
    assert byol.skipped_ == paths[:1]


def test_cut_pool_is_warned_about_where_images_are_skipped(tmp_path, colour_images):
    paths = [str(tmp_path / f"{index}.png") for index in range(12)]
    for path, image in zip(paths[1:], colour_images, strict=False):
        Image.fromarray(image).save(path)
    with pytest.warns(PoolWarning, match="has 12 images"):
        quick(on_error="skip").fit(colour_images, X_unlabeled=paths)


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (lambda X: X[:, :49], "49 features"),
        (lambda X: X.reshape(-1, 4, 16), r"shape \(50, 4, 16\)"),
        (lambda X: np.stack([X.reshape(-1, 8, 8)] * 3, 3), "3 channels"),
        (lambda X: X * 100, "Scale X as in fit"),
        (lambda X: ["missing.png"], "cannot be read"),
        (lambda X: "no folder", "which is not a folder"),
        (lambda X: "no folder", "This is about X_unlabeled"),
        (lambda X: list("folder"), "cut like an array"),
    ],
)
def test_pool_that_does_not_fit_is_an_error_before_training(
    digits, trained, pool, message
):
    X, _ = digits
    with pytest.raises(ValueError, match=message):
        quick().fit(X[:60], X_unlabeled=pool(X[:50]))
    assert trained == []


def test_pool_of_equal_length_is_warned_about_unless_wrapped(digits):
    X, _ = digits
    with pytest.warns(PoolWarning, match="as many as X"):
        quick().fit(X[:50], X_unlabeled=X[50:100])
    quick().fit(X[:50], X_unlabeled=UnlabeledPool(X[50:100]))


def test_pool_goes_through_a_pipeline_without_routing(digits, trained):
    X, y = digits
    pipeline().fit(X[:60], y[:60], byol__X_unlabeled=X[60:])
    assert trained == [200]


@pytest.mark.usefixtures("routing")
def test_pool_goes_through_a_pipeline_with_routing(digits, trained):
    X, y = digits
    pipeline().fit(X[:60], y[:60], X_unlabeled=X[60:])
    assert trained == [200]


@pytest.mark.usefixtures("routing")
def test_pool_goes_whole_through_cross_validation(digits, trained):
    X, y = digits
    pool = UnlabeledPool(X[100:])
    cross_validate(pipeline(), X[:100], y[:100], cv=2, params={"X_unlabeled": pool})
    assert trained == [150, 150]


@pytest.mark.usefixtures("routing")
def test_pool_that_cross_validation_has_cut_is_warned_about(digits, trained):
    X, y = digits
    with pytest.warns(PoolWarning, match="UnlabeledPool"):
        cross_validate(
            pipeline(), X[:100], y[:100], cv=2, params={"X_unlabeled": X[100:]}
        )
    assert trained == [100, 100]


@pytest.mark.usefixtures("routing")
def test_pool_goes_whole_through_grid_search(digits, trained):
    X, y = digits
    search = GridSearchCV(pipeline(), {"byol__lr": [1e-3, 3e-3]}, cv=2)
    search.fit(X[:100], y[:100], X_unlabeled=UnlabeledPool(X[100:]))
    assert trained == [150] * 4 + [200]


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_pool_goes_through_grid_search(digits, n_jobs):
    X, y = digits
    search = GridSearchCV(pipeline(), {"byol__lr": [1e-3, 3e-3]}, cv=2, n_jobs=n_jobs)
    search.fit(X[:60], y[:60], X_unlabeled=UnlabeledPool(X[60:]))
    expected = clone(search.best_estimator_).fit(
        X[:60], y[:60], X_unlabeled=UnlabeledPool(X[60:])
    )
    np.testing.assert_allclose(
        search.predict_proba(X), expected.predict_proba(X), atol=1e-3
    )


def test_frozen_transformer_is_not_trained_again(digits, trained):
    X, y = digits
    byol = quick().fit(X)
    frozen = make_pipeline(FrozenEstimator(byol), LogisticRegression())
    cross_val_score(frozen, X, y, cv=2)
    assert trained == [200]


def test_memory_trains_once_a_fold(digits, trained, tmp_path):
    X, y = digits
    steps = [("byol", quick()), ("clf", LogisticRegression())]
    search = GridSearchCV(
        Pipeline(steps, memory=str(tmp_path)), {"clf__C": [0.01, 0.1, 1.0]}, cv=2
    )
    search.fit(X, y)
    assert trained == [100, 100, 200]


# Which is what the warning asks for.
@pytest.mark.filterwarnings("ignore::sklearn_byol.LabelsWarning")
def test_self_training_classifier_learns_from_unlabelled_rows(digits):
    X, y = digits
    partly = np.where(np.arange(200) < 100, y, -1)
    model = make_pipeline(quick(), SelfTrainingClassifier(LogisticRegression()))
    scores = cross_val_score(model, X, partly, cv=LabeledTestSplit(2))
    assert scores.min() > 0.5


def test_splits_test_on_labelled_images_only():
    y = np.array([0, 1, -1, 0, 1, -1, 0, 1])
    cv = LabeledTestSplit(3)
    assert cv.get_n_splits(np.zeros(8), y) == 3
    tested = []
    for train, test in cv.split(np.zeros(8), y):
        assert {2, 5} <= set(train)
        assert not set(train) & set(test)
        assert len(train) + len(test) == 8
        tested += test.tolist()
    assert sorted(tested) == [0, 1, 3, 4, 6, 7]


def test_splits_keep_groups_together():
    y, groups = np.array([0, 1, 0, 1, -1]), np.array([7, 7, 8, 8, 9])
    splits = list(LabeledTestSplit(GroupKFold(2)).split(None, y, groups))
    assert sorted(test.tolist() for _, test in splits) == [[0, 1], [2, 3]]


@pytest.mark.usefixtures("routing")
def test_splits_are_given_groups_where_metadata_is_routed(digits):
    X, y = digits[0][:60], digits[1][:60] % 2
    y[::3] = -1
    cv = LabeledTestSplit(GroupKFold(2))
    params = {"groups": np.arange(60) % 4}
    scores = cross_validate(DummyClassifier(), X, y, cv=cv, params=params)
    assert len(scores["test_score"]) == 2


def test_splits_without_labels_are_an_error():
    with pytest.raises(ValueError, match="y holds no label"):
        list(LabeledTestSplit().split(None, [-1, -1]))
