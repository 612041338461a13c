"""BYOLClassifier: what it learns, and what it leaves alone."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

import sklearn_byol
from sklearn_byol import BYOLClassifier, BYOLTransformer, UnlabeledPool
from sklearn_byol.estimators._linear_head import C_GRID, fit_head
from sklearn_byol.training._fine_tuning import (
    TuningPlan,
    auto_epochs,
    auto_head_lr,
    auto_lr,
    average,
    tuned_share,
)
from sklearn_byol.training._labelled_images import LabelledImages, ShownBatches
from sklearn_byol.views._pair import views_for
from tests.classifier.conftest import QUICK, few, frozen
from tests.conftest import quick


@pytest.mark.filterwarnings("ignore::sklearn_byol.SmallImageWarning")
@pytest.mark.filterwarnings("ignore::sklearn_byol.CollapseWarning")
@pytest.mark.filterwarnings("ignore::sklearn_byol.LabelsWarning")
@parametrize_with_checks(
    [QUICK],
    expected_failed_checks=lambda estimator: dict.fromkeys(
        (
            "check_sample_weight_equivalence_on_dense_data",
            "check_sample_weights_invariance",  # its name in scikit-learn 1.6
        ),
        "BYOL is trained on all images alike, and batches of tuning are of images",
    ),
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn_byol.SmallImageWarning")
@pytest.mark.filterwarnings("ignore::sklearn_byol.CollapseWarning")
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize(
    "name",
    [
        "check_n_features_in_after_fitting",
        "check_dataframe_column_names_consistency",
        "check_inplace_ensure_writeable",
        "check_param_validation",
    ],
)
def test_further_checks_of_scikit_learns_own_classifiers(name):
    getattr(estimator_checks, name)("BYOLClassifier", clone(QUICK))


def test_all_checks_are_run_with_default_tags():
    checks = [check for _, check in estimator_checks.estimator_checks_generator(QUICK)]
    assert len(checks) >= 55  # of scikit-learn 1.6; later ones have more
    tags, default = get_tags(QUICK), get_tags(LogisticRegression())
    assert tags.classifier_tags == default.classifier_tags
    assert not tags.non_deterministic
    assert not tags.no_validation


@pytest.mark.slow
def test_tuning_beats_the_linear_probe(byol, tuned, images):
    X, y = images
    is_labelled = few(y, 10) >= 0
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(byol.transform(X[is_labelled]), y[is_labelled])
    left = X[~is_labelled], y[~is_labelled]
    assert tuned.score(*left) > probe.score(byol.transform(left[0]), left[1]) + 0.01


def half_scaled(known, rows):
    """Divide columns half way between by one number and each by its deviation."""
    deviations, one = known.std(axis=0), np.sqrt(known.var(axis=0).mean())
    deviations[deviations == 0] = 1
    return (rows - known.mean(axis=0)) / np.sqrt(deviations * one)


def test_with_a_lr_of_nothing_it_is_the_linear_probe(byol, images):
    X, y = images
    marked = few(y, 1)  # too few to choose C, which stays 1
    still = frozen(byol, encoder_lr=0, head_lr=1e-12).fit(X, marked)
    rows = byol.transform(X)
    scaled = half_scaled(rows[marked >= 0], rows)
    probe = LogisticRegression(max_iter=1000).fit(scaled[marked >= 0], y[marked >= 0])
    np.testing.assert_allclose(
        still.predict_proba(X),
        probe.predict_proba(scaled),
        atol=4e-2,  # in other coordinates the solver stops elsewhere
    )


def test_half_of_the_images_are_shown_as_they_are():
    plan = TuningPlan.of(
        BYOLClassifier(),
        n_images=400,
        n_epochs=None,
        device=torch.device("cpu"),
        precision=torch.float32,
        seed=0,
        is_drawing=False,
    )
    views, _ = views_for(lambda batch: batch.mul_(0), (1, 8, 8))
    images = torch.ones(400, 1, 8, 8)
    batches = ShownBatches(range(400), views, plan)
    shown = batches.show(images).mean(dim=(1, 2, 3))
    assert set(shown.tolist()) == {0.0, 1.0}
    assert shown.mean() == pytest.approx(0.5, abs=0.1)
    assert images.min() == 1


@pytest.mark.parametrize(
    ("n_images", "lr", "lr_of_weights", "n_epochs"),
    [
        (2, 9e-5, 9.5e-6, 30),
        (10, 3e-4, 3.2e-5, 100),
        (100, 1e-3, 1.8e-4, 200),
        (9999, 1e-3, 1e-3, 30),
    ],
)
def test_more_labels_bear_longer_steps(n_images, lr, lr_of_weights, n_epochs):
    assert auto_lr(n_images) == pytest.approx(lr, rel=0.05)
    weighty = auto_lr(n_images, has_weights=True)
    assert weighty == pytest.approx(lr_of_weights, rel=0.05)
    assert auto_epochs(n_images, 64) == n_epochs


@pytest.mark.parametrize(
    ("n_epochs", "has_weights", "expected"),
    [(None, False, 3.2e-4), (None, True, 1e-3), (3, False, 1e-3)],
)
def test_the_layer_moves_little_unless_it_may_know_nothing(
    n_epochs, has_weights, expected
):
    known = {"device": torch.device("cpu"), "precision": torch.float32, "seed": 0}
    plan = TuningPlan.of(
        BYOLClassifier(),
        n_images=100,
        n_epochs=n_epochs,
        has_weights=has_weights,
        is_drawing=False,
        **known,
    )
    assert plan.head_lr == pytest.approx(expected, rel=0.02)
    assert auto_head_lr(10) == pytest.approx(1e-4)
    assert auto_head_lr(9999) == 1e-3
    clf = BYOLClassifier(head_lr=0.5)
    plan = TuningPlan.of(
        clf, n_images=100, n_epochs=n_epochs, is_drawing=False, **known
    )
    assert plan.head_lr == 0.5


def test_few_labels_meet_the_beginning_half_way():
    assert tuned_share(1) == pytest.approx(0.5, abs=0.001)
    assert tuned_share(1000) == tuned_share(9999) == 1
    weights = [torch.tensor([1.0, 5.0])]
    average(weights, [torch.tensor([3.0, 5.0])], 0.75)
    assert weights[0].tolist() == [1.5, 5.0]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_folded_layer_is_the_logistic_regression(n_classes):
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(12, 20)) * rng.uniform(0.1, 9, 20) + 3).astype(np.float32)
    rows[:, 0] = 7  # a column that says nothing
    codes = np.arange(12) % n_classes
    scaled = half_scaled(rows, rows)
    images = LabelledImages(None, np.arange(12), codes, np.ones(12), np.ones(12))
    head = fit_head(rows, images, n_classes, 0)
    weight, bias = head.folded()
    logits = rows @ weight.T + bias
    found = [
        LogisticRegression(C=C, max_iter=1000)
        .fit(scaled, codes)
        .predict_log_proba(scaled)
        for C in C_GRID
    ]
    logits = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert min(abs(logits - one).max() for one in found) < 2e-3


def test_tuning_changes_the_encoder_and_leaves_that_of_byol(byol, tuned, images):
    before = pickle.dumps(byol.encoder_.state_dict())
    frozen(byol).fit(images[0], few(images[1], 2))
    assert pickle.dumps(byol.encoder_.state_dict()) == before
    names = [name for name, _ in byol.encoder_.named_parameters()]
    mine, its = tuned.encoder_.state_dict(), byol.encoder_.state_dict()
    assert not any(torch.equal(mine[name], its[name]) for name in names)


def test_the_statistics_of_batch_norm_stay_as_byol_left_them(byol, tuned):
    for name, buffer in byol.encoder_.named_buffers():
        torch.testing.assert_close(tuned.encoder_.get_buffer(name), buffer)


def test_a_fitted_byol_is_not_fitted_again(byol, tuned, images):
    assert tuned.byol_ is byol
    told = BYOLClassifier(byol, prefit=True, max_epochs=3, random_state=0)
    told.fit(images[0], few(images[1], 2))
    assert told.byol_ is byol
    same = frozen(byol).fit(images[0], few(images[1], 2))
    np.testing.assert_array_equal(
        told.predict_proba(images[0]), same.predict_proba(images[0])
    )


def test_an_unfitted_byol_is_copied_and_learns_from_unlabelled_images(digits):
    X, y = digits
    byol = quick()
    clf = BYOLClassifier(byol, max_epochs=2, random_state=0).fit(X, few(y, 2))
    assert not hasattr(byol, "encoder_")
    expected = quick().fit(X)
    np.testing.assert_array_equal(clf.byol_.transform(X), expected.transform(X))


def test_the_pool_reaches_byol(digits):
    X, y = digits
    clf = BYOLClassifier(quick(), max_epochs=1, random_state=0)
    clf.fit(X[:50], y[:50], X_unlabeled=X[50:])
    expected = quick().fit(X[:50], X_unlabeled=X[50:])
    np.testing.assert_array_equal(clf.byol_.transform(X), expected.transform(X))


def test_the_pool_is_routed_without_a_request(digits):
    X, y = digits
    clf = BYOLClassifier(quick(), max_epochs=1, random_state=0)
    with config_context(enable_metadata_routing=True):
        pipe = Pipeline([("same", FunctionTransformer()), ("clf", clf)])
        pool = UnlabeledPool(X[50:])
        pipe.fit(X[:50], y[:50], X_unlabeled=pool)
    expected = quick().fit(X[:50], X_unlabeled=X[50:])
    np.testing.assert_array_equal(
        pipe.named_steps["clf"].byol_.transform(X), expected.transform(X)
    )


@pytest.mark.parametrize(
    "names",
    [
        np.array(list("abcdefghij")),
        np.array(list("abcdefghij"), dtype=object),
        np.arange(10) + 0.0,
        np.arange(10) * 100 - 500,
    ],
)
def test_classes_keep_the_type_of_their_labels(byol, images, names):
    X, y = images
    clf = frozen(byol, max_epochs=1).fit(X[:100], names[y[:100]])
    assert clf.classes_.dtype == names.dtype
    np.testing.assert_array_equal(clf.classes_, np.sort(names))
    assert set(clf.predict(X)) <= set(names)


@pytest.mark.parametrize("kind", [list, pd.Series, lambda y: np.array(y, dtype=object)])
def test_minus_one_marks_unlabelled_images_among_strings(byol, images, kind):
    X, y = images
    names = [-1 if label < 0 else "abcdefghij"[label] for label in few(y, 2)]
    clf = frozen(byol).fit(X, kind(names))
    expected = frozen(byol).fit(X, few(y, 2))
    assert clf.classes_.tolist() == list("abcdefghij")
    np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


def test_minus_one_and_one_alone_are_two_classes_and_told(byol, images):
    X, y = images
    with pytest.warns(sklearn_byol.LabelsWarning, match="-1 and 1 only") as record:
        clf = frozen(byol).fit(X, np.where(y == 0, 1, -1))
    assert record[0].filename == __file__
    assert clf.classes_.tolist() == [-1, 1]


def test_unlabelled_images_change_nothing_where_byol_is_fitted(byol, images):
    X, y = images
    chosen = few(y, 3) >= 0
    among = frozen(byol).fit(X, few(y, 3))
    alone = frozen(byol).fit(X[chosen], y[chosen])
    np.testing.assert_array_equal(among.predict_proba(X), alone.predict_proba(X))


def test_class_weights_move_the_border(byol, images):
    X, _ = images
    y = (np.random.default_rng(0).random(200) < 0.3).astype(int)  # says nothing of X
    shares = [
        frozen(byol, class_weight=weight).fit(X[:200], y).predict_proba(X[200:])
        for weight in ({0: 100, 1: 1}, None, "balanced", {0: 1, 1: 100})
    ]
    means = [share[:, 1].mean() for share in shares]
    assert means == sorted(means)
    assert means[0] < 0.1
    assert means[-1] > 0.6


def test_early_stopping_takes_the_best_epoch(byol, images):
    X, y = images
    clf = frozen(byol, early_stopping=True, max_epochs=40, encoder_lr=0.3, head_lr=9.0)
    clf.fit(X, y)
    # Such steps ruin the network, so the weights before the first one are the best.
    assert clf.n_iter_ < 40
    assert len(clf.history_["validation_score"]) == clf.n_iter_
    np.testing.assert_allclose(
        clf.encoder_.state_dict()["network.stem.0.weight"],
        byol.encoder_.state_dict()["network.stem.0.weight"],
    )


def test_the_same_seed_gives_the_same_bits_and_torch_is_left_alone(digits):
    X, y = digits
    state = torch.get_rng_state()
    first, second = (
        BYOLClassifier(
            BYOLTransformer(max_epochs=1, device="cpu"), max_epochs=2, random_state=3
        )
        .fit(X, few(y, 3))
        .predict_proba(X)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


def test_seeds_of_byol_come_from_the_classifier_unless_it_has_its_own(digits):
    X, y = digits
    open_, own = (BYOLTransformer(max_epochs=1, random_state=s) for s in (None, 5))
    rows = [
        BYOLClassifier(byol, max_epochs=1, random_state=seed)
        .fit(X[:60], y[:60])
        .byol_.transform(X)
        for byol in (open_, own)
        for seed in (0, 1)
    ]
    assert not np.array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[2], rows[3])
